output "ingest_url" {
  description = "Where records are produced to, with requests that are signed with AWS credentials."
  value       = module.ingest.url
}

output "reader_url" {
  description = "Where records are read from, with requests that are signed with AWS credentials."
  value       = module.reader.url
}

output "store" {
  description = "The store, for alluvium inspect, scrub and serve."
  value       = "s3://${module.bucket.name}/alluvium"
}

output "bootstrap_servers" {
  description = "bootstrap.servers of Kafka clients."
  value       = module.gateway.bootstrap_servers
}
