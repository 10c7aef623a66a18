"""What is sent to Compute Engine for an order: the instance, and the two rules of the network that are for it alone."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gpucheck.clouds.orders import EXPIRES_TAG, OWNER_TAG, TAG, Order

NETWORK = "global/networks/default"
# Families that boot from Hyperdisk alone.
HYPERDISK_ONLY = ("a3-ultragpu-", "a4-", "a4x-", "g4-")


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """Whose a thing is: what labels say where there are labels, and a firewall rule's description where not."""

    run: str
    owner: str | None = None
    expires: datetime | None = None

    @property
    def sentence(self) -> str:
        digits = f"{self.expires.timestamp():.0f}" if self.expires else ""
        return f"{TAG} run={self.run} owner={self.owner or ''} expires={digits}"


def marked(order: Order) -> Mark:
    return Mark(run=order.name, owner=order.owner, expires=order.expires)


def labels(order: Order) -> dict[str, str]:
    return {TAG: order.name, OWNER_TAG: order.owner, EXPIRES_TAG: f"{order.expires.timestamp():.0f}"}


def mark_of_labels(found: Any) -> Mark:
    return Mark(run=found.get(TAG, ""), owner=found.get(OWNER_TAG) or None, expires=_when(found.get(EXPIRES_TAG, "")))


def mark_of_sentence(description: str) -> Mark | None:
    """None where the rule is somebody else's, whatever its name."""
    found = re.fullmatch(rf"{TAG} run=(\S+) owner=(\S*) expires=(\d*)", description)
    return found and Mark(run=found[1], owner=found[2] or None, expires=_when(found[3]))


def _when(digits: str) -> datetime | None:
    return datetime.fromtimestamp(int(digits), UTC) if re.fullmatch(r"\d{1,11}", digits) else None


def name(run: str) -> str:
    """Of its instance, its disk and its network tag; its rules' names begin with it."""
    return f"{TAG}-{run}"


def request_id(order: Order, zone: str) -> str:
    """The same for the same order, so that a request which is sent twice makes one instance."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{TAG}/{order.name}/{zone}/{order.expires.timestamp():.0f}"))


def rules(order: Order) -> tuple[dict[str, Any], ...]:
    """The default network lets ssh, RDP and ICMP in from everywhere, at 65534: this instance hears none of it."""
    shared = {
        "network": NETWORK,
        "direction": "INGRESS",
        "target_tags": [name(order.name)],
        "description": marked(order).sentence,
    }
    deny = {
        "name": f"{name(order.name)}-deny",
        "priority": 1,
        "denied": [{"I_p_protocol": "all"}],
        "source_ranges": ["0.0.0.0/0"],
        **shared,
    }
    if order.ssh_from is None:
        return (deny,)
    ssh = {
        "name": f"{name(order.name)}-ssh",
        "priority": 0,  # before the other, and before any rule that a project has
        "allowed": [{"I_p_protocol": "tcp", "ports": ["22"]}],
        "source_ranges": [order.ssh_from],
        **shared,
    }
    return deny, ssh


def instance(order: Order, zone: str, image: str, seconds: int) -> dict[str, Any]:
    """`seconds` to live, counted by the cloud from when it runs: a wrong clock here makes no instance live longer."""
    disk = "hyperdisk-balanced" if order.instance_type.startswith(HYPERDISK_ONLY) else "pd-balanced"
    metadata = {
        "user-data": order.user_data,
        "serial-port-enable": "FALSE",  # no typing into the console; its output can be read all the same
        "block-project-ssh-keys": "TRUE",
        **({"enable-oslogin": "FALSE"} if order.ssh_key else {}),
    }
    return {
        "name": name(order.name),
        "labels": labels(order),
        "machine_type": f"zones/{zone}/machineTypes/{order.instance_type}",
        "tags": {"items": [name(order.name)]},
        "disks": [
            {
                "boot": True,
                "auto_delete": True,
                "initialize_params": {
                    "source_image": image,
                    "disk_size_gb": order.disk_gib,
                    "disk_type": f"zones/{zone}/diskTypes/{disk}",
                    "labels": labels(order),
                },
            }
        ],
        "network_interfaces": [
            {"network": NETWORK, "access_configs": [{"name": "External NAT", "type_": "ONE_TO_ONE_NAT"}]}
        ],
        "metadata": {"items": [{"key": key, "value": value} for key, value in metadata.items()]},
        "scheduling": {
            "on_host_maintenance": "TERMINATE",  # an instance with a GPU cannot be moved to another host
            "automatic_restart": False,
            "max_run_duration": {"seconds": seconds},
            "instance_termination_action": "DELETE",
            "provisioning_model": "SPOT" if order.spot else "STANDARD",
        },
        # No secure boot: modules that the first boot builds are not signed.
        "shielded_instance_config": {
            "enable_vtpm": True,
            "enable_integrity_monitoring": True,
            "enable_secure_boot": False,
        },
        **(
            {
                "guest_accelerators": [
                    {
                        "accelerator_type": f"zones/{zone}/acceleratorTypes/{order.gpu[0]}",
                        "accelerator_count": order.gpu[1],
                    }
                ]
            }
            if order.gpu
            else {}
        ),
    }
