# The HTTP API on Cloud Run: `alluvium serve` with rest_listen. Cloud Run takes HTTP alone, so there is no Kafka listener.
#
# Invariants
# 1. Nobody calls it without an identity of Google that is named.
# 2. An instance keeps nothing. Instances do not know each other: each stands alone, and the bucket decides.

locals {
  port = 8080

  settings = merge({ ALLUVIUM_LOG_FORMAT = "json" }, var.environment, {
    ALLUVIUM_STORE              = "gs://${var.bucket_name}/${var.prefix}"
    ALLUVIUM_REST_LISTEN        = "0.0.0.0:${local.port}"
    ALLUVIUM_LISTEN             = "127.0.0.1:9092"
    ALLUVIUM_PEER_LISTEN        = "none"
    ALLUVIUM_NODE_ID            = "auto"
    ALLUVIUM_COMPACTION         = "false"
    ALLUVIUM_SHARDS             = tostring(var.shards)
    ALLUVIUM_DEFAULT_PARTITIONS = tostring(var.default_partitions)
  })
}

resource "google_service_account" "this" {
  project      = var.project
  account_id   = "${var.name}-http"
  display_name = "Alluvium: HTTP API"
}

# Overwriting a checkpoint is deleting it, to Google: the role has to allow both.
resource "google_storage_bucket_iam_member" "this" {
  bucket = var.bucket_name
  role   = "roles/storage.objectUser"
  member = "serviceAccount:${google_service_account.this.email}"
}

resource "google_cloud_run_v2_service" "this" {
  project             = var.project
  location            = var.region
  name                = "${var.name}-http"
  ingress             = "INGRESS_TRAFFIC_ALL"
  deletion_protection = var.deletion_protection

  template {
    service_account                  = google_service_account.this.email
    session_affinity                 = true
    max_instance_request_concurrency = 200
    timeout                          = "60s"

    scaling {
      min_instance_count = var.instances_min
      max_instance_count = var.instances_max
    }

    containers {
      image = var.image
      args  = ["serve"]

      ports {
        container_port = local.port
      }

      resources {
        limits = { cpu = var.processors, memory = var.memory }
        # The processor stays while an instance lives: what goes on between requests is not held up.
        cpu_idle = false
      }

      startup_probe {
        period_seconds    = 1
        timeout_seconds   = 1
        failure_threshold = 60

        tcp_socket {
          port = local.port
        }
      }

      dynamic "env" {
        for_each = local.settings

        content {
          name  = env.key
          value = env.value
        }
      }
    }
  }

  depends_on = [google_storage_bucket_iam_member.this]
}

resource "google_cloud_run_v2_service_iam_member" "invoker" {
  for_each = var.invokers

  project  = var.project
  location = var.region
  name     = google_cloud_run_v2_service.this.name
  role     = "roles/run.invoker"
  member   = each.value
}
