mock_provider "google" {
  mock_resource "google_service_account" {
    defaults = { email = "alluvium-http@example.iam.gserviceaccount.com" }
  }
}

variables {
  project     = "example"
  region      = "europe-west3"
  bucket_name = "events"
  image       = "europe-west3-docker.pkg.dev/example/alluvium/alluvium:0.1.0"
  invokers    = ["serviceAccount:shipper@example.iam.gserviceaccount.com"]
}

run "service" {
  assert {
    condition = { for env in one(one(google_cloud_run_v2_service.this.template).containers).env : env.name => env.value } == {
      ALLUVIUM_COMPACTION         = "false"
      ALLUVIUM_DEFAULT_PARTITIONS = "8"
      ALLUVIUM_SHARDS             = "8"
      ALLUVIUM_LISTEN             = "127.0.0.1:9092"
      ALLUVIUM_LOG_FORMAT         = "json"
      ALLUVIUM_NODE_ID            = "auto"
      ALLUVIUM_PEER_LISTEN        = "none"
      ALLUVIUM_REST_LISTEN        = "0.0.0.0:8080"
      ALLUVIUM_STORE              = "gs://events/alluvium"
    }
    error_message = "An instance stands alone and serves HTTP."
  }

  assert {
    condition = alltrue([
      one(one(one(google_cloud_run_v2_service.this.template).containers).ports).container_port == 8080,
      !one(one(one(google_cloud_run_v2_service.this.template).containers).resources).cpu_idle,
      one(google_cloud_run_v2_service.this.template).service_account == "alluvium-http@example.iam.gserviceaccount.com",
      one(one(google_cloud_run_v2_service.this.template).scaling).max_instance_count == 3,
    ])
    error_message = "The service has its account, its port and its limits."
  }
}

run "access" {
  assert {
    condition     = google_storage_bucket_iam_member.this.role == "roles/storage.objectUser" && google_storage_bucket_iam_member.this.member == "serviceAccount:alluvium-http@example.iam.gserviceaccount.com"
    error_message = "The account may use objects of the bucket."
  }

  assert {
    condition     = [for member in google_cloud_run_v2_service_iam_member.invoker : member.member] == ["serviceAccount:shipper@example.iam.gserviceaccount.com"]
    error_message = "Those named may call, and only them."
  }
}

run "not_everybody" {
  command = plan

  variables {
    invokers = ["allUsers"]
  }

  expect_failures = [var.invokers]
}

run "refused" {
  command = plan

  variables {
    shards             = 0
    default_partitions = 0
    name               = "a"
    image              = "alluvium:latest"
    prefix             = "/alluvium"
    instances_max      = 0
    processors         = "3"
    memory             = "1GB"
  }

  expect_failures = [var.shards, var.default_partitions, var.name, var.image, var.prefix, var.instances_max, var.processors, var.memory]
}
