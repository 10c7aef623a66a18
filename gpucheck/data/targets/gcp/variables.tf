# What user-data.yaml was written for: `gpucheck cloud render` writes all of it anew for another one.
locals {
  name          = $name
  instance_type = $instance_type
  accelerators  = $accelerators
  image         = $image
  minutes       = $minutes
}

variable "project" {
  description = "Null: as the provider finds it, for one in GOOGLE_PROJECT."
  type        = string
  default     = null
}

variable "region" {
  description = "Where."
  type        = string
  default     = $region
}

variable "zone" {
  description = "Null: the region's first. Not every zone has every GPU, nor one to spare."
  type        = string
  default     = null
}

variable "owner" {
  description = "Whose it is: the value of its label."
  type        = string
  default     = $owner
}

variable "spot" {
  description = "Cheaper, and may be taken away at any time."
  type        = bool
  default     = $spot
}

variable "disk_gib" {
  description = "Size of its disk: images are large."
  type        = number
  default     = $disk_gib
}

variable "disk_type" {
  description = "The newest machine types take Hyperdisk alone."
  type        = string
  default     = $disk_type
}

variable "network" {
  description = "Of the project."
  type        = string
  default     = "default"
}

variable "subnetwork" {
  description = "Null: the network's own for the region."
  type        = string
  default     = null
}
