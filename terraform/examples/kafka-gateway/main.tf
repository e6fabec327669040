# A cluster for Kafka clients: three nodes that share nothing but the bucket and compact it themselves.

module "bucket" {
  source = "../../modules/bucket"

  name = var.bucket_name
}

module "gateway" {
  source = "../../modules/gateway"

  bucket              = module.bucket
  image               = var.image
  vpc_id              = var.vpc_id
  subnets             = var.subnets
  allowed_cidr_blocks = var.allowed_cidr_blocks
  shards              = var.shards
  default_partitions  = var.default_partitions
}

module "observability" {
  source = "../../modules/observability"

  gateway     = module.gateway
  bucket_name = module.bucket.name
}
