# What each role may do in the bucket, and no more. This is the one place that knows how keys are spelled
# (log/src/paths.rs): {prefix}/{hash}/{shard}/log/..., beside it checkpoint/, head, segment/ and topic/.
#
# Invariants
# 1. Only the compactor, and a gateway that compacts, may delete what is part of the log.
# 2. Nobody may change the bucket itself, its policy, or anything outside the prefix.

locals {
  root  = "${var.bucket_arn}/${var.prefix}"
  shard = "${local.root}/*/*"

  entries     = "${local.shard}/log/*"
  checkpoints = "${local.shard}/checkpoint/*"
  heads       = "${local.shard}/head"
  segments    = "${local.shard}/segment/*"
  tables      = "${local.shard}/topic/*"
  probes      = "${local.root}/probe/*"
  nodes       = "${local.root}/node/*"
  cluster     = "${local.root}/cluster.json"
  producers   = "${local.root}/producer-id/*"

  # A missing object is "not found" only to those who may list, else it is "forbidden". A read has no s3:prefix to compare: hence
  # IfExists, without which every look at the end of the log would be refused.
  reading = [
    {
      Sid      = "Read"
      Effect   = "Allow"
      Action   = ["s3:GetObject"]
      Resource = ["${local.root}/*"]
    },
    {
      Sid       = "List"
      Effect    = "Allow"
      Action    = ["s3:ListBucket"]
      Resource  = [var.bucket_arn]
      Condition = { StringLikeIfExists = { "s3:prefix" = ["${var.prefix}/*"] } }
    },
  ]

  # Whoever comes first tries out the store and makes the cluster.
  opening = [
    {
      Sid      = "ProbeTheStore"
      Effect   = "Allow"
      Action   = ["s3:PutObject", "s3:DeleteObject"]
      Resource = [local.probes]
    },
  ]

  decrypting = var.kms_key_arn == null ? [] : [
    {
      Sid      = "Decrypt"
      Effect   = "Allow"
      Action   = ["kms:Decrypt"]
      Resource = [var.kms_key_arn]
    },
  ]

  encrypting = var.kms_key_arn == null ? [] : [
    {
      Sid      = "Encrypt"
      Effect   = "Allow"
      Action   = ["kms:GenerateDataKey"]
      Resource = [var.kms_key_arn]
    },
  ]

  written = {
    ingest    = [local.cluster, local.entries, local.checkpoints, local.heads, local.segments]
    reader    = [local.cluster, local.entries, local.checkpoints, local.heads]
    compactor = [local.cluster, local.entries, local.checkpoints, local.heads]
    gateway   = [local.cluster, local.producers, local.nodes, local.entries, local.checkpoints, local.heads, local.segments]
  }

  writing = {
    for role, objects in local.written : role => [
      { Sid = "Write", Effect = "Allow", Action = ["s3:PutObject"], Resource = objects }
    ]
  }

  # Nodes that died leave a record that the others remove.
  forgetting = [
    { Sid = "ForgetNodes", Effect = "Allow", Action = ["s3:DeleteObject"], Resource = [local.nodes] }
  ]

  compacting = [
    {
      Sid      = "WriteTables"
      Effect   = "Allow"
      Action   = ["s3:PutObject", "s3:AbortMultipartUpload"]
      Resource = [local.tables]
    },
    {
      Sid      = "CollectGarbage"
      Effect   = "Allow"
      Action   = ["s3:DeleteObject"]
      Resource = [local.entries, local.checkpoints, local.segments, local.tables]
    },
  ]

  common = concat(local.reading, local.decrypting, local.encrypting)

  statements = {
    ingest             = concat(local.common, local.opening, local.writing.ingest)
    reader             = concat(local.common, local.opening, local.writing.reader)
    compactor          = concat(local.common, local.opening, local.writing.compactor, local.compacting)
    gateway            = concat(local.common, local.opening, local.writing.gateway, local.forgetting)
    compacting_gateway = concat(local.common, local.opening, local.writing.gateway, local.forgetting, local.compacting)
  }
}
