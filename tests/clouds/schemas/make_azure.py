"""A program: writes azure_*.json, the JSON Schemas of what Azure Resource Manager is sent.

They are made of the models that azure-mgmt-compute, -network and -resource bring, which Microsoft makes of the API's
own description: of each object that gpucheck sends, every plain field, by its name on the wire, and the
words that it may hold. A field that holds another object is there only where gpucheck sends it, since Azure's models
hold each other without end: sending a new one means to run this again. The schedule's is of azure-mgmt-devtestlabs,
which gpucheck does not use: azure_Schedule.json is written by hand.
"""

from __future__ import annotations

import enum
import importlib
import json
import types
import typing
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from gpucheck.clouds import azure_bodies
from tests.clouds.killed import order

FOLDER = Path(__file__).parent
COMPUTE, NETWORK, RESOURCES = "azure-mgmt-compute", "azure-mgmt-network", "azure-mgmt-resource"
MODULES = {
    COMPUTE: "azure.mgmt.compute.models",
    NETWORK: "azure.mgmt.network.models",
    RESOURCES: "azure.mgmt.resource.resources.models",
}
OPEN = {"vmSize"}  # its enum is of 2018, and has none of the sizes that are rented
SENT = {
    "resource_groups": (RESOURCES, "ResourceGroup"),
    "network_security_groups": (NETWORK, "NetworkSecurityGroup"),
    "virtual_networks": (NETWORK, "VirtualNetwork"),
    "public_ip_addresses": (NETWORK, "PublicIPAddress"),
    "network_interfaces": (NETWORK, "NetworkInterface"),
    "virtual_machines": (COMPUTE, "VirtualMachine"),
}


def main() -> None:
    whole = order(
        instance_type="Standard_NC4as_T4_v3", region="eastus", image="a:b:c:latest", spot=True,
        ssh_key="ssh-ed25519 A", ssh_from="203.0.113.7/32", expires=datetime.now(UTC),
    )  # fmt: skip
    for call in azure_bodies.calls(whole, "1", "s", "k"):
        if found := SENT.get(call.operation.partition(".")[0]):
            package, name = found
            models = importlib.import_module(MODULES[package])
            schema = {
                "$comment": f"of {package} {version(package)}, by make_azure.py",
                **_object(getattr(models, name), models, call.body),
            }
            (FOLDER / f"azure_{name}.json").write_text(json.dumps(schema, indent=1, sort_keys=True) + "\n")


def _object(model: Any, models: types.ModuleType, sent: Mapping[str, Any]) -> dict[str, Any]:
    """`sent`: an example, which says which of the objects within are sent."""
    model.__new__(model)  # fills the table of its fields
    properties, required = {}, []
    for name, field in model._attr_to_rest_field.items():
        wire = field._rest_name
        if field._visibility == ["read"]:
            continue
        optional, kind = _kind(_annotation(model, name), models)
        one = {"type": "string"} if wire in OPEN else _of(kind, models, sent.get(wire))
        if one is not None:
            properties[wire] = one
            if not optional:
                required.append(wire)
    schema: dict[str, Any] = {"type": "object", "additionalProperties": False, "properties": properties}
    return schema | ({"required": sorted(required)} if required else {})


def _annotation(model: Any, name: str) -> Any:
    return next(each.__annotations__[name] for each in model.__mro__ if name in each.__annotations__)


def _kind(hint: Any, models: types.ModuleType) -> tuple[bool, Any]:
    """(optional, the type): Union[str, Enum] is the Enum."""
    hint = _resolved(hint, models)
    if typing.get_origin(hint) is not typing.Union:
        return False, hint
    parts = [_resolved(part, models) for part in typing.get_args(hint)]
    optional = type(None) in parts
    parts = [part for part in parts if part is not type(None)]
    enums = [part for part in parts if isinstance(part, type) and issubclass(part, enum.Enum)]
    return optional, enums[0] if enums else _kind(parts[0], models)[1]


def _resolved(hint: Any, models: types.ModuleType) -> Any:
    text = hint.__forward_arg__ if isinstance(hint, typing.ForwardRef) else hint
    if not isinstance(text, str):
        return hint
    return getattr(models, text.rpartition(".")[2])


def _of(kind: Any, models: types.ModuleType, sent: Any) -> dict[str, Any] | None:
    """None for an object that is not sent."""
    if typing.get_origin(kind) is list:
        example: dict[str, Any] = {}
        for each in sent or ():
            if isinstance(each, Mapping):
                example |= each
        item = _of(_kind(typing.get_args(kind)[0], models)[1], models, example or None)
        return None if item is None else {"type": "array", "items": item}
    if typing.get_origin(kind) is dict:
        return {"type": "object", "additionalProperties": {"type": "string"}}
    if issubclass(kind, models._models._Model):
        return _object(kind, models, sent) if isinstance(sent, Mapping) else None
    if issubclass(kind, enum.Enum):
        return {"enum": [each.value for each in kind]}
    return {bool: {"type": "boolean"}, int: {"type": "integer"}, float: {"type": "number"}}.get(
        kind, {"type": "string"}
    )


if __name__ == "__main__":
    main()
