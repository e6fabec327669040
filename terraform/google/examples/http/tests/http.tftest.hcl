mock_provider "google" {
  mock_resource "google_service_account" {
    defaults = { email = "alluvium@example.iam.gserviceaccount.com" }
  }
}

variables {
  project     = "example"
  bucket_name = "events"
  image       = "europe-west3-docker.pkg.dev/example/alluvium/alluvium:0.1.0"
  invokers    = ["group:writers@example.org"]
}

run "one_bucket" {
  assert {
    condition     = output.store == "gs://events/alluvium" && module.compactor.job_name == "alluvium-compactor"
    error_message = "Service and job use one store."
  }
}

run "both_parts_would_make_the_same_cluster" {
  variables {
    shards = 4
  }

  assert {
    condition     = module.http.shards == 4 && module.compactor.shards == 4
    error_message = "It does not matter which part comes first."
  }
}
