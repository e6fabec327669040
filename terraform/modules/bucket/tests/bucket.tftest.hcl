mock_provider "aws" {
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::events" }
  }
}

variables {
  name = "events"
}

run "closed_and_encrypted" {
  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.this.block_public_acls,
      aws_s3_bucket_public_access_block.this.block_public_policy,
      aws_s3_bucket_public_access_block.this.ignore_public_acls,
      aws_s3_bucket_public_access_block.this.restrict_public_buckets,
    ])
    error_message = "Public access is blocked in every way."
  }

  assert {
    condition     = one(aws_s3_bucket_ownership_controls.this.rule).object_ownership == "BucketOwnerEnforced"
    error_message = "There are no access control lists."
  }

  assert {
    condition     = one(one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default).sse_algorithm == "AES256"
    error_message = "Objects are encrypted."
  }

  assert {
    condition     = !aws_s3_bucket.this.force_destroy
    error_message = "Records are not destroyed by the way."
  }

  assert {
    condition     = one(aws_s3_bucket_versioning.this.versioning_configuration).status == "Disabled"
    error_message = "There are no versions unless they are asked for."
  }
}

run "policy" {
  assert {
    condition = alltrue([
      for statement in jsondecode(aws_s3_bucket_policy.this.policy).Statement : statement.Effect == "Deny"
    ])
    error_message = "The bucket's policy grants nothing."
  }

  assert {
    condition = anytrue([
      for statement in jsondecode(aws_s3_bucket_policy.this.policy).Statement :
      statement.Action == "s3:*" && statement.Principal == "*" && try(statement.Condition.Bool["aws:SecureTransport"], "") == "false"
      && length(setintersection(statement.Resource, ["arn:aws:s3:::events", "arn:aws:s3:::events/*"])) == 2
    ])
    error_message = "Requests without TLS are refused, for the bucket and for its objects."
  }

  assert {
    condition = anytrue([
      for statement in jsondecode(aws_s3_bucket_policy.this.policy).Statement :
      statement.Action == "s3:PutObject" && contains(statement.Resource, "arn:aws:s3:::events/*/log/*") && try(statement.Condition.Null["s3:if-none-match"], "") == "true"
    ])
    error_message = "Log entries are written once."
  }
}

run "lifecycle" {
  assert {
    condition = alltrue([
      length(aws_s3_bucket_lifecycle_configuration.this.rule) == 1,
      aws_s3_bucket_lifecycle_configuration.this.rule[0].status == "Enabled",
      one(aws_s3_bucket_lifecycle_configuration.this.rule[0].abort_incomplete_multipart_upload).days_after_initiation == 1,
      length(aws_s3_bucket_lifecycle_configuration.this.rule[0].expiration) == 0,
      length(aws_s3_bucket_lifecycle_configuration.this.rule[0].transition) == 0,
    ])
    error_message = "Unfinished uploads are deleted after a day, and nothing else ever is."
  }
}

run "versions" {
  variables {
    versioning = true
  }

  assert {
    condition     = one(aws_s3_bucket_versioning.this.versioning_configuration).status == "Enabled"
    error_message = "Versions are kept."
  }

  assert {
    condition = alltrue([
      length(aws_s3_bucket_lifecycle_configuration.this.rule) == 2,
      one(aws_s3_bucket_lifecycle_configuration.this.rule[1].noncurrent_version_expiration).noncurrent_days == 7,
    ])
    error_message = "What was deleted is gone for good after a week."
  }
}

run "key_of_ones_own" {
  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/0000"
  }

  assert {
    condition = alltrue([
      one(aws_s3_bucket_server_side_encryption_configuration.this.rule).bucket_key_enabled,
      one(one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default).sse_algorithm == "aws:kms",
    ])
    error_message = "Objects are encrypted with the key, and KMS is asked rarely."
  }
}

run "entries_may_be_overwritten_when_asked_for" {
  variables {
    write_once = false
  }

  assert {
    condition     = length(jsondecode(aws_s3_bucket_policy.this.policy).Statement) == 2
    error_message = "Only the rules about TLS are left."
  }
}

run "refused_names" {
  command = plan

  variables {
    name                   = "Events.Example"
    kms_key_arn            = "alias/events"
    unfinished_upload_days = 0
  }

  expect_failures = [var.name, var.kms_key_arn, var.unfinished_upload_days]
}
