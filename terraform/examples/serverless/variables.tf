variable "region" {
  description = "Region of everything."
  type        = string
  default     = "eu-central-1"
}

variable "bucket_name" {
  description = "Name of the bucket, unique in the whole of S3."
  type        = string
}

variable "packages" {
  description = "Folder with the zips of the functions, made by `make functions`."
  type        = string
  default     = "../../../target/functions"
}

variable "architecture" {
  description = "Processor that the zips were built for: x86_64 or arm64."
  type        = string
  default     = "x86_64"
}

variable "alarm_topic_arns" {
  description = "SNS topics that hear of alarms."
  type        = list(string)
  default     = []
}

variable "shards" {
  description = "Logs that the cluster is spread over, the same for all parts, since whoever comes first makes it."
  type        = number
  default     = 8
}

variable "default_partitions" {
  description = "Partitions of a topic that is made without a count."
  type        = number
  default     = 8
}
