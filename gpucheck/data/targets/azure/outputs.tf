output "instance_id" {
  value = azurerm_linux_virtual_machine.gpu.id
}

output "console" {
  description = "What it says while it sets itself up, and its report. Untrusted text."
  value       = "az vm boot-diagnostics get-boot-log --resource-group ${azurerm_resource_group.gpu.name} --name ${local.name}"
}

output "report" {
  description = "Waits for the report, checks that it is whole, and prints it."
  value       = "gpucheck cloud report azure ${local.name}"
}
