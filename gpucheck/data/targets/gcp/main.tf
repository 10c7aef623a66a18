# One GPU instance that sets itself up at its first boot, proves itself, and is deleted after local.minutes.

terraform {
  required_version = ">= 1.5"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 7.0"
    }
    time = {
      source  = "hashicorp/time"
      version = "~> 0.9"
    }
  }
}

provider "google" {
  project = var.project
  region  = var.region
}

data "google_compute_image" "gpu" {
  project = local.image.project
  family  = local.image.family
}

data "google_compute_zones" "up" {
  region = var.region
  status = "UP"
}

resource "time_offset" "end" {
  offset_minutes = local.minutes
}

locals {
  called = "gpucheck-${local.name}"

  # `gpucheck cloud list` and `destroy` find it by these.
  labels = {
    "gpucheck"         = local.name
    "gpucheck-owner"   = var.owner
    "gpucheck-expires" = tostring(time_offset.end.unix)
  }
}

# Before every other rule of the network: nothing may come in. What it has to say stands on its console.
resource "google_compute_firewall" "closed" {
  name          = "${local.called}-deny"
  description   = "gpucheck run=${local.name} owner=${var.owner} expires=${time_offset.end.unix}"
  network       = var.network
  direction     = "INGRESS"
  priority      = 0
  source_ranges = ["0.0.0.0/0"]
  target_tags   = [local.called]

  deny {
    protocol = "all"
  }
}

# No service account: it can do nothing in the project.
resource "google_compute_instance" "gpu" {
  name         = local.called
  machine_type = local.instance_type
  zone         = coalesce(var.zone, data.google_compute_zones.up.names[0])
  tags         = google_compute_firewall.closed.target_tags
  labels       = local.labels

  boot_disk {
    auto_delete = true

    initialize_params {
      image  = data.google_compute_image.gpu.self_link
      size   = var.disk_gib
      type   = var.disk_type
      labels = local.labels
    }
  }

  dynamic "guest_accelerator" {
    for_each = local.accelerators

    content {
      type  = guest_accelerator.key
      count = guest_accelerator.value
    }
  }

  network_interface {
    network    = var.network
    subnetwork = var.subnetwork

    # An address of its own, to reach the package archives by.
    access_config {
    }
  }

  metadata = {
    "user-data"              = file("${path.module}/user-data.yaml")
    "block-project-ssh-keys" = "TRUE"
    "serial-port-enable"     = "FALSE" # nobody types into it; it can be read all the same
  }

  # No secure boot: modules that the first boot builds are not signed.
  shielded_instance_config {
    enable_secure_boot          = false
    enable_vtpm                 = true
    enable_integrity_monitoring = true
  }

  scheduling {
    on_host_maintenance         = "TERMINATE"
    automatic_restart           = false
    preemptible                 = var.spot
    provisioning_model          = var.spot ? "SPOT" : "STANDARD"
    instance_termination_action = "DELETE"

    max_run_duration {
      seconds = local.minutes * 60
    }
  }
}
