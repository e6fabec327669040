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
  description = "Zip with the function, as made by `make functions`: target/functions/reader-x86_64.zip."
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
  default     = 512
}

variable "timeout_seconds" {
  description = "The longest that one invocation may take."
  type        = number
  default     = 30

  validation {
    condition     = var.timeout_seconds >= 5
    error_message = "At least 5 seconds: a write that is not resolved in time must still be told as unknown."
  }
}

variable "reserved_concurrency" {
  description = "Invocations that may run at once, a guard against surprises on the bill; -1 is no limit of its own."
  type        = number
  default     = 50
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

variable "door" {
  description = "How callers reach the function: function_url, or http_api for an API Gateway."
  type        = string
  default     = "function_url"

  validation {
    condition     = contains(["function_url", "http_api"], var.door)
    error_message = "function_url or http_api."
  }
}

variable "jwt" {
  description = "With http_api: who signs the tokens of callers. Without it callers sign their requests with AWS credentials."
  type        = object({ issuer = string, audience = list(string) })
  default     = null
}

variable "invokers" {
  description = "Roles or accounts, other than this one's own, that may call the function URL."
  type        = set(string)
  default     = []
}

variable "tags" {
  description = "Tags of all resources."
  type        = map(string)
  default     = {}
}
