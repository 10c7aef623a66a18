# What user-data.yaml was written for: `gpucheck cloud render` writes all of it anew for another one.
locals {
  name          = $name
  instance_type = $instance_type
  image         = $image
  minutes       = $minutes
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

variable "vpc_id" {
  description = "Null: the default VPC."
  type        = string
  default     = null
}

variable "subnet_id" {
  description = "One of that VPC, with a way out. Null: a default one."
  type        = string
  default     = null
}
