# One page: what came in and went out, what failed, how long it took, and how large the bucket is.

locals {
  region = data.aws_region.this.region

  function_charts = [
    {
      title = "Invocations"
      stat  = "Sum"
      metrics = [
        for role, function in var.functions : ["AWS/Lambda", "Invocations", "FunctionName", function.function_name, { label = role }]
      ]
    },
    {
      title = "Failures and refusals"
      stat  = "Sum"
      metrics = concat(
        [for role, function in var.functions : ["AWS/Lambda", "Errors", "FunctionName", function.function_name, { label = "${role}: failed" }]],
        [for role, function in var.functions : ["AWS/Lambda", "Throttles", "FunctionName", function.function_name, { label = "${role}: throttled" }]],
        [for role, door in local.doors : [door.namespace, door.metric_name, door.dimension, door.value, { label = "${role}: answered 5xx" }]],
      )
    },
    {
      title = "Duration (ms)"
      stat  = "p99"
      metrics = concat(
        [for role, function in var.functions : ["AWS/Lambda", "Duration", "FunctionName", function.function_name, { label = "${role} p99" }]],
        [for role, function in var.functions : ["AWS/Lambda", "Duration", "FunctionName", function.function_name, { label = "${role} median", stat = "p50" }]],
      )
    },
    {
      title = "At once"
      stat  = "Maximum"
      metrics = [
        for role, function in var.functions : ["AWS/Lambda", "ConcurrentExecutions", "FunctionName", function.function_name, { label = role }]
      ]
    },
  ]

  gateway_charts = flatten([for gateway in var.gateway[*] : [
    {
      title = "Nodes that are ready"
      stat  = "Maximum"
      metrics = [
        for number, group in local.nodes :
        ["AWS/NetworkELB", "HealthyHostCount", "TargetGroup", group, "LoadBalancer", gateway.load_balancer_arn_suffix, { label = "node ${number}" }]
      ]
    },
    {
      title = "Bytes through the load balancer"
      stat  = "Sum"
      metrics = [
        ["AWS/NetworkELB", "ProcessedBytes", "LoadBalancer", gateway.load_balancer_arn_suffix, { label = "bytes" }],
      ]
    },
    {
      title = "Processor (%)"
      stat  = "Average"
      metrics = [
        for number, service in local.services :
        ["AWS/ECS", "CPUUtilization", "ClusterName", gateway.cluster_name, "ServiceName", service, { label = "node ${number}" }]
      ]
    },
    {
      title = "Memory (%)"
      stat  = "Maximum"
      metrics = [
        for number, service in local.services :
        ["AWS/ECS", "MemoryUtilization", "ClusterName", gateway.cluster_name, "ServiceName", service, { label = "node ${number}" }]
      ]
    },
  ]])

  log_charts = [
    {
      title   = "Lines of level ERROR"
      stat    = "Sum"
      metrics = [for role in keys(local.log_groups) : [local.namespace, "${role}-errors", { label = role }]]
    },
  ]

  # S3 counts once a day.
  bucket_charts = flatten([for bucket_name in var.bucket_name[*] : [
    {
      title   = "Bytes in the bucket"
      stat    = "Average"
      metrics = [["AWS/S3", "BucketSizeBytes", "BucketName", bucket_name, "StorageType", "StandardStorage", { period = 86400 }]]
    },
    {
      title   = "Objects in the bucket"
      stat    = "Average"
      metrics = [["AWS/S3", "NumberOfObjects", "BucketName", bucket_name, "StorageType", "AllStorageTypes", { period = 86400 }]]
    },
  ]])

  charts = [
    for chart in concat(local.function_charts, local.gateway_charts, local.log_charts, local.bucket_charts) : chart
    if length(chart.metrics) > 0
  ]

  widgets = [
    for index, chart in local.charts : {
      type   = "metric"
      x      = (index % 2) * 12
      y      = floor(index / 2) * 6
      width  = 12
      height = 6
      properties = {
        title   = chart.title
        region  = local.region
        stat    = chart.stat
        period  = 300
        view    = "timeSeries"
        metrics = chart.metrics
      }
    }
  ]
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name
  dashboard_body = jsonencode({ widgets = local.widgets })
}
