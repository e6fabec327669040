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
  bucket_name         = "events"
  packages            = "tests"
  image               = "registry.example/alluvium:0.1.0"
  vpc_id              = "vpc-1"
  subnets             = { eu-central-1a = "subnet-a", eu-central-1b = "subnet-b", eu-central-1c = "subnet-c" }
  allowed_cidr_blocks = ["10.0.0.0/8"]
}

run "one_bucket_for_all" {
  assert {
    condition     = output.store == "s3://events/alluvium" && output.bootstrap_servers == "alluvium-1.elb.eu-central-1.amazonaws.com:9092"
    error_message = "Functions and nodes use one store."
  }

  assert {
    condition     = length(module.observability.alarm_names) == 23
    error_message = "Functions and nodes are watched."
  }
}

run "all_parts_would_make_the_same_cluster" {
  variables {
    shards             = 4
    default_partitions = 16
  }

  assert {
    condition     = alltrue([for part in [module.ingest, module.reader, module.compactor, module.gateway] : part.shards == 4 && part.default_partitions == 16])
    error_message = "It does not matter which part comes first."
  }
}
