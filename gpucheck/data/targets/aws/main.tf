# One GPU instance that sets itself up at its first boot, proves itself, and ends itself after local.minutes.

terraform {
  required_version = ">= 1.5"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.0"
    }
    time = {
      source  = "hashicorp/time"
      version = "~> 0.9"
    }
  }
}

provider "aws" {
  region = var.region
}

# The image's current id in this region.
data "aws_ssm_parameter" "image" {
  name = local.image
}

resource "time_offset" "end" {
  offset_minutes = local.minutes
}

locals {
  # `gpucheck cloud list` and `destroy` find it by these.
  tags = {
    Name               = local.name
    "gpucheck"         = local.name
    "gpucheck-owner"   = var.owner
    "gpucheck-expires" = tostring(time_offset.end.unix)
  }
}

# Everything may leave, nothing may come in: what it has to say stands on its console.
resource "aws_security_group" "closed" {
  name_prefix = "gpucheck-${local.name}-"
  description = "gpucheck: no way in"
  vpc_id      = var.vpc_id
  tags        = local.tags

  ingress = []

  egress {
    from_port        = 0
    to_port          = 0
    protocol         = "-1"
    cidr_blocks      = ["0.0.0.0/0"]
    ipv6_cidr_blocks = ["::/0"]
  }
}

resource "aws_instance" "gpu" {
  ami                         = data.aws_ssm_parameter.image.insecure_value
  instance_type               = local.instance_type
  subnet_id                   = var.subnet_id
  vpc_security_group_ids      = [aws_security_group.closed.id]
  associate_public_ip_address = true

  user_data                   = file("${path.module}/user-data.yaml")
  user_data_replace_on_change = true

  # Its own timer shuts it down, and that is its end: nothing is left that costs.
  instance_initiated_shutdown_behavior = "terminate"

  # Two hops: a container asks too.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 2
  }

  root_block_device {
    volume_size           = var.disk_gib
    volume_type           = "gp3"
    delete_on_termination = true
  }

  dynamic "instance_market_options" {
    for_each = var.spot ? [1] : []

    content {
      market_type = "spot"

      spot_options {
        spot_instance_type             = "one-time"
        instance_interruption_behavior = "terminate"
      }
    }
  }

  tags        = local.tags
  volume_tags = local.tags
}
