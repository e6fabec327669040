output "url" {
  description = "Where callers send their requests, with an identity token."
  value       = module.http.url
}

output "store" {
  description = "The store, for alluvium inspect and scrub."
  value       = "gs://${module.bucket.name}/alluvium"
}
