variables {
  bucket_arn = "arn:aws:s3:::events"
  prefix     = "production/eu"
}

run "nobody_may_more_than_objects_of_the_cluster" {
  assert {
    condition = alltrue(flatten([
      for role, policy in output.policies : [
        for statement in jsondecode(policy).Statement : [
          for resource in statement.Resource :
          startswith(resource, "arn:aws:s3:::events/production/eu/") || (resource == "arn:aws:s3:::events" && statement.Action == ["s3:ListBucket"])
        ]
      ]
    ]))
    error_message = "All resources are below the prefix, but for listing."
  }

  assert {
    condition = alltrue(flatten([
      for role, policy in output.policies : [
        for statement in jsondecode(policy).Statement : [
          for action in statement.Action :
          contains(["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListBucket"], action)
        ]
      ]
    ]))
    error_message = "These five actions are all that Alluvium needs."
  }

  assert {
    condition     = alltrue([for policy in output.policies : alltrue([for statement in jsondecode(policy).Statement : statement.Effect == "Allow"])])
    error_message = "Roles are granted, not denied."
  }
}

run "who_may_delete" {
  assert {
    condition = jsonencode({
      for role, policy in output.policies : role => sort(flatten([
        for statement in jsondecode(policy).Statement : statement.Resource if contains(statement.Action, "s3:DeleteObject")
      ]))
      }) == jsonencode({
      ingest  = ["arn:aws:s3:::events/production/eu/probe/*"]
      reader  = ["arn:aws:s3:::events/production/eu/probe/*"]
      gateway = ["arn:aws:s3:::events/production/eu/node/*", "arn:aws:s3:::events/production/eu/probe/*"]
      compactor = [
        "arn:aws:s3:::events/production/eu/*/*/checkpoint/*",
        "arn:aws:s3:::events/production/eu/*/*/log/*",
        "arn:aws:s3:::events/production/eu/*/*/segment/*",
        "arn:aws:s3:::events/production/eu/*/*/topic/*",
        "arn:aws:s3:::events/production/eu/probe/*",
      ]
      compacting_gateway = [
        "arn:aws:s3:::events/production/eu/*/*/checkpoint/*",
        "arn:aws:s3:::events/production/eu/*/*/log/*",
        "arn:aws:s3:::events/production/eu/*/*/segment/*",
        "arn:aws:s3:::events/production/eu/*/*/topic/*",
        "arn:aws:s3:::events/production/eu/node/*",
        "arn:aws:s3:::events/production/eu/probe/*",
      ]
    })
    error_message = "Only who compacts deletes parts of the log."
  }
}

run "what_each_role_writes" {
  assert {
    condition = jsonencode({
      for role, policy in output.policies : role => sort(distinct(flatten([
        for statement in jsondecode(policy).Statement : [
          for resource in statement.Resource : trimprefix(resource, "arn:aws:s3:::events/production/eu/")
        ] if contains(statement.Action, "s3:PutObject")
      ])))
      }) == jsonencode({
      ingest             = ["*/*/checkpoint/*", "*/*/head", "*/*/log/*", "*/*/segment/*", "cluster.json", "probe/*"]
      reader             = ["*/*/checkpoint/*", "*/*/head", "*/*/log/*", "cluster.json", "probe/*"]
      compactor          = ["*/*/checkpoint/*", "*/*/head", "*/*/log/*", "*/*/topic/*", "cluster.json", "probe/*"]
      gateway            = ["*/*/checkpoint/*", "*/*/head", "*/*/log/*", "*/*/segment/*", "cluster.json", "node/*", "probe/*", "producer-id/*"]
      compacting_gateway = ["*/*/checkpoint/*", "*/*/head", "*/*/log/*", "*/*/segment/*", "*/*/topic/*", "cluster.json", "node/*", "probe/*", "producer-id/*"]
    })
    error_message = "Each role writes what its work consists of."
  }
}

# A role that may not list is told "forbidden" where an object is missing, and could never find the end of a log.
run "missing_objects_are_not_found" {
  assert {
    condition = alltrue([
      for policy in output.policies : anytrue([
        for statement in jsondecode(policy).Statement :
        statement.Action == ["s3:ListBucket"] && try(statement.Condition, null) == { StringLikeIfExists = { "s3:prefix" = ["production/eu/*"] } }
      ])
    ])
    error_message = "All roles may list below the prefix, by a condition that holds for reads too."
  }
}

run "key_of_ones_own" {
  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/0000"
  }

  assert {
    condition = alltrue([
      for policy in output.policies : length(setsubtract(
        ["kms:Decrypt", "kms:GenerateDataKey"],
        flatten([for statement in jsondecode(policy).Statement : statement.Action if statement.Resource == ["arn:aws:kms:eu-central-1:123456789012:key/0000"]])
      )) == 0
    ])
    error_message = "All roles may use the key, and only this one."
  }
}

run "refused" {
  command = plan

  variables {
    bucket_arn = "events"
    prefix     = "production/"
  }

  expect_failures = [var.bucket_arn, var.prefix]
}

run "a_prefix_is_needed" {
  command = plan

  variables {
    prefix = ""
  }

  expect_failures = [var.prefix]
}
