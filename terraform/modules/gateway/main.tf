# Nodes of Alluvium for Kafka clients: Fargate tasks behind a network load balancer.
#
# A Kafka client connects to an address of its own for each node that the metadata names. So each node is an ECS service of one
# task with a port of the load balancer, which it advertises; on the first port any node that is ready answers, for the start.
# The nodes themselves talk with each other directly, by the addresses of their tasks.
#
# Invariants
# 1. A task keeps nothing: it may be ended and replaced at any time. The new one runs before the old one is drained, which is why
#    a node takes a random id (two live nodes may not share one) while the port stays.
# 2. Only the load balancer reaches the listeners, only nodes reach the peer port, and only allowed networks the load balancer.
# 3. Tasks hold no credentials: those of the role come from ECS.

locals {
  kafka_port = 9092
  http_port  = 9644
  peer_port  = 9192

  zones = sort(keys(var.subnets))
  nodes = {
    for index in range(var.nodes) : tostring(index + 1) => {
      port = var.port + 1 + index
      zone = local.zones[index % length(local.zones)]
    }
  }
  host     = var.advertised_host == null ? aws_lb.this.dns_name : var.advertised_host
  protocol = var.certificate_arn == null ? "TCP" : "TLS"

  settings = {
    for number, node in local.nodes : number => merge({ ALLUVIUM_LOG_FORMAT = "json" }, var.environment, {
      ALLUVIUM_STORE                                                        = "s3://${var.bucket.name}/${var.prefix}"
      ALLUVIUM_REGION                                                       = data.aws_region.this.region
      ALLUVIUM_LISTEN                                                       = "0.0.0.0:${local.kafka_port}"
      ALLUVIUM_ADVERTISE                                                    = "${local.host}:${node.port}"
      ALLUVIUM_PEER_LISTEN                                                  = "0.0.0.0:${local.peer_port}"
      ALLUVIUM_HTTP_LISTEN                                                  = "0.0.0.0:${local.http_port}"
      ALLUVIUM_NODE_ID                                                      = "auto"
      ALLUVIUM_ZONE                                                         = node.zone
      ALLUVIUM_COMPACTION                                                   = tostring(var.compaction)
      ALLUVIUM_SHARDS                                                       = tostring(var.shards)
      ALLUVIUM_DEFAULT_PARTITIONS                                           = tostring(var.default_partitions)
    })
  }
}

data "aws_region" "this" {}

module "access" {
  source = "../access"

  bucket_arn  = var.bucket.arn
  prefix      = var.prefix
  kms_key_arn = var.bucket.kms_key_arn
}

# ---- nodes

resource "aws_cloudwatch_log_group" "this" {
  name              = "/alluvium/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
  tags              = var.tags
}

resource "aws_ecs_cluster" "this" {
  name = var.name
  tags = var.tags

  setting {
    name  = "containerInsights"
    value = var.container_insights ? "enabled" : "disabled"
  }
}

resource "aws_ecs_task_definition" "node" {
  for_each = local.nodes

  family                   = "${var.name}-node-${each.key}"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.cpu_units
  memory                   = var.memory_mb
  task_role_arn            = aws_iam_role.task.arn
  execution_role_arn       = aws_iam_role.execution.arn
  tags                     = var.tags

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.architecture
  }

  container_definitions = jsonencode([
    {
      name                   = "alluvium"
      image                  = var.image
      essential              = true
      command                = ["serve"]
      user                   = "65532:65532"
      readonlyRootFilesystem = true
      # drain_timeout is at most 30 s; what has not ended then is killed.
      stopTimeout = 60
      environment = [for name, value in local.settings[each.key] : { name = name, value = value }]
      portMappings = [
        { name = "kafka", containerPort = local.kafka_port, hostPort = local.kafka_port, protocol = "tcp" },
        { name = "http", containerPort = local.http_port, hostPort = local.http_port, protocol = "tcp" },
        { name = "peers", containerPort = local.peer_port, hostPort = local.peer_port, protocol = "tcp" },
      ]
      ulimits         = [{ name = "nofile", softLimit = 65536, hardLimit = 65536 }]
      linuxParameters = { capabilities = { drop = ["ALL"] } }
      logConfiguration = {
        logDriver = "awslogs"
        options = {
          "awslogs-group"         = aws_cloudwatch_log_group.this.name
          "awslogs-region"        = data.aws_region.this.region
          "awslogs-stream-prefix" = "node-${each.key}"
        }
      }
    },
  ])
}

resource "aws_ecs_service" "node" {
  for_each = local.nodes

  name                               = "${var.name}-node-${each.key}"
  cluster                            = aws_ecs_cluster.this.id
  task_definition                    = aws_ecs_task_definition.node[each.key].arn
  launch_type                        = "FARGATE"
  desired_count                      = 1
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  health_check_grace_period_seconds  = 120
  propagate_tags                     = "SERVICE"
  tags                               = var.tags

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = [var.subnets[each.value.zone]]
    security_groups  = [aws_security_group.node.id]
    assign_public_ip = false
  }

  load_balancer {
    target_group_arn = aws_lb_target_group.node[each.key].arn
    container_name   = "alluvium"
    container_port   = local.kafka_port
  }

  load_balancer {
    target_group_arn = aws_lb_target_group.any.arn
    container_name   = "alluvium"
    container_port   = local.kafka_port
  }

  # A target group takes tasks only once a listener has it.
  depends_on = [aws_lb_listener.node, aws_lb_listener.any, aws_iam_role_policy.bucket, aws_iam_role_policy.execution]
}

