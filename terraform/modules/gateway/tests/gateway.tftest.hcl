mock_provider "aws" {
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-central-1:123456789012:log-group:/alluvium/alluvium" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/alluvium" }
  }
  mock_resource "aws_lb" {
    defaults = { dns_name = "alluvium-1.elb.eu-central-1.amazonaws.com" }
  }
  mock_data "aws_region" {
    defaults = { region = "eu-central-1" }
  }
}

variables {
  bucket              = { name = "events", arn = "arn:aws:s3:::events" }
  image               = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/alluvium:0.1.0"
  vpc_id              = "vpc-1"
  subnets             = { eu-central-1a = "subnet-a", eu-central-1b = "subnet-b" }
  allowed_cidr_blocks = ["10.0.0.0/16"]
}

run "each_node_has_an_address" {
  assert {
    condition = output.node_addresses == {
      "1" = "alluvium-1.elb.eu-central-1.amazonaws.com:9093"
      "2" = "alluvium-1.elb.eu-central-1.amazonaws.com:9094"
      "3" = "alluvium-1.elb.eu-central-1.amazonaws.com:9095"
    }
    error_message = "Three nodes, three ports of the load balancer."
  }

  assert {
    condition     = output.bootstrap_servers == "alluvium-1.elb.eu-central-1.amazonaws.com:9092"
    error_message = "Clients begin at the first port."
  }

  assert {
    condition     = alltrue([for number, listener in aws_lb_listener.node : "alluvium-1.elb.eu-central-1.amazonaws.com:${listener.port}" == output.node_addresses[number]])
    error_message = "A listener stands behind each address that clients are told."
  }

  assert {
    condition = alltrue([
      for number, listener in aws_lb_listener.node :
      one(listener.default_action).target_group_arn == aws_lb_target_group.node[number].arn && contains([for balancer in aws_ecs_service.node[number].load_balancer : balancer.target_group_arn], aws_lb_target_group.node[number].arn)
    ])
    error_message = "A node's port leads to that node alone."
  }

  assert {
    condition     = alltrue([for service in aws_ecs_service.node : contains([for balancer in service.load_balancer : balancer.target_group_arn], aws_lb_target_group.any.arn)])
    error_message = "The first port leads to all nodes."
  }
}

run "container" {
  assert {
    condition = alltrue([
      for number, task in aws_ecs_task_definition.node : alltrue([
        jsondecode(task.container_definitions)[0].readonlyRootFilesystem,
        jsondecode(task.container_definitions)[0].user == "65532:65532",
        jsondecode(task.container_definitions)[0].stopTimeout == 60,
        jsondecode(task.container_definitions)[0].command == ["serve"],
        jsondecode(task.container_definitions)[0].linuxParameters.capabilities.drop == ["ALL"],
        [for mapping in jsondecode(task.container_definitions)[0].portMappings : mapping.containerPort] == [9092, 9644, 9192],
      ])
    ])
    error_message = "The container runs without rights, on a read-only root, and has time to drain."
  }

  assert {
    condition = { for entry in jsondecode(aws_ecs_task_definition.node["2"].container_definitions)[0].environment : entry.name => entry.value } == {
      ALLUVIUM_ADVERTISE          = "alluvium-1.elb.eu-central-1.amazonaws.com:9094"
      ALLUVIUM_COMPACTION         = "true"
      ALLUVIUM_DEFAULT_PARTITIONS = "8"
      ALLUVIUM_SHARDS             = "8"
      ALLUVIUM_HTTP_LISTEN        = "0.0.0.0:9644"
      ALLUVIUM_LISTEN             = "0.0.0.0:9092"
      ALLUVIUM_LOG_FORMAT         = "json"
      ALLUVIUM_NODE_ID            = "auto"
      ALLUVIUM_PEER_LISTEN        = "0.0.0.0:9192"
      ALLUVIUM_REGION             = "eu-central-1"
      ALLUVIUM_STORE              = "s3://events/alluvium"
      ALLUVIUM_ZONE               = "eu-central-1b"
    }
    error_message = "A node's settings say where it is and how it is reached."
  }
}

run "tasks_are_replaced_without_a_gap" {
  assert {
    condition = alltrue([
      for service in aws_ecs_service.node :
      service.desired_count == 1 && service.deployment_minimum_healthy_percent == 100 && service.deployment_maximum_percent == 200 && one(service.deployment_circuit_breaker).rollback
    ])
    error_message = "The new task runs before the old one goes, and a version that does not start is taken back."
  }

  assert {
    condition = alltrue([
      for group in concat(values(aws_lb_target_group.node), [aws_lb_target_group.any]) :
      one(group.health_check).path == "/readyz" && one(group.health_check).port == "9644" && one(group.health_check).protocol == "HTTP" && group.target_type == "ip"
    ])
    error_message = "Clients are sent to nodes that say that they are ready."
  }

  assert {
    condition     = [for number in ["1", "2", "3"] : one(one(aws_ecs_service.node[number].network_configuration).subnets)] == ["subnet-a", "subnet-b", "subnet-a"]
    error_message = "Nodes are spread over the zones in turn."
  }
}

