output "function_name" {
  description = "Name of the function."
  value       = aws_lambda_function.this.function_name
}

output "function_arn" {
  description = "ARN of the function."
  value       = aws_lambda_function.this.arn
}

output "url" {
  description = "Where callers send their requests, or null when the function has no door."
  value = (
    var.door == "function_url" ? trimsuffix(aws_lambda_function_url.this[0].function_url, "/") :
    var.door == "http_api" ? aws_apigatewayv2_api.this[0].api_endpoint : null
  )
}

output "role_name" {
  description = "Name of the function's role."
  value       = aws_iam_role.this.name
}

output "role_arn" {
  description = "ARN of the function's role."
  value       = aws_iam_role.this.arn
}

output "log_group_name" {
  description = "Name of the log group."
  value       = aws_cloudwatch_log_group.this.name
}

output "reserved_concurrency" {
  description = "Invocations that may run at once, -1 when there is no limit of its own."
  value       = aws_lambda_function.this.reserved_concurrent_executions
}

output "settings" {
  description = "What the function finds in its environment."
  value       = one(aws_lambda_function.this.environment).variables
}

output "api_id" {
  description = "The API Gateway's id, or null without one."
  value       = one(aws_apigatewayv2_api.this[*].id)
}
