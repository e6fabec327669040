# Gives records over HTTP, and commits offsets of consumers that need no session.

module "access" {
  source = "../access"

  bucket_arn  = var.bucket.arn
  prefix      = var.prefix
  kms_key_arn = var.bucket.kms_key_arn
}

module "function" {
  source = "../function"

  name                 = "${var.name}-reader"
  description          = "Alluvium: gives records over HTTP"
  package              = var.package
  architecture         = var.architecture
  memory_mb            = var.memory_mb
  timeout_seconds      = var.timeout_seconds
  reserved_concurrency = var.reserved_concurrency
  store                = "s3://${var.bucket.name}/${var.prefix}"
  policy               = module.access.policies.reader
  shards               = var.shards
  default_partitions   = var.default_partitions
  environment          = var.environment
  log_retention_days   = var.log_retention_days
  kms_key_arn          = var.kms_key_arn
  door                 = var.door
  jwt                  = var.jwt
  invokers             = var.invokers
  tags                 = var.tags
}
