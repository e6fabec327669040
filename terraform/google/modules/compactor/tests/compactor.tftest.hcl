mock_provider "google" {
  mock_resource "google_service_account" {
    defaults = { email = "alluvium@example.iam.gserviceaccount.com" }
  }
}

variables {
  project     = "example"
  region      = "europe-west3"
  bucket_name = "events"
  image       = "europe-west3-docker.pkg.dev/example/alluvium/alluvium:0.1.0"
}

run "job" {
  assert {
    condition     = one(one(one(google_cloud_run_v2_job.this.template).template).containers).args == tolist(["compact", "--once", "--store", "gs://events/alluvium"])
    error_message = "The job compacts the store once."
  }

  assert {
    condition     = { for env in one(one(one(google_cloud_run_v2_job.this.template).template).containers).env : env.name => env.value } == { ALLUVIUM_SHARDS = "8" }
    error_message = "A run that finds no cluster makes the one that the service would make."
  }

  assert {
    condition     = one(google_cloud_run_v2_job.this.template).task_count == 1 && one(google_cloud_run_v2_job.this.template).parallelism == 1
    error_message = "One at a time."
  }
}

run "schedule" {
  assert {
    condition = alltrue([
      google_cloud_scheduler_job.this.schedule == "*/10 * * * *",
      one(google_cloud_scheduler_job.this.http_target).uri == "https://run.googleapis.com/v2/projects/example/locations/europe-west3/jobs/alluvium-compactor:run",
      one(google_cloud_scheduler_job.this.http_target).http_method == "POST",
      one(google_cloud_scheduler_job.this.retry_config).retry_count == 3,
      google_cloud_run_v2_job_iam_member.scheduler.role == "roles/run.invoker",
    ])
    error_message = "The scheduler may start the job, does it every ten minutes, and tries again."
  }
}

run "refused" {
  command = plan

  variables {
    shards          = 300
    schedule        = "every day"
    timeout_seconds = 10
    memory          = "lots"
  }

  expect_failures = [var.shards, var.schedule, var.timeout_seconds, var.memory]
}
