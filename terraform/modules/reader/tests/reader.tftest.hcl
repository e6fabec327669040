mock_provider "aws" {
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/lambda/alluvium-reader" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/alluvium-reader" }
  }
  mock_resource "aws_lambda_function_url" {
    defaults = { function_url = "https://abc.lambda-url.eu-central-1.on.aws/" }
  }
}

variables {
  bucket  = { name = "events", arn = "arn:aws:s3:::events" }
  package = "../function/tests/bootstrap.zip"
}

run "function" {
  assert {
    condition     = output.function_name == "alluvium-reader" && output.log_group_name == "/aws/lambda/alluvium-reader"
    error_message = "Function and log group are called after the role."
  }

  assert {
    condition     = output.url == "https://abc.lambda-url.eu-central-1.on.aws"
    error_message = "There is a URL, unless API Gateway is asked for."
  }
}

run "api" {
  variables {
    door = "http_api"
  }

  assert {
    condition     = output.api_id != null && output.api_id == module.function.api_id
    error_message = "The API's id is told to whoever watches it."
  }
}

run "policy" {
  assert {
    condition = jsondecode(module.access.policies.reader) == jsondecode(jsonencode({
      Version = "2012-10-17"
      Statement = [
        { Sid = "Read", Effect = "Allow", Action = ["s3:GetObject"], Resource = ["arn:aws:s3:::events/alluvium/*"] },
        {
          Sid       = "List"
          Effect    = "Allow"
          Action    = ["s3:ListBucket"]
          Resource  = ["arn:aws:s3:::events"]
          Condition = { StringLikeIfExists = { "s3:prefix" = ["alluvium/*"] } }
        },
        {
          Sid      = "ProbeTheStore"
          Effect   = "Allow"
          Action   = ["s3:PutObject", "s3:DeleteObject"]
          Resource = ["arn:aws:s3:::events/alluvium/probe/*"]
        },
        {
          Sid    = "Write"
          Effect = "Allow"
          Action = ["s3:PutObject"]
          Resource = [
            "arn:aws:s3:::events/alluvium/cluster.json",
            "arn:aws:s3:::events/alluvium/*/*/log/*",
            "arn:aws:s3:::events/alluvium/*/*/checkpoint/*",
            "arn:aws:s3:::events/alluvium/*/*/head",

          ]
        },
      ]
    }))
    error_message = "The role may do exactly this."
  }
}

run "who_comes_first_makes_the_same_cluster" {
  assert {
    condition     = module.function.settings.ALLUVIUM_SHARDS == "8" && module.function.settings.ALLUVIUM_DEFAULT_PARTITIONS == "8"
    error_message = "A new cluster has eight logs, and a new topic eight partitions."
  }
}

run "another_cluster" {
  variables {
    shards             = 4
    default_partitions = 16
  }

  assert {
    condition     = module.function.settings.ALLUVIUM_SHARDS == "4" && module.function.settings.ALLUVIUM_DEFAULT_PARTITIONS == "16" && output.shards == 4 && output.default_partitions == 16
    error_message = "It has as many as are asked for."
  }
}

run "refused" {
  command = plan

  variables {
    shards             = 0
    default_partitions = 0
    name               = "Alluvium"
    timeout_seconds    = 4
    door               = "none"
  }

  expect_failures = [var.shards, var.default_partitions, var.name, var.timeout_seconds, var.door]
}
