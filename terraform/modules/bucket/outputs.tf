output "name" {
  description = "Name of the bucket, once it is ready to be used."
  value       = aws_s3_bucket.this.bucket
  depends_on  = [aws_s3_bucket_policy.this, aws_s3_bucket_server_side_encryption_configuration.this]
}

output "arn" {
  description = "ARN of the bucket."
  value       = aws_s3_bucket.this.arn
}

output "kms_key_arn" {
  description = "KMS key of the objects, or null: roles that use the bucket need it."
  value       = var.kms_key_arn
}
