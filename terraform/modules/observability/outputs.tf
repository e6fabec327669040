output "alarm_names" {
  description = "Names of all alarms."
  value = sort(concat(
    [for alarm in aws_cloudwatch_metric_alarm.log_errors : alarm.alarm_name],
    [for alarm in aws_cloudwatch_metric_alarm.function_errors : alarm.alarm_name],
    [for alarm in aws_cloudwatch_metric_alarm.function_throttles : alarm.alarm_name],
    [for alarm in aws_cloudwatch_metric_alarm.server_errors : alarm.alarm_name],
    aws_cloudwatch_metric_alarm.ingest_latency[*].alarm_name,
    aws_cloudwatch_metric_alarm.compactor_silent[*].alarm_name,
    aws_cloudwatch_metric_alarm.dead_letters[*].alarm_name,
    [for alarm in aws_cloudwatch_metric_alarm.node_down : alarm.alarm_name],
    [for alarm in aws_cloudwatch_metric_alarm.node_memory : alarm.alarm_name],
    [for alarm in aws_cloudwatch_metric_alarm.node_processor : alarm.alarm_name],
  ))
}

output "dashboard_name" {
  description = "Name of the dashboard."
  value       = aws_cloudwatch_dashboard.this.dashboard_name
}
