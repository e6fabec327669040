variable "name" {
  description = "What the names of all resources begin with."
  type        = string
  default     = "alluvium"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,23}$", var.name))
    error_message = "A name begins with a lower-case letter and has at most 24 lower-case letters, digits and hyphens."
  }
}

variable "bucket" {
  description = "The bucket: the module bucket as a whole, or its name and arn, and kms_key_arn when it has a key."
  type        = object({ name = string, arn = string, kms_key_arn = optional(string) })
}

variable "prefix" {
  description = "Folder of the cluster in the bucket. All roles of one cluster have the same."
  type        = string
  default     = "alluvium"
}

variable "package" {
  description = "Zip with the function, as made by `make functions`: target/functions/compactor-x86_64.zip."
  type        = string
}

variable "architecture" {
  description = "Processor that the package was built for: x86_64 or arm64."
  type        = string
  default     = "x86_64"
}

variable "memory_mb" {
  description = "Memory in MB. The processor's share grows with it: 1769 MB are one processor."
  type        = number
  default     = 1769
}

variable "timeout_seconds" {
  description = "The longest that one invocation may take."
  type        = number
  default     = 600

  validation {
    condition     = var.timeout_seconds >= 60
    error_message = "At least 60 seconds: a run that is cut off before its first merge never gets anything done."
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

variable "default_partitions" {
  description = "Partitions of a topic that is made without a count, such as by the first record sent to it. All parts of a cluster have the same."
  type        = number
  default     = 8

  validation {
    condition     = var.default_partitions >= 1 && var.default_partitions <= 10000 && floor(var.default_partitions) == var.default_partitions
    error_message = "Between 1 and 10000."
  }
}

variable "environment" {
  description = "Settings beside the store, by the names of docs/reference/settings.md, such as ALLUVIUM_LOG_FILTER."
  type        = map(string)
  default     = {}
}

variable "log_retention_days" {
  description = "Days for which logs are kept, one of those that CloudWatch offers."
  type        = number
  default     = 30
}

variable "kms_key_arn" {
  description = "KMS key for logs and settings; without one AWS uses keys of its own."
  type        = string
  default     = null
}

variable "schedule" {
  description = "When the compactor runs, as EventBridge Scheduler writes it."
  type        = string
  default     = "rate(10 minutes)"

  validation {
    condition     = can(regex("^(rate\\([0-9]+ (minute|minutes|hour|hours|day|days)\\)|cron\\([^)]+\\))$", var.schedule))
    error_message = "rate(10 minutes), or cron(...)."
  }
}

variable "enabled" {
  description = "Whether the schedule runs. Without it the log grows, and retention and compaction stand still."
  type        = bool
  default     = true
}

variable "retry_attempts" {
  description = "How often the scheduler tries again when the function cannot be started."
  type        = number
  default     = 3

  validation {
    condition     = var.retry_attempts >= 1 && var.retry_attempts <= 185 && floor(var.retry_attempts) == var.retry_attempts
    error_message = "Between 1 and 185."
  }
}

variable "event_age_seconds" {
  description = "How old a run that could not be started may get. The next one does its work as well."
  type        = number
  default     = 600

  validation {
    condition     = var.event_age_seconds >= 60 && var.event_age_seconds <= 21600 && floor(var.event_age_seconds) == var.event_age_seconds
    error_message = "Between 60 and 21600 seconds."
  }
}

variable "tags" {
  description = "Tags of all resources."
  type        = map(string)
  default     = {}
}
