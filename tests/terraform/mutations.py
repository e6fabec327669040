"""Mistakes that somebody might make in terraform/, and the check that has to find each of them.

A mutation replaces `old` by `new` in `file`; `old` has to stand there exactly once unless `every` is set. `by` is what finds it:
`validate`, `test` (the tests of the module that the file is in, or of `where`), or `checkov`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutation:
    """One planted mistake."""

    name: str
    file: str
    old: str
    new: str
    by: tuple[str, ...]
    where: str = ""
    every: bool = False


BUCKET, ACCESS, FUNCTION = "modules/bucket/main.tf", "modules/access/main.tf", "modules/function/main.tf"
COMPACTOR, GATEWAY, OBSERVABILITY = "modules/compactor/main.tf", "modules/gateway/main.tf", "modules/observability/main.tf"

MUTATIONS = [
    Mutation("a public bucket", BUCKET, "  block_public_policy     = true\n", "  block_public_policy     = false\n", ("test", "checkov")),
    Mutation("access lists are back", BUCKET, "BucketOwnerEnforced", "ObjectWriter", ("test",)),
    Mutation("an unencrypted bucket", BUCKET, 'var.kms_key_arn == null ? "AES256" : "aws:kms"', '"none"', ("test",)),
    Mutation("plain HTTP is allowed", BUCKET, '{ "aws:SecureTransport" = "false" }', '{ "aws:SecureTransport" = "true" }', ("test",)),
    Mutation("TLS for the bucket, not for its objects", BUCKET,
             'Resource  = [aws_s3_bucket.this.arn, "${aws_s3_bucket.this.arn}/*"]\n      Condition = { Bool',
             'Resource  = [aws_s3_bucket.this.arn]\n      Condition = { Bool', ("test",)),
    Mutation("the bucket grants to everybody", BUCKET,
             'Sid       = "OnlyOverModernTls"\n      Effect    = "Deny"', 'Sid       = "OnlyOverModernTls"\n      Effect    = "Allow"',
             ("test",)),
    Mutation("log entries may be overwritten", BUCKET, '"${aws_s3_bucket.this.arn}/*/log/*",', "", ("test",)),
    Mutation("old records are deleted by a rule", BUCKET, "      days_after_initiation = var.unfinished_upload_days\n    }\n",
             "      days_after_initiation = var.unfinished_upload_days\n    }\n\n    expiration {\n      days = 30\n    }\n", ("test",)),
    Mutation("destroy takes the records along", "modules/bucket/variables.tf",
             "and with it every record.\"\n  type        = bool\n  default     = false",
             "and with it every record.\"\n  type        = bool\n  default     = true", ("test",)),
    Mutation("a misspelt argument", BUCKET, "block_public_acls ", "block_public_acl ", ("validate",)),
    Mutation("a resource that does not exist", BUCKET, 'resource "aws_s3_bucket_logging"', 'resource "aws_s3_bucket_log"', ("validate",)),
    Mutation("a wildcard action", ACCESS, '["s3:GetObject"]', '["s3:*"]', ("test",)),
    Mutation("a wildcard resource", ACCESS, 'Resource = ["${local.root}/*"]', 'Resource = ["*"]', ("test",)),
    Mutation("the whole bucket", ACCESS, 'root  = "${var.bucket_arn}/${var.prefix}"', 'root  = var.bucket_arn', ("test",)),
    Mutation("ingest may delete", ACCESS, "concat(local.common, local.opening, local.writing.ingest)",
             "concat(local.common, local.opening, local.writing.ingest, local.compacting)", ("test",)),
    Mutation("ingest may not write entries", ACCESS, "ingest    = [local.cluster, local.entries, ", "ingest    = [local.cluster, ", ("test",)),
    Mutation("the compactor may not delete", ACCESS, "Resource = [local.entries, local.checkpoints, local.segments, local.tables]",
             "Resource = [local.checkpoints, local.segments, local.tables]", ("test",)),
    Mutation("missing objects are forbidden", ACCESS, "StringLikeIfExists", "StringLike", ("test",)),
    Mutation("the key cannot be used", ACCESS, '["kms:GenerateDataKey"]', '["kms:Encrypt"]', ("test",)),
    Mutation("a wrong handler", FUNCTION, '"bootstrap"', '"main"', ("test",)),
    Mutation("a wrong runtime", FUNCTION, '"provided.al2023"', '"python3.13"', ("validate", "test")),
    Mutation("the store is not told", FUNCTION, "      ALLUVIUM_STORE              = var.store\n", "", ("test",)),
    Mutation("settings do not reach the function", FUNCTION, 'var.environment, {\n      ALLUVIUM_STORE', '{\n      ALLUVIUM_STORE', ("test",)),
    Mutation("shards do not reach the function", FUNCTION, "tostring(var.shards)", '"1"', ("test",)),
    Mutation("the reader makes a cluster of one log", "modules/reader/main.tf", "= var.shards", "= 1", ("test",)),
    Mutation("the example's compactor makes a cluster of its own", "examples/serverless/main.tf",
             'compactor-${var.architecture}.zip"\n  architecture       = var.architecture\n  shards             = var.shards\n',
             'compactor-${var.architecture}.zip"\n  architecture       = var.architecture\n', ("test",)),
    Mutation("topics that functions make have one partition", FUNCTION, "tostring(var.default_partitions)", '"1"', ("test",)),
    Mutation("an open function URL", FUNCTION, 'authorization_type = "AWS_IAM"', 'authorization_type = "NONE"', ("test",)),
    Mutation("an open API", FUNCTION, '"AWS_IAM" : "JWT"', '"NONE" : "JWT"', ("test",)),
    Mutation("any API may call", FUNCTION, 'source_arn    = "${aws_apigatewayv2_api.this[0].execution_arn}/*/*"',
             "source_arn    = null", ("test", )),
    Mutation("everybody may call", "modules/function/variables.tf", 'condition     = alltrue([for invoker in var.invokers :',
             'condition     = true || alltrue([for invoker in var.invokers :', ("test",)),
    Mutation("logs without an end", FUNCTION, "  name              = local.log_group_name\n  retention_in_days = var.log_retention_days\n",
             "  name              = local.log_group_name\n", ("test", "checkov")),
    Mutation("a role for everybody", FUNCTION, '{ Service = "lambda.amazonaws.com" }', '{ AWS = "*" }', ("test", "checkov")),
    Mutation("a wildcard log policy", FUNCTION, '["${aws_cloudwatch_log_group.this.arn}:*"]', '["*"]', ("test",)),
    Mutation("no dead letters of the scheduler", COMPACTOR,
             "\n    dead_letter_config {\n      arn = aws_sqs_queue.dead_letters.arn\n    }\n", "", ("test",)),
    Mutation("no dead letters of the function", COMPACTOR,
             "\n  destination_config {\n    on_failure {\n      destination = aws_sqs_queue.dead_letters.arn\n    }\n  }\n", "", ("test",)),
    Mutation("an unencrypted queue", COMPACTOR, "sqs_managed_sse_enabled   = true", "sqs_managed_sse_enabled   = false", ("test", "checkov")),
    Mutation("two compactors at once", COMPACTOR, "reserved_concurrency = 1", "reserved_concurrency = 2", ("test",)),
    Mutation("no second try", COMPACTOR, "maximum_retry_attempts       = var.retry_attempts", "maximum_retry_attempts       = 0", ("test",)),
    Mutation("the scheduler may start everything", COMPACTOR, "Resource = [module.function.function_arn]", 'Resource = ["*"]', ("test",)),
    Mutation("the schedule rests", COMPACTOR, '"ENABLED" : "DISABLED"', '"DISABLED" : "ENABLED"', ("test",)),
    Mutation("the compactor has ingest's rights", COMPACTOR, "module.access.policies.compactor", "module.access.policies.ingest", ("test",)),
    Mutation("nodes advertise the same address", GATEWAY, '"${local.host}:${node.port}"\n      ALLUVIUM_PEER',
             '"${local.host}:${var.port}"\n      ALLUVIUM_PEER', ("test",)),
    Mutation("ports are crossed", GATEWAY, "target_group_arn = aws_lb_target_group.node[each.key].arn\n  }\n}",
             'target_group_arn = aws_lb_target_group.node["1"].arn\n  }\n}', ("test",)),
    Mutation("a load balancer on the internet", GATEWAY, "= true\n  subnets  ", "= false\n  subnets  ", ("test",)),
    Mutation("nodes on the internet", GATEWAY, "assign_public_ip = false", "assign_public_ip = true", ("test", "checkov")),
    Mutation("anybody reaches the peers", GATEWAY,
             'description                  = "Other nodes"\n  referenced_security_group_id = aws_security_group.node.id\n  ip_protocol                  = "tcp"\n'
             '  from_port                    = local.peer_port\n  to_port                      = local.peer_port\n}\n\nresource "aws_vpc_security_group_egress_rule" "peers"',
             'description                  = "Other nodes"\n  cidr_ipv4 = "0.0.0.0/0"\n  ip_protocol                  = "tcp"\n'
             '  from_port                    = local.peer_port\n  to_port                      = local.peer_port\n}\n\nresource "aws_vpc_security_group_egress_rule" "peers"',
             ("test",)),
    Mutation("anybody may connect", "modules/gateway/variables.tf", "&& tonumber(split(\"/\", block)[1]) >= 8", "|| true", ("test",)),
    Mutation("health is asked at the wrong door", GATEWAY, '"/readyz"', '"/"', ("test",), every=True),
    Mutation("the old task goes before the new one is there", GATEWAY, "deployment_minimum_healthy_percent = 100",
             "deployment_minimum_healthy_percent = 0", ("test",)),
    Mutation("no time to drain", GATEWAY, "stopTimeout = 60", "stopTimeout = 5", ("test",)),
    Mutation("a container that may write its root", GATEWAY, "readonlyRootFilesystem = true", "readonlyRootFilesystem = false", ("test",)),
    Mutation("nodes without the right to compact", "modules/gateway/roles.tf",
             "module.access.policies.compacting_gateway : module.access.policies.gateway",
             "module.access.policies.gateway : module.access.policies.gateway", ("test",)),
    Mutation("any image may be pulled", "modules/gateway/roles.tf", "[var.ecr_repository_arn]", '["*"]', ("test",)),
    Mutation("clients speak plain text in spite of a certificate", GATEWAY, '"TCP" : "TLS"', '"TCP" : "TCP"', ("test",)),
    Mutation("a silent compactor is no alarm", OBSERVABILITY,
             "  comparison_operator = \"LessThanThreshold\"\n  treat_missing_data  = \"breaching\"\n  alarm_actions       = var.alarm_topic_arns\n"
             "  ok_actions          = var.alarm_topic_arns\n  tags                = var.tags\n}\n\nresource \"aws_cloudwatch_metric_alarm\" \"dead_letters\"",
             "  comparison_operator = \"LessThanThreshold\"\n  treat_missing_data  = \"notBreaching\"\n  alarm_actions       = var.alarm_topic_arns\n"
             "  ok_actions          = var.alarm_topic_arns\n  tags                = var.tags\n}\n\nresource \"aws_cloudwatch_metric_alarm\" \"dead_letters\"",
             ("test",)),
    Mutation("answers with 5xx are looked for among crashes", OBSERVABILITY, '"Url5xxCount"', '"Errors"', ("test",)),
    Mutation("answers of an API Gateway are looked for at the function", OBSERVABILITY, "function.api_id == null ?", "true ?", ("test",)),
    Mutation("the reader does not tell of its API Gateway", "modules/reader/outputs.tf", "module.function.api_id", "null", ("test",)),
    Mutation("dead letters are no alarm", OBSERVABILITY, "count = var.dead_letter_queue_name == null ? 0 : 1", "count = 0", ("test",)),
    Mutation("alarms look at another metric", OBSERVABILITY, "  namespace           = local.namespace\n",
             '  namespace           = "Alluvium"\n', ("test",)),
    Mutation("a public bucket at Google", "google/modules/bucket/main.tf", '"enforced"', '"inherited"', ("test", "checkov")),
    Mutation("old records are deleted by a rule of Google", "google/modules/bucket/main.tf", '"AbortIncompleteMultipartUpload"', '"Delete"',
             ("test",)),
    Mutation("everybody may call at Google", "google/modules/http/variables.tf", "(serviceAccount|user|group|domain):.+", ".+", ("test",)),
    Mutation("two jobs at once", "google/modules/compactor/main.tf", "task_count  = 1", "task_count  = 2", ("test",)),
    Mutation("instances think that they know each other", "google/modules/http/main.tf", '= "none"', '= "0.0.0.0:9192"', ("test",)),
    Mutation("the example forgets the compactor", "examples/complete/main.tf",
             "functions              = { ingest = module.ingest, reader = module.reader, compactor = module.compactor }",
             "functions              = { ingest = module.ingest, reader = module.reader }", ("test",)),
]
