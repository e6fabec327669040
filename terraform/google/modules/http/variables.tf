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

variable "instances_max" {
  description = "Instances that may run at once. Consumers with a session (v2) are kept by one instance each: for them take 1."
  type        = number
  default     = 3

  validation {
    condition     = var.instances_max >= 1 && var.instances_max <= 100 && floor(var.instances_max) == var.instances_max
    error_message = "Between 1 and 100."
  }
}

variable "instances_min" {
  description = "Instances that run although nobody asks; 0 costs nothing when idle."
  type        = number
  default     = 0

  validation {
    condition     = var.instances_min >= 0 && floor(var.instances_min) == var.instances_min && var.instances_min <= var.instances_max
    error_message = "Between 0 and instances_max."
  }
}

variable "processors" {
  description = "Processors of an instance."
  type        = string
  default     = "1"

  validation {
    condition     = contains(["1", "2", "4", "8"], var.processors)
    error_message = "1, 2, 4 or 8."
  }
}

variable "memory" {
  description = "Memory of an instance."
  type        = string
  default     = "1Gi"

  validation {
    condition     = can(regex("^[0-9]+(Mi|Gi)$", var.memory))
    error_message = "A size such as 512Mi or 2Gi."
  }
}

variable "invokers" {
  description = "Who may call, such as serviceAccount:NAME@PROJECT.iam.gserviceaccount.com or group:NAME@example.org."
  type        = set(string)

  validation {
    condition     = alltrue([for invoker in var.invokers : can(regex("^(serviceAccount|user|group|domain):.+$", invoker))])
    error_message = "Accounts, users, groups or domains: never allUsers or allAuthenticatedUsers."
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
  description = "Further settings, by the names of docs/reference/settings.md."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.environment) : can(regex("^(ALLUVIUM_[A-Z0-9_]+|RUST_BACKTRACE)$", name))])
    error_message = "Settings are called ALLUVIUM_SOMETHING."
  }

  validation {
    condition     = length(setintersection(keys(var.environment), ["ALLUVIUM_SHARDS", "ALLUVIUM_DEFAULT_PARTITIONS"])) == 0
    error_message = "shards and default_partitions are inputs of their own."
  }
}

variable "deletion_protection" {
  description = "Whether the service is protected from terraform destroy."
  type        = bool
  default     = false
}
