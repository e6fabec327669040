variable "name" {
  description = "What the names of all resources begin with."
  type        = string
  default     = "alluvium"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{3,17}$", var.name))
    error_message = "A name begins with a lower-case letter and has 4 to 18 lower-case letters, digits and hyphens."
  }
}

variable "project" {
  description = "Project of all resources."
  type        = string
}

variable "region" {
  description = "Region of all resources, that of the bucket."
  type        = string
}

variable "bucket_name" {
  description = "Bucket of the cluster."
  type        = string
}

variable "prefix" {
  description = "Folder of the cluster in the bucket. All parts of one cluster have the same."
  type        = string
  default     = "alluvium"

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9_.-]*(/[A-Za-z0-9][A-Za-z0-9_.-]*)*$", var.prefix))
    error_message = "A prefix is one or more names of letters, digits, dots, hyphens and underscores, with a slash between them."
  }
}

variable "image" {
  description = "Image of Alluvium, made by deploy/Dockerfile, in Artifact Registry, with a tag other than latest or a digest."
  type        = string

  validation {
    condition     = can(regex("[^/](:[a-zA-Z0-9_.-]+|@sha256:[0-9a-f]{64})$", var.image)) && !endswith(var.image, ":latest")
    error_message = "An image with a tag other than latest, or with a digest."
  }
}

variable "shards" {
  description = "Logs that a new cluster is spread over, between which its partitions are shared out. Whoever opens the bucket first makes the cluster: all parts of it have the same. An existing cluster keeps its own; `alluvium cluster set-shards` raises it."
  type        = number
  default     = 8

  validation {
    condition     = var.shards >= 1 && var.shards <= 256 && floor(var.shards) == var.shards
    error_message = "Between 1 and 256."
  }
}

variable "schedule" {
  description = "When the compactor runs, as cron writes it, in UTC."
  type        = string
  default     = "*/10 * * * *"

  validation {
    condition     = length(split(" ", var.schedule)) == 5
    error_message = "Five fields: minute, hour, day, month, day of the week."
  }
}

variable "timeout_seconds" {
  description = "The longest that one run may take."
  type        = number
  default     = 600

  validation {
    condition     = var.timeout_seconds >= 60 && var.timeout_seconds <= 3600 && floor(var.timeout_seconds) == var.timeout_seconds
    error_message = "Between 60 and 3600 whole seconds."
  }
}

variable "memory" {
  description = "Memory of a run."
  type        = string
  default     = "2Gi"

  validation {
    condition     = can(regex("^[0-9]+(Mi|Gi)$", var.memory))
    error_message = "A size such as 512Mi or 2Gi."
  }
}
