mock_provider "aws" {
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::events" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/alluvium" }
  }
  mock_resource "aws_lambda_function" {
    defaults = { arn = "arn:aws:lambda:eu-central-1:123456789012:function:alluvium" }
  }
  mock_resource "aws_lambda_function_url" {
    defaults = { function_url = "https://abc.lambda-url.eu-central-1.on.aws/" }
  }
  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:eu-central-1:123456789012:alluvium-compactor-dead-letters" }
  }
  mock_resource "aws_lb" {
    defaults = { dns_name = "alluvium-1.elb.eu-central-1.amazonaws.com" }
  }
}

variables {
  bucket_name = "events"
  packages    = "tests"
}

run "all_roles_share_one_store" {
  assert {
    condition     = output.store == "s3://events/alluvium"
    error_message = "The store is told."
  }

  assert {
    condition     = length(module.observability.alarm_names) == 13
    error_message = "Functions are watched."
  }
}

run "all_parts_would_make_the_same_cluster" {
  variables {
    shards             = 4
    default_partitions = 16
  }

  assert {
    condition     = alltrue([for part in [module.ingest, module.reader, module.compactor] : part.shards == 4 && part.default_partitions == 16])
    error_message = "It does not matter which part comes first."
  }
}
