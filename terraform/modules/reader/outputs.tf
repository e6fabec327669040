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
