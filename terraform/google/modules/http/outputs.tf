output "url" {
  description = "Where callers send their requests, with an identity token."
  value       = google_cloud_run_v2_service.this.uri
}

output "service_account_email" {
  description = "Account that the service runs as."
  value       = google_service_account.this.email
}

output "shards" {
  description = "Logs of the cluster, should this part be the one that makes it."
  value       = var.shards
}
