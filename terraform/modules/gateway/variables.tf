variable "name" {
  description = "What the names of all resources begin with."
  type        = string
  default     = "alluvium"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,19}$", var.name))
    error_message = "A name begins with a lower-case letter and has at most 20 lower-case letters, digits and hyphens."
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

variable "image" {
  description = "Image of Alluvium, made by deploy/Dockerfile, by its tag or digest."
  type        = string

  validation {
    condition     = can(regex("^[a-zA-Z0-9][a-zA-Z0-9./_-]*(:[0-9]+/[a-zA-Z0-9./_-]+)?(:[a-zA-Z0-9_.-]+|@sha256:[0-9a-f]{64})$", var.image)) && !endswith(var.image, ":latest")
    error_message = "An image with a tag other than latest, or with a digest: nodes of one cluster should be of one version."
  }
}

variable "ecr_repository_arn" {
  description = "Repository of the image when it is a private one of ECR: the only one that may be pulled from."
  type        = string
  default     = null
}

variable "vpc_id" {
  description = "Network of nodes and load balancer."
  type        = string
}

variable "subnets" {
  description = "One private subnet for each availability zone that nodes run in: zone name to subnet id. They need a way to S3, to CloudWatch Logs and to the registry of the image."
  type        = map(string)

  validation {
    condition     = length(var.subnets) >= 1 && alltrue([for zone in keys(var.subnets) : can(regex("^[a-z]{2}(-[a-z]+)+-[0-9][a-z]$", zone))])
    error_message = "At least one zone by its name, such as { eu-central-1a = \"subnet-1\" }."
  }
}

variable "nodes" {
  description = "How many nodes there are. Node n runs in zone n modulo the number of zones, and has a port of its own."
  type        = number
  default     = 3

  validation {
    condition     = var.nodes >= 1 && var.nodes <= 24 && floor(var.nodes) == var.nodes
    error_message = "Between 1 and 24."
  }
}

variable "cpu_units" {
  description = "Processor of a node: 256 (a quarter), 512, 1024 (one), 2048, 4096 or 8192."
  type        = number
  default     = 1024

  validation {
    condition     = contains([256, 512, 1024, 2048, 4096, 8192], var.cpu_units)
    error_message = "256, 512, 1024, 2048, 4096 or 8192."
  }
}

variable "memory_mb" {
  description = "Memory of a node in MB, between twice and eight times the units of processor. The defaults of Alluvium's caches and limits fit into 2048."
  type        = number
  default     = 2048

  validation {
    condition     = var.memory_mb % 1024 == 0 && var.memory_mb >= 1024
    error_message = "At least 1024, in steps of 1024."
  }

  validation {
    condition     = var.memory_mb >= 2 * var.cpu_units && var.memory_mb <= 8 * var.cpu_units
    error_message = "Fargate wants between twice and eight times as many MB as units of processor."
  }
}

variable "architecture" {
  description = "Processor that the image was built for: X86_64 or ARM64."
  type        = string
  default     = "X86_64"

  validation {
    condition     = contains(["X86_64", "ARM64"], var.architecture)
    error_message = "X86_64 or ARM64."
  }
}

variable "allowed_cidr_blocks" {
  description = "Networks whose clients may connect. The Kafka listener has neither authentication nor quotas: private networks only."
  type        = set(string)

  validation {
    condition     = length(var.allowed_cidr_blocks) > 0 && alltrue([for block in var.allowed_cidr_blocks : can(cidrhost(block, 0))])
    error_message = "At least one network, such as 10.0.0.0/8."
  }

  validation {
    condition = alltrue([
      for block in var.allowed_cidr_blocks : can(regex("^(10\\.|192\\.168\\.|172\\.(1[6-9]|2[0-9]|3[01])\\.|100\\.(6[4-9]|[7-9][0-9]|1[01][0-9]|12[0-7])\\.)", block)) && tonumber(split("/", block)[1]) >= 8
    ])
    error_message = "Private networks of IPv4 only (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10): whoever connects may read and write everything."
  }
}

variable "port" {
  description = "Port of the load balancer where clients begin. Node n has the port after it by n + 1: with 9092 the first node has 9093."
  type        = number
  default     = 9092

  validation {
    condition     = var.port >= 1024 && var.port <= 65000
    error_message = "Between 1024 and 65000."
  }
}

variable "certificate_arn" {
  description = "Certificate of ACM: the load balancer then speaks TLS with clients. The advertised host has to be a name of it."
  type        = string
  default     = null
}

variable "advertised_host" {
  description = "Name by which clients reach the load balancer. Without one it is the load balancer's own."
  type        = string
  default     = null

  validation {
    condition     = var.advertised_host == null ? true : can(regex("^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$", var.advertised_host))
    error_message = "A host name in lower case, without port."
  }

  validation {
    condition     = var.certificate_arn == null || var.advertised_host != null
    error_message = "With a certificate clients need a name that stands in it: set advertised_host."
  }
}

variable "compaction" {
  description = "Whether nodes merge, retain and delete. Turn it off when the module compactor does it."
  type        = bool
  default     = true
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
  description = "Further settings of the nodes, by the names of docs/reference/settings.md."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.environment) : can(regex("^(ALLUVIUM_[A-Z0-9_]+|RUST_BACKTRACE)$", name))])
    error_message = "Settings are called ALLUVIUM_SOMETHING."
  }

  validation {
    condition     = length(setintersection(keys(var.environment), ["ALLUVIUM_STORE", "ALLUVIUM_LISTEN", "ALLUVIUM_ADVERTISE", "ALLUVIUM_PEER_LISTEN", "ALLUVIUM_HTTP_LISTEN", "ALLUVIUM_NODE_ID", "ALLUVIUM_ZONE", "ALLUVIUM_COMPACTION", "ALLUVIUM_SHARDS", "ALLUVIUM_DEFAULT_PARTITIONS", "ALLUVIUM_ACCESS_KEY_ID", "ALLUVIUM_SECRET_ACCESS_KEY", "ALLUVIUM_SESSION_TOKEN"])) == 0
    error_message = "Addresses, store, ids, zones, compaction, shards and partitions are set by this module, and credentials come from the role."
  }
}

variable "log_retention_days" {
  description = "Days for which logs are kept, one of those that CloudWatch offers."
  type        = number
  default     = 30
}

variable "kms_key_arn" {
  description = "KMS key for the logs; without one AWS uses keys of its own."
  type        = string
  default     = null
}

variable "container_insights" {
  description = "Whether ECS sends metrics of each task, for a fee. Alarms and dashboard do without."
  type        = bool
  default     = false
}

variable "s3_endpoint_route_tables" {
  description = "Route tables of the subnets that get a gateway endpoint for S3, so that traffic with the bucket costs nothing. Leave it empty when there is one."
  type        = set(string)
  default     = []
}

variable "deletion_protection" {
  description = "Whether the load balancer, whose name clients know, is protected from terraform destroy."
  type        = bool
  default     = false
}

variable "tags" {
  description = "Tags of all resources."
  type        = map(string)
  default     = {}
}
