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

output "url" {
  description = "Where callers send their requests, signed with AWS credentials or with a token."
  value       = module.function.url
}

output "shards" {
  description = "Logs of the cluster, should this part be the one that makes it."
  value       = var.shards
}

output "default_partitions" {
  description = "Partitions of a topic that this part makes without being told how many."
  value       = var.default_partitions
}

output "api_id" {
  description = "The API Gateway's id, or null with a function URL: which of them counts answers, for the module observability."
  value       = module.function.api_id
}
