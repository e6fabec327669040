mock_provider "google" {}

variables {
  name     = "events"
  location = "europe-west3"
}

run "closed" {
  assert {
    condition     = google_storage_bucket.this.public_access_prevention == "enforced" && google_storage_bucket.this.uniform_bucket_level_access
    error_message = "Nothing is public, and there are no access lists."
  }

  assert {
    condition     = !google_storage_bucket.this.force_destroy
    error_message = "Records are not destroyed by the way."
  }
}

run "lifecycle" {
  assert {
    condition = alltrue([
      length(google_storage_bucket.this.lifecycle_rule) == 1,
      alltrue([for rule in google_storage_bucket.this.lifecycle_rule : one(rule.action).type == "AbortIncompleteMultipartUpload" && one(rule.condition).age == 1]),
    ])
    error_message = "Unfinished uploads are deleted after a day, and nothing else ever is."
  }

  assert {
    condition     = one(google_storage_bucket.this.soft_delete_policy).retention_duration_seconds == 0
    error_message = "What was deleted is not paid for."
  }
}

run "refused" {
  command = plan

  variables {
    name             = "Events"
    soft_delete_days = 3
  }

  expect_failures = [var.name, var.soft_delete_days]
}
