variable "name" {
  description = "Name of the bucket, unique in the whole of S3."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.name))
    error_message = "A bucket name has 3 to 63 lower-case letters, digits and hyphens; dots do not fit the certificate of S3."
  }
}

variable "kms_key_arn" {
  description = "KMS key that encrypts the objects. Without one S3 encrypts them with keys of its own (SSE-S3), free of charge."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null ? true : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/", var.kms_key_arn))
    error_message = "The key is given by its ARN, arn:aws:kms:REGION:ACCOUNT:key/ID."
  }
}

variable "versioning" {
  description = "Whether S3 keeps deleted objects. Alluvium deletes by itself what nobody refers to, and needs no versions; with them every byte is paid for until it expires."
  type        = bool
  default     = false
}

variable "noncurrent_days" {
  description = "With versioning: days until a deleted object is gone for good."
  type        = number
  default     = 7

  validation {
    condition     = var.noncurrent_days >= 1 && var.noncurrent_days <= 365 && floor(var.noncurrent_days) == var.noncurrent_days
    error_message = "Between 1 and 365 whole days."
  }
}

variable "unfinished_upload_days" {
  description = "Days until the parts of an upload that was never finished are deleted."
  type        = number
  default     = 1

  validation {
    condition     = var.unfinished_upload_days >= 1 && var.unfinished_upload_days <= 30 && floor(var.unfinished_upload_days) == var.unfinished_upload_days
    error_message = "Between 1 and 30 whole days."
  }
}

variable "write_once" {
  description = "Whether the bucket itself refuses to overwrite log entries, whoever asks: they can only be written with If-None-Match."
  type        = bool
  default     = true
}

variable "access_log_bucket" {
  description = "Bucket that gets S3's access logs. Without one there are none."
  type        = string
  default     = null
}

variable "force_destroy" {
  description = "Whether terraform destroy deletes a bucket that still has objects, and with it every record."
  type        = bool
  default     = false
}

variable "tags" {
  description = "Tags of all resources."
  type        = map(string)
  default     = {}
}
