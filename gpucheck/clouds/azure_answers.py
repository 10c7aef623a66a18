"""What Azure answers, as an order's words: a VM's state by its instance view, and a resource by its type and tags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from gpucheck.clouds import azure_bodies
from gpucheck.clouds.orders import OWNER_TAG, TAG, Machine, Resource

State = Literal["starting", "running", "stopping", "stopped", "gone"]
POWER: Mapping[str, State] = {
    "starting": "starting", "running": "running", "stopping": "stopping", "stopped": "stopped",
    "deallocating": "stopping", "deallocated": "stopped",
}  # fmt: skip


def machine(found: Any, run: str, group: str, address: str | None) -> Machine:
    return Machine(
        name=run,
        id=f"{group}/{found.name}",
        provider="azure",
        instance_type=found.hardware_profile.vm_size,
        region=found.location,
        zone=next(iter(found.zones or ()), None),
        state=state(found),
        spot=found.priority == "Spot",
        owner=found.tags.get(OWNER_TAG),
        expires=azure_bodies.expiry(found.tags),
        address=address,
        ended=_failure(found),
    )


def where(id: str) -> tuple[str, str]:
    """(group, name) of /subscriptions/S/resourceGroups/GROUP/providers/P/T/NAME"""
    parts = id.split("/")
    return parts[4], parts[-1]


def resource(found: Any) -> Resource:
    kind = azure_bodies.TYPES.get(found.type.lower(), (found.type.rpartition("/")[2], ""))[0]
    return Resource(
        kind=kind,
        id="/".join(where(found.id)),
        region=found.location or "global",
        name=(found.tags or {}).get(TAG),
        expires=azure_bodies.expiry(found.tags),
    )


def _statuses(found: Any) -> list[Any]:
    return list((found.instance_view and found.instance_view.statuses) or ())


def state(found: Any) -> State:
    if found.provisioning_state == "Deleting":
        return "stopping"
    codes = [str(each.code).split("/") for each in _statuses(found)]
    power = next((POWER.get(code[1]) for code in codes if code[0] == "PowerState" and len(code) > 1), None)
    if power:
        return power
    return "starting" if found.provisioning_state in ("Creating", "Updating", "Succeeded") else "stopped"


def _failure(found: Any) -> str | None:
    """ProvisioningState/failed/AllocationFailed, in Azure's words."""
    for each in _statuses(found):
        _, _, code = str(each.code).partition("ProvisioningState/failed")
        if code or str(each.code) == "ProvisioningState/failed":
            return f"{code.strip('/')} {each.message or ''}".strip() or "its provisioning failed"
    return None
