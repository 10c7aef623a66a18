output "instance_id" {
  value = aws_instance.gpu.id
}

output "console" {
  description = "What it says while it sets itself up, and its report. Untrusted text."
  value       = "aws ec2 get-console-output --region ${var.region} --instance-id ${aws_instance.gpu.id} --latest --output text"
}

output "report" {
  description = "Waits for the report, checks that it is whole, and prints it."
  value       = "gpucheck cloud report aws ${local.name}"
}
