output "policies" {
  description = "Policy documents (JSON) by role: ingest, reader, compactor, gateway, compacting_gateway."
  value       = { for role, statements in local.statements : role => jsonencode({ Version = "2012-10-17", Statement = statements }) }
}
