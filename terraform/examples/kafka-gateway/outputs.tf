output "bootstrap_servers" {
  description = "bootstrap.servers of Kafka clients."
  value       = module.gateway.bootstrap_servers
}

output "store" {
  description = "The store, for alluvium inspect and scrub."
  value       = "s3://${module.bucket.name}/alluvium"
}
