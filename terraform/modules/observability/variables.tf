variable "name" {
  description = "What the names of all alarms begin with, and the name of the dashboard."
  type        = string
  default     = "alluvium"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,23}$", var.name))
    error_message = "A name begins with a lower-case letter and has at most 24 lower-case letters, digits and hyphens."
  }
}

variable "functions" {
  description = "Functions to watch, by role: the modules ingest, reader and compactor as a whole, or the names of function and log group, and the id of the API Gateway when there is one."
  type        = map(object({ function_name = string, log_group_name = string, api_id = optional(string) }))
  default     = {}
}

variable "dead_letter_queue_name" {
  description = "Queue of the compactor's runs that failed for good."
  type        = string
  default     = null
}

variable "gateway" {
  description = "The module gateway as a whole, or null when there is none."
  type = object({
    cluster_name              = string
    service_names             = map(string)
    log_group_name            = string
    load_balancer_arn_suffix  = string
    target_group_arn_suffixes = map(string)
  })
  default = null
}

variable "bucket_name" {
  description = "Bucket whose size and number of objects the dashboard shows."
  type        = string
  default     = null
}

variable "alarm_topic_arns" {
  description = "SNS topics that hear of alarms, and of their end. Without one alarms are seen in the console alone."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.alarm_topic_arns : can(regex("^arn:[a-z-]+:sns:[a-z0-9-]+:[0-9]{12}:.+$", arn))])
    error_message = "Topics are given by their ARNs, arn:aws:sns:REGION:ACCOUNT:NAME."
  }
}

variable "server_errors" {
  description = "So many answers with 5xx of one function in five minutes are no alarm yet. Callers try again after a 503; what is above this holds records up."
  type        = number
  default     = 0

  validation {
    condition     = var.server_errors >= 0 && floor(var.server_errors) == var.server_errors
    error_message = "A whole number from 0 on."
  }
}

variable "latency_ms" {
  description = "Time that 99 of 100 invocations of ingest should need at most."
  type        = number
  default     = 2000

  validation {
    condition     = var.latency_ms > 0
    error_message = "More than nothing."
  }
}

variable "compactor_silence_hours" {
  description = "After so many hours without a run of the compactor there is an alarm."
  type        = number
  default     = 1

  validation {
    condition     = var.compactor_silence_hours >= 1 && var.compactor_silence_hours <= 24 && floor(var.compactor_silence_hours) == var.compactor_silence_hours
    error_message = "Between 1 and 24 whole hours."
  }
}

variable "tags" {
  description = "Tags of all resources."
  type        = map(string)
  default     = {}
}
