"""What is sent to Azure for one run: the resource group gpucheck-NAME, and in it all that a VM needs, all tagged."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from gpucheck.clouds.orders import EXPIRES_TAG, OWNER_TAG, TAG, Order

ADMIN = "azureuser"  # the user that Azure makes; `root`, `admin` and `ubuntu` are refused as names
# From 2025-11-01 on Azure makes a Trusted Launch VM, with Secure Boot, where nothing is said, and "Standard" needs a
# feature that few subscriptions have: UseStandardSecurityType. Modules that DKMS built would not load.
VM_API = "2024-11-01"
SCHEDULE_API = "2018-09-15"
SCHEDULE = "Microsoft.DevTestLab/schedules"
# What may carry our tag: a word for people, and the API that deletes it; in the order in which they can go.
TYPES: Mapping[str, tuple[str, str]] = {
    "microsoft.devtestlab/schedules": ("schedule", SCHEDULE_API),
    "microsoft.compute/virtualmachines": ("instance", VM_API),
    "microsoft.compute/disks": ("disk", "2024-03-02"),
    "microsoft.network/networkinterfaces": ("interface", "2024-05-01"),
    "microsoft.network/publicipaddresses": ("address", "2024-05-01"),
    "microsoft.network/virtualnetworks": ("network", "2024-05-01"),
    "microsoft.network/networksecuritygroups": ("rules", "2024-05-01"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """`operation` of the SDK, with what it is given: names, then the body as it goes over the wire."""

    operation: str
    names: tuple[str, ...]
    body: Mapping[str, Any]
    api_version: str | None = None  # None: the SDK's own

    @property
    def name(self) -> str:
        return self.names[-1].rpartition("/")[2]


def group(run: str) -> str:
    return f"{TAG}-{run}"


def tags(order: Order) -> dict[str, str]:
    return {TAG: order.name, OWNER_TAG: order.owner, EXPIRES_TAG: str(int(order.expires.timestamp()))}


def expiry(tags: Mapping[str, str] | None) -> datetime | None:
    """None where there is none, or it was changed to something else."""
    text = (tags or {}).get(EXPIRES_TAG, "")
    return datetime.fromtimestamp(int(text), UTC) if text.isascii() and text.isdigit() and len(text) < 12 else None


def calls(order: Order, zone: str | None, subscription: str, key: str) -> tuple[Call, ...]:
    """In their order; the VM last. `key`: the public half of a key, which Azure wants also where nobody may come in."""
    of_run = {"location": order.region, "tags": tags(order)}
    place = {"zones": [zone]} if zone else {}
    here = f"/subscriptions/{subscription}/resourceGroups/{group(order.name)}/providers"
    network = f"{here}/Microsoft.Network"

    def call(operation: str, name: str, properties: Mapping[str, Any], **more: Any) -> Call:
        return Call(
            operation=operation, names=(group(order.name), name), body={**of_run, **more, "properties": properties}
        )

    return (
        Call(operation="resource_groups.create_or_update", names=(group(order.name),), body=of_run),
        call("network_security_groups.begin_create_or_update", rules(order), {"securityRules": _ways_in(order)}),
        call(
            "virtual_networks.begin_create_or_update",
            f"{order.name}-net",
            {
                "addressSpace": {"addressPrefixes": ["10.0.0.0/24"]},
                "subnets": [
                    {
                        "name": "default",
                        "properties": {
                            "addressPrefix": "10.0.0.0/24",
                            "networkSecurityGroup": {"id": f"{network}/networkSecurityGroups/{rules(order)}"},
                        },
                    }
                ],
            },
        ),
        # The way out: without an address of its own a VM of a new network reaches nothing.
        call(
            "public_ip_addresses.begin_create_or_update",
            address(order.name),
            {"publicIPAllocationMethod": "Static", "publicIPAddressVersion": "IPv4"},
            sku={"name": "Standard"},
            **place,
        ),
        call(
            "network_interfaces.begin_create_or_update",
            interface(order.name),
            {
                "ipConfigurations": [
                    {
                        "name": "default",
                        "properties": {
                            "subnet": {"id": f"{network}/virtualNetworks/{order.name}-net/subnets/default"},
                            "publicIPAddress": {
                                "id": f"{network}/publicIPAddresses/{address(order.name)}",
                                "properties": {"deleteOption": "Delete"},
                            },
                        },
                    }
                ]
            },
        ),
        Call(
            operation="virtual_machines.begin_create_or_update",
            names=(group(order.name), order.name),
            body={**of_run, **place, "properties": _machine(order, network, key)},
            api_version=VM_API,
        ),
        shutdown(order.name, order.region, order.expires, tags(order), here),
    )


def shutdown(run: str, region: str, expires: datetime, tags: Mapping[str, str], here: str) -> Call:
    """Azure's own end of a VM's life. One that turned itself off from inside is stopped and paid for; this deallocates.

    Its name is not free to choose. It is due once a day, and a run lives less than one.
    """
    minute = expires.astimezone(UTC) + timedelta(seconds=59)  # whole minutes, and never too early
    return Call(
        operation="resources.begin_create_or_update_by_id",
        names=(f"{here}/{SCHEDULE}/shutdown-computevm-{run}",),
        body={
            "location": region,
            "tags": tags,
            "properties": {
                "status": "Enabled",
                "taskType": "ComputeVmShutdownTask",
                "dailyRecurrence": {"time": f"{minute:%H%M}"},
                "timeZoneId": "UTC",
                "notificationSettings": {"status": "Disabled"},
                "targetResourceId": f"{here}/Microsoft.Compute/virtualMachines/{run}",
            },
        },
        api_version=SCHEDULE_API,
    )


def image(order: Order) -> dict[str, str] | None:
    """publisher:offer:sku:version, or None where it is not of that form."""
    parts = order.image.split(":")
    return dict(zip(("publisher", "offer", "sku", "version"), parts, strict=True)) if len(parts) == 4 else None


def rules(order: Order) -> str:
    return f"{order.name}-rules"


def address(run: str) -> str:
    return f"{run}-ip"


def interface(run: str) -> str:
    return f"{run}-nic"


def disk(run: str) -> str:
    return f"{run}-disk"


def _ways_in(order: Order) -> list[dict[str, Any]]:
    """None, which leaves Azure's own: from outside nothing comes in."""
    if order.ssh_from is None:
        return []
    rule = {
        "priority": 100, "direction": "Inbound", "access": "Allow", "protocol": "Tcp",
        "sourceAddressPrefix": order.ssh_from, "sourcePortRange": "*",
        "destinationAddressPrefix": "*", "destinationPortRange": "22",
    }  # fmt: skip
    return [{"name": "ssh", "properties": rule}]


