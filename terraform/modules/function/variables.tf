variable "name" {
  description = "Name of the function; its role and log group are called after it."
  type        = string

  validation {
    condition     = can(regex("^[a-zA-Z][a-zA-Z0-9-]{0,47}$", var.name))
    error_message = "A name begins with a letter and has at most 48 letters, digits and hyphens."
  }
}

variable "description" {
  description = "What the function is for."
  type        = string
}

variable "package" {
  description = "Zip with the executable `bootstrap`, as made by `make functions`."
  type        = string

  validation {
    condition     = endswith(var.package, ".zip")
    error_message = "The package is a zip file, such as target/functions/ingest-x86_64.zip."
  }

  validation {
    condition     = fileexists(var.package)
    error_message = "There is no such file: make it with `make functions`."
  }
}

variable "architecture" {
  description = "Processor that the package was built for: x86_64 or arm64."
  type        = string
  default     = "x86_64"

  validation {
    condition     = contains(["x86_64", "arm64"], var.architecture)
    error_message = "x86_64 or arm64."
  }
}

variable "memory_mb" {
  description = "Memory in MB, between 128 and 10240. The processor's share grows with it: 1769 MB are one processor."
  type        = number

  validation {
    condition     = var.memory_mb >= 128 && var.memory_mb <= 10240 && floor(var.memory_mb) == var.memory_mb
    error_message = "Between 128 and 10240 whole MB."
  }
}

variable "timeout_seconds" {
  description = "The longest that one invocation may take, between 3 and 900 seconds."
  type        = number

  validation {
    condition     = var.timeout_seconds >= 3 && var.timeout_seconds <= 900 && floor(var.timeout_seconds) == var.timeout_seconds
    error_message = "Between 3 and 900 whole seconds."
  }
}

variable "reserved_concurrency" {
  description = "Invocations that may run at once; -1 is no limit of its own."
  type        = number

  validation {
    condition     = var.reserved_concurrency == -1 || (var.reserved_concurrency >= 1 && floor(var.reserved_concurrency) == var.reserved_concurrency)
    error_message = "-1, or at least 1: with 0 the function would never run."
  }
}

variable "store" {
  description = "The store, s3://BUCKET/PREFIX."
  type        = string

  validation {
    condition     = can(regex("^s3://[a-z0-9][a-z0-9.-]+/.+[^/]$", var.store))
    error_message = "The store is s3://BUCKET/PREFIX, without a slash at its end."
  }
}

variable "policy" {
  description = "Policy document (JSON) with what the function may do beside writing its log."
  type        = string
}

variable "shards" {
  description = "Logs that a new cluster is spread over, between which its partitions are shared out. Whoever opens the bucket first makes the cluster: all parts of it have the same. An existing cluster keeps its own; `alluvium cluster set-shards` raises it."
  type        = number

  validation {
    condition     = var.shards >= 1 && var.shards <= 256 && floor(var.shards) == var.shards
    error_message = "Between 1 and 256."
  }
}

variable "default_partitions" {
  description = "Partitions of a topic that is made without a count, such as by the first record sent to it. All parts of a cluster have the same."
  type        = number

  validation {
    condition     = var.default_partitions >= 1 && var.default_partitions <= 10000 && floor(var.default_partitions) == var.default_partitions
    error_message = "Between 1 and 10000."
  }
}

variable "environment" {
  description = "Settings beside the store, by the names of docs/reference/settings.md, such as ALLUVIUM_LOG_FILTER."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.environment) : can(regex("^(ALLUVIUM_[A-Z0-9_]+|RUST_BACKTRACE)$", name))])
    error_message = "Settings are called ALLUVIUM_SOMETHING."
  }

  validation {
    condition     = length(setintersection(keys(var.environment), ["ALLUVIUM_STORE", "ALLUVIUM_SHARDS", "ALLUVIUM_DEFAULT_PARTITIONS", "ALLUVIUM_ACCESS_KEY_ID", "ALLUVIUM_SECRET_ACCESS_KEY", "ALLUVIUM_SESSION_TOKEN"])) == 0
    error_message = "Store, shards and default_partitions are inputs of their own, and credentials come from the role."
  }
}

variable "log_retention_days" {
  description = "Days for which logs are kept, one of those that CloudWatch offers."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "CloudWatch offers 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365 days and some longer times."
  }
}

variable "kms_key_arn" {
  description = "KMS key for logs and settings; without one AWS uses keys of its own."
  type        = string
  default     = null
}

variable "door" {
  description = "How callers reach the function: function_url, http_api (API Gateway) or none."
  type        = string
  default     = "none"

  validation {
    condition     = contains(["function_url", "http_api", "none"], var.door)
    error_message = "function_url, http_api or none."
  }
}

variable "jwt" {
  description = "With http_api: who signs the tokens of callers. Without it callers sign their requests with AWS credentials."
  type        = object({ issuer = string, audience = list(string) })
  default     = null

  validation {
    condition     = var.jwt == null ? true : startswith(var.jwt.issuer, "https://") && length(var.jwt.audience) > 0
    error_message = "The issuer is an https:// URL, and there is at least one audience."
  }

  validation {
    condition     = var.jwt == null || var.door == "http_api"
    error_message = "Tokens are checked by API Gateway: set door to http_api."
  }
}

variable "invokers" {
  description = "Roles or accounts, other than this one's own, that may call the function URL. Callers of this account need lambda:InvokeFunctionUrl and lambda:InvokeFunction in their own policies."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for invoker in var.invokers : can(regex("^(arn:[a-z-]+:iam::[0-9]{12}:(role|user|root).*|[0-9]{12})$", invoker))])
    error_message = "An invoker is the ARN of a role or user, or the number of an account: never everybody."
  }
}

variable "tags" {
  description = "Tags of all resources."
  type        = map(string)
  default     = {}
}
