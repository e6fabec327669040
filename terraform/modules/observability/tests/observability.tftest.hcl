mock_provider "aws" {
  mock_data "aws_region" {
    defaults = { region = "eu-central-1" }
  }
}

variables {
  functions = {
    ingest    = { function_name = "alluvium-ingest", log_group_name = "/aws/lambda/alluvium-ingest" }
    reader    = { function_name = "alluvium-reader", log_group_name = "/aws/lambda/alluvium-reader" }
    compactor = { function_name = "alluvium-compactor", log_group_name = "/aws/lambda/alluvium-compactor" }
  }
  dead_letter_queue_name = "alluvium-compactor-dead-letters"
  bucket_name            = "events"
  alarm_topic_arns       = ["arn:aws:sns:eu-central-1:123456789012:on-call"]
  gateway = {
    cluster_name              = "alluvium"
    service_names             = { "1" = "alluvium-node-1", "2" = "alluvium-node-2" }
    log_group_name            = "/alluvium/alluvium"
    load_balancer_arn_suffix  = "net/alluvium/1"
    target_group_arn_suffixes = { "1" = "targetgroup/alluvium-node-1/1", "2" = "targetgroup/alluvium-node-2/1" }
  }
}

run "alarms" {
  assert {
    condition = output.alarm_names == tolist([
      "alluvium-compactor-dead-letters",
      "alluvium-compactor-failures",
      "alluvium-compactor-log-errors",
      "alluvium-compactor-silent",
      "alluvium-gateway-log-errors",
      "alluvium-ingest-answers-5xx",
      "alluvium-ingest-failures",
      "alluvium-ingest-log-errors",
      "alluvium-ingest-slow",
      "alluvium-ingest-throttled",
      "alluvium-node-1-down",
      "alluvium-node-1-memory",
      "alluvium-node-1-processor",
      "alluvium-node-2-down",
      "alluvium-node-2-memory",
      "alluvium-node-2-processor",
      "alluvium-reader-answers-5xx",
      "alluvium-reader-failures",
      "alluvium-reader-log-errors",
      "alluvium-reader-throttled",
    ])
    error_message = "There is an alarm for everything that stops records."
  }

  assert {
    condition = alltrue([
      for alarm in concat(
        values(aws_cloudwatch_metric_alarm.log_errors), values(aws_cloudwatch_metric_alarm.function_errors),
        values(aws_cloudwatch_metric_alarm.function_throttles), values(aws_cloudwatch_metric_alarm.server_errors), aws_cloudwatch_metric_alarm.ingest_latency,
        aws_cloudwatch_metric_alarm.compactor_silent, aws_cloudwatch_metric_alarm.dead_letters,
        values(aws_cloudwatch_metric_alarm.node_down), values(aws_cloudwatch_metric_alarm.node_memory),
        values(aws_cloudwatch_metric_alarm.node_processor),
      ) : alarm.alarm_actions == toset(["arn:aws:sns:eu-central-1:123456789012:on-call"]) && alarm.ok_actions == alarm.alarm_actions
    ])
    error_message = "All alarms are told, and their end."
  }
}

run "silence" {
  assert {
    condition = alltrue([
      aws_cloudwatch_metric_alarm.compactor_silent[0].treat_missing_data == "breaching",
      alltrue([for alarm in aws_cloudwatch_metric_alarm.node_down : alarm.treat_missing_data == "breaching"]),
      alltrue([for alarm in aws_cloudwatch_metric_alarm.function_errors : alarm.treat_missing_data == "notBreaching"]),
    ])
    error_message = "A compactor or a node that says nothing is an alarm; a function that nobody calls is none."
  }
}

run "log_lines" {
  assert {
    condition = alltrue([
      for role, filter in aws_cloudwatch_log_metric_filter.errors :
      filter.pattern == "{ $.level = \"ERROR\" }" && aws_cloudwatch_metric_alarm.log_errors[role].metric_name == one(filter.metric_transformation).name && aws_cloudwatch_metric_alarm.log_errors[role].namespace == one(filter.metric_transformation).namespace
    ])
    error_message = "Alarms look at what the filters count."
  }
}

run "answers" {
  variables {
    functions = {
      ingest    = { function_name = "alluvium-ingest", log_group_name = "/aws/lambda/alluvium-ingest" }
      reader    = { function_name = "alluvium-reader", log_group_name = "/aws/lambda/alluvium-reader", api_id = "abc" }
      compactor = { function_name = "alluvium-compactor", log_group_name = "/aws/lambda/alluvium-compactor" }
    }
  }

  assert {
    condition = { for role, alarm in aws_cloudwatch_metric_alarm.server_errors : role => [alarm.namespace, alarm.metric_name, jsonencode(alarm.dimensions), alarm.statistic] } == {
      ingest = ["AWS/Lambda", "Url5xxCount", "{\"FunctionName\":\"alluvium-ingest\"}", "Sum"]
      reader = ["AWS/ApiGateway", "5xx", "{\"ApiId\":\"abc\"}", "Sum"]
    }
    error_message = "Answers with 5xx are counted by the door: function URL or API Gateway."
  }

  assert {
    condition = alltrue([
      for alarm in aws_cloudwatch_metric_alarm.server_errors :
      alarm.threshold == 0 && alarm.comparison_operator == "GreaterThanThreshold" && alarm.treat_missing_data == "notBreaching"
    ])
    error_message = "One such answer is enough, and nobody asking is none."
  }
}

run "dashboard" {
  assert {
    condition     = [for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : widget.properties.title] == ["Invocations", "Failures and refusals", "Duration (ms)", "At once", "Nodes that are ready", "Bytes through the load balancer", "Processor (%)", "Memory (%)", "Lines of level ERROR", "Bytes in the bucket", "Objects in the bucket"]
    error_message = "The dashboard shows functions, nodes, log and bucket."
  }

  assert {
    condition = length(distinct([
      for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : "${widget.x}/${widget.y}"
    ])) == 11
    error_message = "No chart lies on another."
  }
}

run "functions_alone" {
  variables {
    gateway                = null
    dead_letter_queue_name = null
    bucket_name            = null
    functions              = { reader = { function_name = "r", log_group_name = "/aws/lambda/r" } }
  }

  assert {
    condition     = output.alarm_names == tolist(["alluvium-reader-answers-5xx", "alluvium-reader-failures", "alluvium-reader-log-errors", "alluvium-reader-throttled"])
    error_message = "What is not there is not watched."
  }
}

run "refused" {
  command = plan

  variables {
    alarm_topic_arns        = ["on-call"]
    latency_ms              = 0
    server_errors           = -1
    compactor_silence_hours = 48
  }

  expect_failures = [var.alarm_topic_arns, var.latency_ms, var.server_errors, var.compactor_silence_hours]
}
