# One GPU instance that sets itself up at its first boot, proves itself, and is deallocated after local.minutes.

terraform {
  required_version = ">= 1.5"

  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = "~> 4.0"
    }
    time = {
      source  = "hashicorp/time"
      version = "~> 0.9"
    }
  }
}

provider "azurerm" {
  subscription_id = var.subscription_id

  features {
    resource_group {
      prevent_deletion_if_contains_resources = false
    }
  }
}

# Some minutes later than asked for; the schedule below knows the time of a day, not the day.
resource "time_offset" "end" {
  offset_minutes = min(local.minutes + 5, 1435)
}

locals {
  # `gpucheck cloud list` and `destroy` find it by these.
  tags = {
    "gpucheck"         = local.name
    "gpucheck-owner"   = var.owner
    "gpucheck-expires" = tostring(time_offset.end.unix)
  }
}

# All of it is in one group.
resource "azurerm_resource_group" "gpu" {
  name     = "gpucheck-${local.name}"
  location = var.region
  tags     = local.tags
}

resource "azurerm_virtual_network" "gpu" {
  name                = "${local.name}-vnet"
  resource_group_name = azurerm_resource_group.gpu.name
  location            = azurerm_resource_group.gpu.location
  address_space       = ["10.0.0.0/24"]
  tags                = local.tags
}

resource "azurerm_subnet" "gpu" {
  name                 = "${local.name}-subnet"
  resource_group_name  = azurerm_resource_group.gpu.name
  virtual_network_name = azurerm_virtual_network.gpu.name
  address_prefixes     = ["10.0.0.0/24"]
}

# Without rules of its own a group lets nothing in from the internet. What it has to say stands on its console.
resource "azurerm_network_security_group" "closed" {
  name                = "${local.name}-nsg"
  resource_group_name = azurerm_resource_group.gpu.name
  location            = azurerm_resource_group.gpu.location
  security_rule       = []
  tags                = local.tags
}

# To reach the package archives by.
resource "azurerm_public_ip" "gpu" {
  name                = "${local.name}-ip"
  resource_group_name = azurerm_resource_group.gpu.name
  location            = azurerm_resource_group.gpu.location
  allocation_method   = "Static"
  sku                 = "Standard"
  tags                = local.tags
}

resource "azurerm_network_interface" "gpu" {
  name                = "${local.name}-nic"
  resource_group_name = azurerm_resource_group.gpu.name
  location            = azurerm_resource_group.gpu.location
  tags                = local.tags

  ip_configuration {
    name                          = "internal"
    subnet_id                     = azurerm_subnet.gpu.id
    private_ip_address_allocation = "Dynamic"
    public_ip_address_id          = azurerm_public_ip.gpu.id
  }
}

resource "azurerm_network_interface_security_group_association" "gpu" {
  network_interface_id      = azurerm_network_interface.gpu.id
  network_security_group_id = azurerm_network_security_group.closed.id
}

resource "azurerm_linux_virtual_machine" "gpu" {
  name                  = local.name
  resource_group_name   = azurerm_resource_group.gpu.name
  location              = azurerm_resource_group.gpu.location
  size                  = local.instance_type
  network_interface_ids = [azurerm_network_interface.gpu.id]
  custom_data           = filebase64("${path.module}/user-data.yaml")
  priority              = var.spot ? "Spot" : "Regular"
  eviction_policy       = var.spot ? "Delete" : null
  admin_username        = "azureuser"
  tags                  = local.tags

  # Azure makes no Linux machine without a key or a password; no port is open for either.
  admin_ssh_key {
    username   = "azureuser"
    public_key = var.ssh_public_key
  }

  os_disk {
    caching              = "ReadWrite"
    storage_account_type = "StandardSSD_LRS"
    disk_size_gb         = var.disk_gib
  }

  source_image_reference {
    publisher = local.image.publisher
    offer     = local.image.offer
    sku       = local.image.sku
    version   = local.image.version
  }

  # Its console, kept by Azure itself.
  boot_diagnostics {
  }

  depends_on = [azurerm_network_interface_security_group_association.gpu]
}

# A machine that shuts itself down costs on; one that Azure shuts down does not.
resource "azurerm_dev_test_global_vm_shutdown_schedule" "end" {
  virtual_machine_id    = azurerm_linux_virtual_machine.gpu.id
  location              = azurerm_resource_group.gpu.location
  enabled               = true
  daily_recurrence_time = format("%02d%02d", time_offset.end.hour, time_offset.end.minute)
  timezone              = "UTC"
  tags                  = local.tags

  notification_settings {
    enabled = false
  }
}
