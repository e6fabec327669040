variable "project" {
  description = "Project of everything."
  type        = string
}

variable "region" {
  description = "Region of everything."
  type        = string
  default     = "europe-west3"
}

variable "bucket_name" {
  description = "Name of the bucket, unique in the whole of Google Cloud Storage."
  type        = string
}

variable "image" {
  description = "Image of Alluvium in Artifact Registry, with its tag."
  type        = string
}

variable "invokers" {
  description = "Who may call."
  type        = set(string)
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
