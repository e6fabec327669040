output "job_name" {
  description = "Name of the job."
  value       = google_cloud_run_v2_job.this.name
}

output "service_account_email" {
  description = "Account that the job runs as."
  value       = google_service_account.this.email
}

output "shards" {
  description = "Logs of the cluster, should this part be the one that makes it."
  value       = var.shards
}