def _machine(order: Order, network: str, key: str) -> dict[str, Any]:
    spot = {"priority": "Spot", "evictionPolicy": "Delete", "billingProfile": {"maxPrice": -1}} if order.spot else {}
    return {
        **spot,
        "hardwareProfile": {"vmSize": order.instance_type},
        "storageProfile": {
            "imageReference": image(order),
            "osDisk": {
                "name": disk(order.name),
                "createOption": "FromImage",
                "deleteOption": "Delete",
                "diskSizeGB": order.disk_gib,
                "managedDisk": {"storageAccountType": "StandardSSD_LRS"},
            },
        },
        "osProfile": {
            "computerName": order.name,
            "adminUsername": ADMIN,
            "customData": base64.b64encode(order.user_data.encode()).decode(),
            "linuxConfiguration": {
                "disablePasswordAuthentication": True,
                "ssh": {"publicKeys": [{"path": f"/home/{ADMIN}/.ssh/authorized_keys", "keyData": key}]},
            },
        },
        "networkProfile": {
            "networkInterfaces": [
                {
                    "id": f"{network}/networkInterfaces/{interface(order.name)}",
                    "properties": {"primary": True, "deleteOption": "Delete"},
                }
            ]
        },
        "diagnosticsProfile": {"bootDiagnostics": {"enabled": True}},  # Azure's own storage: the serial console
    }
