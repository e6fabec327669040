variable "bucket_arn" {
  description = "ARN of the bucket."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:s3:::[a-z0-9][a-z0-9.-]+$", var.bucket_arn))
    error_message = "The bucket is given by its ARN, arn:aws:s3:::NAME."
  }
}

variable "prefix" {
  description = "Folder of the cluster in the bucket, without slashes at its ends."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9_.-]*(/[A-Za-z0-9][A-Za-z0-9_.-]*)*$", var.prefix))
    error_message = "A prefix is one or more names of letters, digits, dots, hyphens and underscores, with a slash between them."
  }
}

variable "kms_key_arn" {
  description = "KMS key of the bucket, or null."
  type        = string
  default     = null
}
