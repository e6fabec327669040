# A log on functions alone: HTTP in, HTTP out, Parquet files in the bucket. Idle, it costs what the bucket holds and a run of the
# compactor every ten minutes.

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

module "observability" {
  source = "../../modules/observability"

  functions              = { ingest = module.ingest, reader = module.reader, compactor = module.compactor }
  dead_letter_queue_name = module.compactor.dead_letter_queue_name
  bucket_name            = module.bucket.name
  alarm_topic_arns       = var.alarm_topic_arns
}