run "who_reaches_whom" {
  assert {
    condition     = aws_lb.this.internal && aws_lb.this.enable_cross_zone_load_balancing
    error_message = "The load balancer is not on the internet, and each of its addresses leads to every node."
  }

  assert {
    condition = alltrue([
      for rule in aws_vpc_security_group_ingress_rule.clients : rule.cidr_ipv4 == "10.0.0.0/16" && rule.from_port == 9092 && rule.to_port == 9095
    ])
    error_message = "Allowed networks reach the ports of the nodes."
  }

  assert {
    condition     = alltrue([for rule in aws_vpc_security_group_ingress_rule.from_load_balancer : rule.referenced_security_group_id == aws_security_group.load_balancer.id])
    error_message = "Only the load balancer reaches the listeners."
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.peers.referenced_security_group_id == aws_security_group.node.id && aws_vpc_security_group_ingress_rule.peers.from_port == 9192
    error_message = "Only nodes reach the port of the nodes."
  }

  assert {
    condition     = alltrue([for service in aws_ecs_service.node : !one(service.network_configuration).assign_public_ip])
    error_message = "Nodes have no public address."
  }
}

run "roles" {
  assert {
    condition     = aws_iam_role_policy.bucket.policy == module.access.policies.compacting_gateway
    error_message = "Nodes that compact may delete."
  }

  assert {
    condition     = [for statement in jsondecode(aws_iam_role_policy.execution.policy).Statement : statement.Sid] == ["WriteTheLog"]
    error_message = "A public image needs no rights to be pulled."
  }
}

run "compaction_elsewhere" {
  variables {
    compaction         = false
    ecr_repository_arn = "arn:aws:ecr:eu-central-1:123456789012:repository/alluvium"
  }

  assert {
    condition     = aws_iam_role_policy.bucket.policy == module.access.policies.gateway
    error_message = "Nodes that do not compact delete nothing of the log."
  }

  assert {
    condition     = contains([for entry in jsondecode(aws_ecs_task_definition.node["1"].container_definitions)[0].environment : "${entry.name}=${entry.value}"], "ALLUVIUM_COMPACTION=false")
    error_message = "Nodes do not compact."
  }

  assert {
    condition = [for statement in jsondecode(aws_iam_role_policy.execution.policy).Statement : statement.Resource if statement.Sid == "PullTheImage"] == [
      ["arn:aws:ecr:eu-central-1:123456789012:repository/alluvium"],
    ]
    error_message = "One repository may be pulled from."
  }
}

run "tls" {
  variables {
    certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/0000"
    advertised_host = "kafka.example.org"
    port            = 19092
    nodes           = 2
  }

  assert {
    condition = alltrue([
      for listener in concat(values(aws_lb_listener.node), [aws_lb_listener.any]) :
      listener.protocol == "TLS" && listener.ssl_policy == "ELBSecurityPolicy-TLS13-1-2-2021-06"
    ])
    error_message = "All ports speak TLS."
  }

  assert {
    condition     = output.bootstrap_servers == "kafka.example.org:19092" && output.node_addresses == { "1" = "kafka.example.org:19093", "2" = "kafka.example.org:19094" }
    error_message = "Clients are told a name of the certificate."
  }
}

run "endpoint_of_s3" {
  variables {
    s3_endpoint_route_tables = ["rtb-1"]
  }

  assert {
    condition     = aws_vpc_endpoint.s3[0].service_name == "com.amazonaws.eu-central-1.s3" && aws_vpc_endpoint.s3[0].vpc_endpoint_type == "Gateway"
    error_message = "Traffic with the bucket stays in the network."
  }
}

run "refused" {
  command = plan

  variables {
    shards              = 0
    default_partitions  = 0
    image               = "alluvium:latest"
    subnets             = { somewhere = "subnet-a" }
    nodes               = 0
    cpu_units           = 1000
    architecture        = "x86"
    port                = 80
    advertised_host     = "kafka.example.org:9092"
    allowed_cidr_blocks = ["0.0.0.0/0"]
  }

  expect_failures = [var.shards, var.default_partitions,
    var.image, var.subnets, var.nodes, var.cpu_units, var.architecture, var.port, var.advertised_host, var.allowed_cidr_blocks,
  ]
}

run "public_networks_are_refused" {
  command = plan

  variables {
    allowed_cidr_blocks = ["172.32.0.0/16"]
  }

  expect_failures = [var.allowed_cidr_blocks]
}

run "a_certificate_needs_a_name" {
  command = plan

  variables {
    certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/0000"
  }

  expect_failures = [var.advertised_host]
}

run "addresses_are_not_settings" {
  command = plan

  variables {
    environment = { ALLUVIUM_ADVERTISE = "elsewhere:9092" }
  }

  expect_failures = [var.environment]
}

run "memory_fits_the_processor" {
  command = plan

  variables {
    cpu_units = 1024
    memory_mb = 16384
  }

  expect_failures = [var.memory_mb]
}

run "memory_comes_in_steps" {
  command = plan

  variables {
    memory_mb = 2500
  }

  expect_failures = [var.memory_mb]
}
