mock_provider "aws" {
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/lambda/events-ingest" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/events-ingest" }
  }
  mock_resource "aws_lambda_function" {
    defaults = {
      arn        = "arn:aws:lambda:eu-central-1:123456789012:function:events-ingest"
      invoke_arn = "arn:aws:apigateway:eu-central-1:lambda:path/2015-03-31/functions/events-ingest/invocations"
    }
  }
  mock_resource "aws_lambda_function_url" {
    defaults = { function_url = "https://abc.lambda-url.eu-central-1.on.aws/" }
  }
  mock_resource "aws_apigatewayv2_api" {
    defaults = {
      api_endpoint  = "https://abc.execute-api.eu-central-1.amazonaws.com"
      execution_arn = "arn:aws:execute-api:eu-central-1:123456789012:abc"
    }
  }
}

variables {
  name                 = "events-ingest"
  description          = "Takes records."
  package              = "tests/bootstrap.zip"
  memory_mb            = 512
  timeout_seconds      = 30
  reserved_concurrency = 10
  store                = "s3://events/alluvium"
  shards               = 8
  default_partitions   = 8
  policy               = "{\"Version\":\"2012-10-17\",\"Statement\":[]}"
}

run "what_runs" {
  assert {
    condition = alltrue([
      aws_lambda_function.this.runtime == "provided.al2023",
      aws_lambda_function.this.handler == "bootstrap",
      aws_lambda_function.this.architectures == tolist(["x86_64"]),
      aws_lambda_function.this.source_code_hash == filebase64sha256("tests/bootstrap.zip"),
      aws_lambda_function.this.reserved_concurrent_executions == 10,
      one(aws_lambda_function.this.environment).variables == tomap({ ALLUVIUM_DEFAULT_PARTITIONS = "8", ALLUVIUM_LOG_FORMAT = "json", ALLUVIUM_SHARDS = "8", ALLUVIUM_STORE = "s3://events/alluvium" }),
    ])
    error_message = "The bootstrap of the package runs on the bare runtime, with the store in its environment."
  }

  assert {
    condition     = one(aws_lambda_function.this.logging_config).log_group == "/aws/lambda/events-ingest" && aws_cloudwatch_log_group.this.retention_in_days == 30
    error_message = "Logs go to the group with a retention."
  }

  assert {
    condition     = length(aws_lambda_function_url.this) == 0 && length(aws_apigatewayv2_api.this) == 0 && output.url == null && output.api_id == null
    error_message = "There is no door unless it is asked for."
  }
}

run "role" {
  assert {
    condition     = jsondecode(aws_iam_role.this.assume_role_policy).Statement[0].Principal == { Service = "lambda.amazonaws.com" }
    error_message = "Only Lambda takes the role."
  }

  assert {
    condition = alltrue([
      length(jsondecode(aws_iam_role_policy.log.policy).Statement) == 1,
      jsondecode(aws_iam_role_policy.log.policy).Statement[0].Action == ["logs:CreateLogStream", "logs:PutLogEvents"],
      jsondecode(aws_iam_role_policy.log.policy).Statement[0].Resource == ["arn:aws:logs:eu-central-1:123456789012:log-group:/aws/lambda/events-ingest:*"],
      aws_iam_role_policy.bucket.policy == var.policy,
    ])
    error_message = "The role may write its own log and what the policy says."
  }
}

run "function_url" {
  variables {
    door     = "function_url"
    invokers = ["210987654321", "arn:aws:iam::210987654321:role/shipper"]
  }

  assert {
    condition     = aws_lambda_function_url.this[0].authorization_type == "AWS_IAM"
    error_message = "Callers sign their requests."
  }

  assert {
    condition = alltrue([
      length(aws_lambda_permission.url) == 2,
      length(aws_lambda_permission.function) == 2,
      alltrue([for permission in aws_lambda_permission.url : permission.function_url_auth_type == "AWS_IAM"]),
    ])
    error_message = "Those named may call, and only them."
  }

  assert {
    condition     = output.url == "https://abc.lambda-url.eu-central-1.on.aws"
    error_message = "The URL has no slash at its end."
  }
}

run "http_api_with_credentials" {
  variables {
    door = "http_api"
  }

  assert {
    condition = alltrue([
      aws_apigatewayv2_route.this[0].authorization_type == "AWS_IAM",
      aws_apigatewayv2_integration.this[0].payload_format_version == "2.0",
      aws_apigatewayv2_integration.this[0].timeout_milliseconds == 30000,
      aws_lambda_permission.api[0].source_arn == "arn:aws:execute-api:eu-central-1:123456789012:abc/*/*",
      length(aws_apigatewayv2_authorizer.this) == 0,
      length(aws_lambda_function_url.this) == 0,
    ])
    error_message = "API Gateway asks for signed requests and passes them on."
  }

  assert {
    condition     = output.url == "https://abc.execute-api.eu-central-1.amazonaws.com" && output.api_id == aws_apigatewayv2_api.this[0].id
    error_message = "URL and id are the API's."
  }
}

run "http_api_with_tokens" {
  variables {
    door = "http_api"
    jwt  = { issuer = "https://login.example", audience = ["events"] }
  }

  assert {
    condition = alltrue([
      aws_apigatewayv2_route.this[0].authorization_type == "JWT",
      one(aws_apigatewayv2_authorizer.this[0].jwt_configuration).issuer == "https://login.example",
    ])
    error_message = "API Gateway checks tokens."
  }
}

run "settings" {
  variables {
    environment = { ALLUVIUM_LOG_FORMAT = "text", ALLUVIUM_LOG_FILTER = "debug" }
  }

  assert {
    condition     = one(aws_lambda_function.this.environment).variables == tomap({ ALLUVIUM_DEFAULT_PARTITIONS = "8", ALLUVIUM_LOG_FORMAT = "text", ALLUVIUM_LOG_FILTER = "debug", ALLUVIUM_SHARDS = "8", ALLUVIUM_STORE = "s3://events/alluvium" })
    error_message = "Settings can be given, the store stays."
  }
}

run "refused" {
  command = plan

  variables {
    shards               = 0
    default_partitions   = 0
    architecture         = "riscv"
    memory_mb            = 64
    timeout_seconds      = 1000
    reserved_concurrency = 0
    store                = "s3://events/"
    log_retention_days   = 29
    door                 = "window"
  }

  expect_failures = [var.shards, var.default_partitions,
    var.architecture, var.memory_mb, var.timeout_seconds, var.reserved_concurrency, var.store, var.log_retention_days, var.door,
  ]
}

run "credentials_are_no_settings" {
  command = plan

  variables {
    environment = { ALLUVIUM_SECRET_ACCESS_KEY = "hunter2" }
  }

  expect_failures = [var.environment]
}

run "shards_are_said_once" {
  command = plan

  variables {
    environment = { ALLUVIUM_SHARDS = "4" }
  }

  expect_failures = [var.environment]
}

run "partitions_are_said_once" {
  command = plan

  variables {
    environment = { ALLUVIUM_DEFAULT_PARTITIONS = "4" }
  }

  expect_failures = [var.environment]
}

run "other_names_are_no_settings" {
  command = plan

  variables {
    environment = { AWS_ACCESS_KEY_ID = "AKIA" }
  }

  expect_failures = [var.environment]
}

run "not_everybody" {
  command = plan

  variables {
    door     = "function_url"
    invokers = ["*"]
  }

  expect_failures = [var.invokers]
}

run "tokens_need_api_gateway" {
  command = plan

  variables {
    door = "function_url"
    jwt  = { issuer = "https://login.example", audience = ["events"] }
  }

  expect_failures = [var.jwt]
}
