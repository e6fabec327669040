output "function_name" {
  description = "Name of the function."
  value       = module.function.function_name
}

output "function_arn" {
  description = "ARN of the function."
  value       = module.function.function_arn
}

output "role_arn" {
  description = "ARN of the function's role."
  value       = module.function.role_arn
}

output "log_group_name" {
  description = "Name of the log group."
  value       = module.function.log_group_name
}

output "dead_letter_queue_name" {
  description = "Name of the queue with runs that failed for good."
  value       = aws_sqs_queue.dead_letters.name
}

output "dead_letter_queue_url" {
  description = "URL of the queue with runs that failed for good."
  value       = aws_sqs_queue.dead_letters.url
}

output "schedule_name" {
  description = "Name of the schedule."
  value       = aws_scheduler_schedule.this.name
}

output "shards" {
  description = "Logs of the cluster, should this part be the one that makes it."
  value       = var.shards
}

output "default_partitions" {
  description = "Partitions of a topic that this part makes without being told how many."
  value       = var.default_partitions
}
