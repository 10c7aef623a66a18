output "instance_id" {
  value = google_compute_instance.gpu.instance_id
}

output "console" {
  description = "What it says while it sets itself up, and its report. Untrusted text."
  value       = "gcloud compute instances get-serial-port-output ${local.called} --project ${google_compute_instance.gpu.project} --zone ${google_compute_instance.gpu.zone}"
}

output "report" {
  description = "Waits for the report, checks that it is whole, and prints it."
  value       = "gpucheck cloud report gcp ${local.name}"
}