# ---- load balancer

resource "aws_lb" "this" {
  name                             = var.name
  load_balancer_type               = "network"
  internal                         = true
  subnets                          = values(var.subnets)
  security_groups                  = [aws_security_group.load_balancer.id]
  enable_cross_zone_load_balancing = true
  enable_deletion_protection       = var.deletion_protection
  tags                             = var.tags
}

resource "aws_lb_target_group" "node" {
  for_each = local.nodes

  name                   = "${var.name}-node-${each.key}"
  port                   = local.kafka_port
  protocol               = "TCP"
  target_type            = "ip"
  vpc_id                 = var.vpc_id
  preserve_client_ip     = false
  deregistration_delay   = 30
  connection_termination = true
  tags                   = var.tags

  health_check {
    protocol            = "HTTP"
    port                = local.http_port
    path                = "/readyz"
    matcher             = "200"
    interval            = 10
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 3
  }
}

# All nodes: where clients begin.
resource "aws_lb_target_group" "any" {
  name                   = "${var.name}-any"
  port                   = local.kafka_port
  protocol               = "TCP"
  target_type            = "ip"
  vpc_id                 = var.vpc_id
  preserve_client_ip     = false
  deregistration_delay   = 30
  connection_termination = true
  tags                   = var.tags

  health_check {
    protocol            = "HTTP"
    port                = local.http_port
    path                = "/readyz"
    matcher             = "200"
    interval            = 10
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 3
  }
}

resource "aws_lb_listener" "node" {
  for_each = local.nodes

  load_balancer_arn = aws_lb.this.arn
  port              = each.value.port
  protocol          = local.protocol
  certificate_arn   = var.certificate_arn
  ssl_policy        = var.certificate_arn == null ? null : "ELBSecurityPolicy-TLS13-1-2-2021-06"
  tags              = var.tags

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.node[each.key].arn
  }
}

resource "aws_lb_listener" "any" {
  load_balancer_arn = aws_lb.this.arn
  port              = var.port
  protocol          = local.protocol
  certificate_arn   = var.certificate_arn
  ssl_policy        = var.certificate_arn == null ? null : "ELBSecurityPolicy-TLS13-1-2-2021-06"
  tags              = var.tags

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.any.arn
  }
}

# ---- who reaches whom

resource "aws_security_group" "load_balancer" {
  name        = "${var.name}-clients"
  description = "Kafka clients of Alluvium"
  vpc_id      = var.vpc_id
  tags        = var.tags
}

resource "aws_vpc_security_group_ingress_rule" "clients" {
  for_each = var.allowed_cidr_blocks

  security_group_id = aws_security_group.load_balancer.id
  description       = "Kafka clients"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = var.port
  to_port           = var.port + var.nodes
}

# A node goes to its own advertised address once, to see whether clients would get there.
resource "aws_vpc_security_group_ingress_rule" "own_address" {
  security_group_id            = aws_security_group.load_balancer.id
  description                  = "Nodes, to their own addresses"
  referenced_security_group_id = aws_security_group.node.id
  ip_protocol                  = "tcp"
  from_port                    = var.port
  to_port                      = var.port + var.nodes
}

resource "aws_vpc_security_group_egress_rule" "to_nodes" {
  for_each = { kafka = local.kafka_port, health = local.http_port }

  security_group_id            = aws_security_group.load_balancer.id
  description                  = "Nodes: ${each.key}"
  referenced_security_group_id = aws_security_group.node.id
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
}

resource "aws_security_group" "node" {
  name        = "${var.name}-nodes"
  description = "Nodes of Alluvium"
  vpc_id      = var.vpc_id
  tags        = var.tags
}

resource "aws_vpc_security_group_ingress_rule" "from_load_balancer" {
  for_each = { kafka = local.kafka_port, health = local.http_port }

  security_group_id            = aws_security_group.node.id
  description                  = "Load balancer: ${each.key}"
  referenced_security_group_id = aws_security_group.load_balancer.id
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
}

resource "aws_vpc_security_group_ingress_rule" "peers" {
  security_group_id            = aws_security_group.node.id
  description                  = "Other nodes"
  referenced_security_group_id = aws_security_group.node.id
  ip_protocol                  = "tcp"
  from_port                    = local.peer_port
  to_port                      = local.peer_port
}

resource "aws_vpc_security_group_egress_rule" "peers" {
  security_group_id            = aws_security_group.node.id
  description                  = "Other nodes"
  referenced_security_group_id = aws_security_group.node.id
  ip_protocol                  = "tcp"
  from_port                    = local.peer_port
  to_port                      = local.peer_port
}

resource "aws_vpc_security_group_egress_rule" "own_address" {
  security_group_id            = aws_security_group.node.id
  description                  = "The load balancer, to see whether the advertised address leads here"
  referenced_security_group_id = aws_security_group.load_balancer.id
  ip_protocol                  = "tcp"
  from_port                    = var.port
  to_port                      = var.port + var.nodes
}

resource "aws_vpc_security_group_egress_rule" "https" {
  security_group_id = aws_security_group.node.id
  description       = "S3, CloudWatch Logs and the registry of the image"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_endpoint" "s3" {
  count = length(var.s3_endpoint_route_tables) == 0 ? 0 : 1

  vpc_id            = var.vpc_id
  service_name      = "com.amazonaws.${data.aws_region.this.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = var.s3_endpoint_route_tables
  tags              = var.tags
}
