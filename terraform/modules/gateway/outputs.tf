output "bootstrap_servers" {
  description = "Where Kafka clients begin: bootstrap.servers. With a certificate they set security.protocol=SSL."
  value       = "${local.host}:${var.port}"
}

output "node_addresses" {
  description = "Address of each node, as clients are told it."
  value       = { for number, node in local.nodes : number => "${local.host}:${node.port}" }
}

output "load_balancer_dns_name" {
  description = "The load balancer's own name: what advertised_host has to lead to."
  value       = aws_lb.this.dns_name
}

output "load_balancer_arn_suffix" {
  description = "How CloudWatch calls the load balancer."
  value       = aws_lb.this.arn_suffix
}

output "target_group_arn_suffixes" {
  description = "How CloudWatch calls the target group of each node."
  value       = { for number, group in aws_lb_target_group.node : number => group.arn_suffix }
}

output "cluster_name" {
  description = "Name of the ECS cluster."
  value       = aws_ecs_cluster.this.name
}

output "service_names" {
  description = "Name of each node's ECS service."
  value       = { for number, service in aws_ecs_service.node : number => service.name }
}

output "log_group_name" {
  description = "Name of the log group of all nodes."
  value       = aws_cloudwatch_log_group.this.name
}

output "task_role_arn" {
  description = "ARN of the nodes' role."
  value       = aws_iam_role.task.arn
}

output "node_security_group_id" {
  description = "Security group of the nodes."
  value       = aws_security_group.node.id
}

output "shards" {
  description = "Logs of the cluster, should this part be the one that makes it."
  value       = var.shards
}

output "default_partitions" {
  description = "Partitions of a topic that this part makes without being told how many."
  value       = var.default_partitions
}
