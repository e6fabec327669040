# What tells that something is wrong: alarms on functions, nodes and log lines, and one dashboard.
#
# Invariants
# 1. Nobody has to look: whatever stops records from coming in or going out raises an alarm.
# 2. Silence of what runs by a schedule is an alarm, silence of what callers ask for is none.

locals {
  log_groups = merge(
    { for role, function in var.functions : role => function.log_group_name },
    var.gateway == null ? {} : { gateway = var.gateway.log_group_name },
  )
  has_compactor = contains(keys(var.functions), "compactor")
  has_ingest    = contains(keys(var.functions), "ingest")
  nodes         = var.gateway == null ? {} : var.gateway.target_group_arn_suffixes
  services      = var.gateway == null ? {} : var.gateway.service_names
  namespace     = "Alluvium/${var.name}"

  # Where the answers of each function with a door are counted, and under which names.
  doors = {
    for role, function in var.functions : role => function.api_id == null ? {
      namespace = "AWS/Lambda", metric_name = "Url5xxCount", dimension = "FunctionName", value = function.function_name
      } : {
      namespace = "AWS/ApiGateway", metric_name = "5xx", dimension = "ApiId", value = function.api_id
    } if role != "compactor"
  }
}

data "aws_region" "this" {}

# ---- log lines. A WARN wants to be looked at some day, an ERROR now.

resource "aws_cloudwatch_log_metric_filter" "errors" {
  for_each = local.log_groups

  name           = "${var.name}-${each.key}-errors"
  log_group_name = each.value
  pattern        = "{ $.level = \"ERROR\" }"

  metric_transformation {
    name          = "${each.key}-errors"
    namespace     = local.namespace
    value         = "1"
    default_value = "0"
  }
}

resource "aws_cloudwatch_metric_alarm" "log_errors" {
  for_each = local.log_groups

  alarm_name          = "${var.name}-${each.key}-log-errors"
  alarm_description   = "The log of ${each.key} has lines of level ERROR: a defect, or something that needs a human."
  namespace           = local.namespace
  metric_name         = aws_cloudwatch_log_metric_filter.errors[each.key].metric_transformation[0].name
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
  tags                = var.tags
}

# ---- functions

resource "aws_cloudwatch_metric_alarm" "function_errors" {
  for_each = var.functions

  alarm_name          = "${var.name}-${each.key}-failures"
  alarm_description   = "Invocations of ${each.key} fail: a crash, no time left, or a pass of the compactor that could not do its work."
  namespace           = "AWS/Lambda"
  metric_name         = "Errors"
  dimensions          = { FunctionName = each.value.function_name }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
  tags                = var.tags
}

# Lambda counts no answer as an error, not even a 503 or 504 when the store does not answer: the door does, and each kind of door by
# its own metric. An invocation that fails is a 502 there, so this hears of everything that a caller hears.
resource "aws_cloudwatch_metric_alarm" "server_errors" {
  for_each = local.doors

  alarm_name          = "${var.name}-${each.key}-answers-5xx"
  alarm_description   = "Callers of ${each.key} are answered 5xx: records do not come in or go out. The log says why, at level WARN or ERROR."
  namespace           = each.value.namespace
  metric_name         = each.value.metric_name
  dimensions          = { (each.value.dimension) = each.value.value }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  threshold           = var.server_errors
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
  tags                = var.tags
}

# The compactor is throttled when a run takes longer than the pause between two: that is as it should be.
resource "aws_cloudwatch_metric_alarm" "function_throttles" {
  for_each = { for role, function in var.functions : role => function if role != "compactor" }

  alarm_name          = "${var.name}-${each.key}-throttled"
  alarm_description   = "Callers of ${each.key} are refused: reserved_concurrency or the account's limit is reached."
  namespace           = "AWS/Lambda"
  metric_name         = "Throttles"
  dimensions          = { FunctionName = each.value.function_name }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "ingest_latency" {
  count = local.has_ingest ? 1 : 0

  alarm_name          = "${var.name}-ingest-slow"
  alarm_description   = "One of 100 invocations of ingest takes longer than ${var.latency_ms} ms: the store is slow, or too many write at once."
  namespace           = "AWS/Lambda"
  metric_name         = "Duration"
  dimensions          = { FunctionName = var.functions["ingest"].function_name }
  extended_statistic  = "p99"
  period              = 300
  evaluation_periods  = 3
  threshold           = var.latency_ms
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "compactor_silent" {
  count = local.has_compactor ? 1 : 0

  alarm_name          = "${var.name}-compactor-silent"
  alarm_description   = "The compactor has not run for ${var.compactor_silence_hours} h: objects pile up, and retention stands still."
  namespace           = "AWS/Lambda"
  metric_name         = "Invocations"
  dimensions          = { FunctionName = var.functions["compactor"].function_name }
  statistic           = "Sum"
  period              = 3600
  evaluation_periods  = var.compactor_silence_hours
  threshold           = 1
  comparison_operator = "LessThanThreshold"
  treat_missing_data  = "breaching"
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "dead_letters" {
  count = var.dead_letter_queue_name == null ? 0 : 1

  alarm_name          = "${var.name}-compactor-dead-letters"
  alarm_description   = "A run of the compactor failed for good; its event is in the queue."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = var.dead_letter_queue_name }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
  tags                = var.tags
}

# ---- nodes

resource "aws_cloudwatch_metric_alarm" "node_down" {
  for_each = local.nodes

  alarm_name          = "${var.name}-node-${each.key}-down"
  alarm_description   = "Node ${each.key} is not ready: clients go on with the others."
  namespace           = "AWS/NetworkELB"
  metric_name         = "HealthyHostCount"
  dimensions          = { TargetGroup = each.value, LoadBalancer = var.gateway.load_balancer_arn_suffix }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 5
  threshold           = 1
  comparison_operator = "LessThanThreshold"
  treat_missing_data  = "breaching"
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "node_memory" {
  for_each = local.services

  alarm_name          = "${var.name}-node-${each.key}-memory"
  alarm_description   = "Node ${each.key} uses more than 90 % of its memory: raise memory_mb or lower the caches."
  namespace           = "AWS/ECS"
  metric_name         = "MemoryUtilization"
  dimensions          = { ClusterName = var.gateway.cluster_name, ServiceName = each.value }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 3
  threshold           = 90
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "node_processor" {
  for_each = local.services

  alarm_name          = "${var.name}-node-${each.key}-processor"
  alarm_description   = "Node ${each.key} uses more than 85 % of its processor: more nodes, or larger ones."
  namespace           = "AWS/ECS"
  metric_name         = "CPUUtilization"
  dimensions          = { ClusterName = var.gateway.cluster_name, ServiceName = each.value }
  statistic           = "Average"
  period              = 300
  evaluation_periods  = 3
  threshold           = 85
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
  tags                = var.tags
}
