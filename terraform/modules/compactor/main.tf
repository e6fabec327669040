# Merges records into Parquet files, applies retention and compaction by key, and deletes what nobody refers to.
#
# Invariants
# 1. One at a time. Two at once would be safe, the log takes the result of one; the other's work would be wasted.
# 2. A run that fails for good is not lost sight of: its event goes to the queue of dead letters, which has an alarm.

module "access" {
  source = "../access"

  bucket_arn  = var.bucket.arn
  prefix      = var.prefix
  kms_key_arn = var.bucket.kms_key_arn
}

module "function" {
  source = "../function"

  name                 = "${var.name}-compactor"
  description          = "Alluvium: merges, retains and deletes"
  package              = var.package
  architecture         = var.architecture
  memory_mb            = var.memory_mb
  timeout_seconds      = var.timeout_seconds
  reserved_concurrency = 1
  store                = "s3://${var.bucket.name}/${var.prefix}"
  policy               = local.policy
  shards               = var.shards
  default_partitions   = var.default_partitions
  environment          = var.environment
  log_retention_days   = var.log_retention_days
  kms_key_arn          = var.kms_key_arn
  tags                 = var.tags
}

locals {
  # What the function may do in the bucket, and that it may leave its failures in the queue.
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(jsondecode(module.access.policies.compactor).Statement, [
      {
        Sid      = "ReportFailures"
        Effect   = "Allow"
        Action   = ["sqs:SendMessage"]
        Resource = [aws_sqs_queue.dead_letters.arn]
      },
    ])
  })
}

resource "aws_sqs_queue" "dead_letters" {
  name                      = "${var.name}-compactor-dead-letters"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
  tags                      = var.tags
}

resource "aws_sqs_queue_policy" "dead_letters" {
  queue_url = aws_sqs_queue.dead_letters.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "OnlyOverTls"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sqs:*"
        Resource  = aws_sqs_queue.dead_letters.arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}

# The scheduler invokes without waiting: what fails in the function is tried again by Lambda, then goes to the queue.
resource "aws_lambda_function_event_invoke_config" "this" {
  function_name                = module.function.function_name
  maximum_retry_attempts       = 1
  maximum_event_age_in_seconds = var.event_age_seconds

  destination_config {
    on_failure {
      destination = aws_sqs_queue.dead_letters.arn
    }
  }
}

resource "aws_iam_role" "scheduler" {
  name        = "${var.name}-compactor-scheduler"
  description = "Lets the scheduler start the compactor."
  tags        = var.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect    = "Allow"
        Action    = "sts:AssumeRole"
        Principal = { Service = "scheduler.amazonaws.com" }
      },
    ]
  })
}

resource "aws_iam_role_policy" "scheduler" {
  name = "start"
  role = aws_iam_role.scheduler.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "Start"
        Effect   = "Allow"
        Action   = ["lambda:InvokeFunction"]
        Resource = [module.function.function_arn]
      },
      {
        Sid      = "ReportFailures"
        Effect   = "Allow"
        Action   = ["sqs:SendMessage"]
        Resource = [aws_sqs_queue.dead_letters.arn]
      },
    ]
  })
}

resource "aws_scheduler_schedule" "this" {
  name                = "${var.name}-compactor"
  description         = "Starts the compactor of Alluvium."
  schedule_expression = var.schedule
  state               = var.enabled ? "ENABLED" : "DISABLED"

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = module.function.function_arn
    role_arn = aws_iam_role.scheduler.arn
    input    = jsonencode({ source = "schedule" })

    retry_policy {
      maximum_retry_attempts       = var.retry_attempts
      maximum_event_age_in_seconds = var.event_age_seconds
    }

    dead_letter_config {
      arn = aws_sqs_queue.dead_letters.arn
    }
  }
}
