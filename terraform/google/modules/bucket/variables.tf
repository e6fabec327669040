variable "name" {
  description = "Name of the bucket, unique in the whole of Google Cloud Storage."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9_-]{1,61}[a-z0-9]$", var.name))
    error_message = "A bucket name has 3 to 63 lower-case letters, digits, hyphens and underscores."
  }
}

variable "location" {
  description = "Region of the bucket, the one that Alluvium runs in."
  type        = string
}

variable "kms_key_name" {
  description = "KMS key that encrypts the objects. Without one Google encrypts them with keys of its own."
  type        = string
  default     = null
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

variable "soft_delete_days" {
  description = "Days for which Google keeps deleted objects, at the price of others: 0, or 7 to 90. Alluvium needs none."
  type        = number
  default     = 0

  validation {
    condition     = var.soft_delete_days == 0 || (var.soft_delete_days >= 7 && var.soft_delete_days <= 90)
    error_message = "0, or between 7 and 90."
  }
}

variable "force_destroy" {
  description = "Whether terraform destroy deletes a bucket that still has objects, and with it every record."
  type        = bool
  default     = false
}

variable "labels" {
  description = "Labels of the bucket."
  type        = map(string)
  default     = {}
}
