# Merges, retains and deletes: a job of Cloud Run, `alluvium compact --once`, started by Cloud Scheduler.
#
# Invariants: a run has one task; two runs at once would be safe, and the work of one wasted.

resource "google_service_account" "this" {
  project      = var.project
  account_id   = "${var.name}-compactor"
  display_name = "Alluvium: compactor"
}

resource "google_storage_bucket_iam_member" "this" {
  bucket = var.bucket_name
  role   = "roles/storage.objectUser"
  member = "serviceAccount:${google_service_account.this.email}"
}

resource "google_cloud_run_v2_job" "this" {
  project             = var.project
  location            = var.region
  name                = "${var.name}-compactor"
  deletion_protection = false

  template {
    parallelism = 1
    task_count  = 1

    template {
      service_account = google_service_account.this.email
      timeout         = "${var.timeout_seconds}s"
      max_retries     = 1

      containers {
        image = var.image
        args  = ["compact", "--once", "--store", "gs://${var.bucket_name}/${var.prefix}"]

        # A run that finds no cluster makes it.
        env {
          name  = "ALLUVIUM_SHARDS"
          value = tostring(var.shards)
        }

        resources {
          limits = { cpu = "1", memory = var.memory }
        }
      }
    }
  }

  depends_on = [google_storage_bucket_iam_member.this]
}

resource "google_service_account" "scheduler" {
  project      = var.project
  account_id   = "${var.name}-scheduler"
  display_name = "Alluvium: starts the compactor"
}

resource "google_cloud_run_v2_job_iam_member" "scheduler" {
  project  = var.project
  location = var.region
  name     = google_cloud_run_v2_job.this.name
  role     = "roles/run.invoker"
  member   = "serviceAccount:${google_service_account.scheduler.email}"
}

resource "google_cloud_scheduler_job" "this" {
  project          = var.project
  region           = var.region
  name             = "${var.name}-compactor"
  description      = "Starts the compactor of Alluvium."
  schedule         = var.schedule
  time_zone        = "Etc/UTC"
  attempt_deadline = "60s"

  retry_config {
    retry_count = 3
  }

  http_target {
    http_method = "POST"
    uri         = "https://run.googleapis.com/v2/projects/${var.project}/locations/${var.region}/jobs/${google_cloud_run_v2_job.this.name}:run"

    oauth_token {
      service_account_email = google_service_account.scheduler.email
    }
  }
}
