# Everything on one bucket: functions for HTTP, nodes for Kafka clients, one compactor for both. What a Kafka client produces, the
# reader gives over HTTP, and the other way round.

module "bucket" {
  source = "../../modules/bucket"

  name = var.bucket_name
}

module "ingest" {
  source = "../../modules/ingest"

  bucket             = module.bucket
  package            = "${var.packages}/ingest-${var.architecture}.zip"
  architecture       = var.architecture
  shards             = var.shards
  default_partitions = var.default_partitions
}

module "reader" {
  source = "../../modules/reader"

  bucket             = module.bucket
  package            = "${var.packages}/reader-${var.architecture}.zip"
  architecture       = var.architecture
  shards             = var.shards
  default_partitions = var.default_partitions
}

module "compactor" {
  source = "../../modules/compactor"

  bucket             = module.bucket
  package            = "${var.packages}/compactor-${var.architecture}.zip"
  architecture       = var.architecture
  shards             = var.shards
  default_partitions = var.default_partitions
}

module "gateway" {
  source = "../../modules/gateway"

  bucket              = module.bucket
  image               = var.image
  vpc_id              = var.vpc_id
  subnets             = var.subnets
  allowed_cidr_blocks = var.allowed_cidr_blocks
  # The function does it.
  compaction         = false
  shards             = var.shards
  default_partitions = var.default_partitions
}

module "observability" {
  source = "../../modules/observability"

  functions              = { ingest = module.ingest, reader = module.reader, compactor = module.compactor }
  dead_letter_queue_name = module.compactor.dead_letter_queue_name
  gateway                = module.gateway
  bucket_name            = module.bucket.name
  alarm_topic_arns       = var.alarm_topic_arns
}
