# Two roles: the task's own, for the bucket, and the one with which ECS starts a task.

locals {
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect    = "Allow"
        Action    = "sts:AssumeRole"
        Principal = { Service = "ecs-tasks.amazonaws.com" }
      },
    ]
  })

  pulling = var.ecr_repository_arn == null ? [] : [
    {
      Sid      = "PullTheImage"
      Effect   = "Allow"
      Action   = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"]
      Resource = [var.ecr_repository_arn]
    },
    {
      # This action knows no resource.
      Sid      = "LogInToTheRegistry"
      Effect   = "Allow"
      Action   = ["ecr:GetAuthorizationToken"]
      Resource = ["*"]
    },
  ]
}

resource "aws_iam_role" "task" {
  name               = "${var.name}-node"
  description        = "Role of the nodes of Alluvium."
  assume_role_policy = local.assume_role_policy
  tags               = var.tags
}

resource "aws_iam_role_policy" "bucket" {
  name   = "bucket"
  role   = aws_iam_role.task.id
  policy = var.compaction ? module.access.policies.compacting_gateway : module.access.policies.gateway
}

resource "aws_iam_role" "execution" {
  name               = "${var.name}-start"
  description        = "With it ECS starts nodes of Alluvium."
  assume_role_policy = local.assume_role_policy
  tags               = var.tags
}

resource "aws_iam_role_policy" "execution" {
  name = "start"
  role = aws_iam_role.execution.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Sid      = "WriteTheLog"
          Effect   = "Allow"
          Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
          Resource = ["${aws_cloudwatch_log_group.this.arn}:*"]
        },
      ],
      local.pulling,
    )
  })
}
