mock_provider "aws" {
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/lambda/alluvium-compactor" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/alluvium-compactor" }
  }
  mock_resource "aws_lambda_function" {
    defaults = { arn = "arn:aws:lambda:eu-central-1:123456789012:function:alluvium-compactor" }
  }
  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:eu-central-1:123456789012:alluvium-compactor-dead-letters" }
  }
}

variables {
  bucket  = { name = "events", arn = "arn:aws:s3:::events" }
  package = "../function/tests/bootstrap.zip"
}

run "schedule" {
  assert {
    condition = alltrue([
      aws_scheduler_schedule.this.schedule_expression == "rate(10 minutes)",
      aws_scheduler_schedule.this.state == "ENABLED",
      one(aws_scheduler_schedule.this.target).arn == output.function_arn,
      one(one(aws_scheduler_schedule.this.target).retry_policy).maximum_retry_attempts == 3,
      one(one(aws_scheduler_schedule.this.target).retry_policy).maximum_event_age_in_seconds == 600,
      one(aws_scheduler_schedule.this.flexible_time_window).mode == "OFF",
    ])
    error_message = "The scheduler starts the function every ten minutes and tries again."
  }
}

run "nothing_is_lost_sight_of" {
  assert {
    condition     = one(one(aws_scheduler_schedule.this.target).dead_letter_config).arn == aws_sqs_queue.dead_letters.arn
    error_message = "What the scheduler cannot start goes to the queue."
  }

  assert {
    condition = alltrue([
      one(one(aws_lambda_function_event_invoke_config.this.destination_config).on_failure).destination == aws_sqs_queue.dead_letters.arn,
      aws_lambda_function_event_invoke_config.this.maximum_retry_attempts == 1,
    ])
    error_message = "What fails twice in the function goes to the queue."
  }

  assert {
    condition = alltrue([
      aws_sqs_queue.dead_letters.sqs_managed_sse_enabled,
      aws_sqs_queue.dead_letters.message_retention_seconds == 1209600,
      jsondecode(aws_sqs_queue_policy.dead_letters.policy).Statement[0].Effect == "Deny",
    ])
    error_message = "The queue is encrypted, keeps for two weeks and is spoken to over TLS alone."
  }
}

run "roles" {
  assert {
    condition = [for statement in jsondecode(aws_iam_role_policy.scheduler.policy).Statement : { action = statement.Action, resource = statement.Resource }] == [
      { action = ["lambda:InvokeFunction"], resource = ["arn:aws:lambda:eu-central-1:123456789012:function:alluvium-compactor"] },
      { action = ["sqs:SendMessage"], resource = ["arn:aws:sqs:eu-central-1:123456789012:alluvium-compactor-dead-letters"] },
    ]
    error_message = "The scheduler may start this function and report failures."
  }

  assert {
    condition = [for statement in jsondecode(local.policy).Statement : statement.Sid] == [
      "Read", "List", "ProbeTheStore", "Write", "WriteTables", "CollectGarbage", "ReportFailures",
    ]
    error_message = "The function may read, write, delete in the bucket, and report failures."
  }
}

run "one_at_a_time" {
  assert {
    condition     = module.function.reserved_concurrency == 1
    error_message = "Two compactors at once would waste the work of one."
  }
}

run "stopped" {
  variables {
    enabled  = false
    schedule = "cron(0 3 * * ? *)"
  }

  assert {
    condition     = aws_scheduler_schedule.this.state == "DISABLED"
    error_message = "The schedule rests."
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
    schedule           = "every day"
    retry_attempts     = 0
    event_age_seconds  = 10
    timeout_seconds    = 30
  }

  expect_failures = [var.shards, var.default_partitions, var.schedule, var.retry_attempts, var.event_age_seconds, var.timeout_seconds]
}
