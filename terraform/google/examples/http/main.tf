# The HTTP API and the compactor on one bucket of Google Cloud Storage.

module "bucket" {
  source = "../../modules/bucket"

  name     = var.bucket_name
  location = var.region
}

module "http" {
  source = "../../modules/http"

  project            = var.project
  region             = var.region
  bucket_name        = module.bucket.name
  image              = var.image
  invokers           = var.invokers
  shards             = var.shards
  default_partitions = var.default_partitions
}

module "compactor" {
  source = "../../modules/compactor"

  project     = var.project
  region      = var.region
  bucket_name = module.bucket.name
  image       = var.image
  shards      = var.shards
}
