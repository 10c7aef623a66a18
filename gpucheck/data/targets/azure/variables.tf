# What user-data.yaml was written for: `gpucheck cloud render` writes all of it anew for another one.
locals {
  name          = $name
  instance_type = $instance_type
  image         = $image
  minutes       = $minutes
}

variable "subscription_id" {
  description = "Null: as the provider finds it, for one in ARM_SUBSCRIPTION_ID."
  type        = string
  default     = null
}

variable "region" {
  description = "Where."
  type        = string
  default     = $region
}

variable "owner" {
  description = "Whose it is: the value of its tag."
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

variable "ssh_public_key" {
  description = "A public key, in OpenSSH's one line: Azure wants one, though no port is open for it."
  type        = string
}
