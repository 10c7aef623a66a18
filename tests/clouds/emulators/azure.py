"""A small Azure Resource Manager: the calls that gpucheck makes, over HTTP, with answers and errors in Azure's forms.

It is the unkind one of what is allowed: most operations take a while and go on without whoever began them, lists come
in pages, what is in use is not deleted, what is of a zone does not change it, and a body with a field that is not in
the recorded schema is refused. The forms of errors are those that people quote, with the place in a comment.
"""

from __future__ import annotations

import copy
import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jsonschema
import pytest

from gpucheck.clouds import ENDPOINT
from tests.serving import Server, running

SCHEMAS = Path(__file__).parents[1] / "schemas"
SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
LOCATIONS = ("eastus", "eastus2", "westeurope", "westus3", "northcentralus")
SIZES: Mapping[str, Mapping[str, tuple[str, ...]]] = {  # size -> region -> zones
    **{f"Standard_NC{cores}as_T4_v3": {"eastus": ("1", "2", "3"), "westeurope": ("1", "2"), "northcentralus": ()}
       for cores in (4, 8, 16, 64)},
    **{f"Standard_{name}_A10_v5": {"eastus": ("2", "3"), "northcentralus": ()}
       for name in ("NV36ads", "NV36adms", "NV72ads")},
    **{f"Standard_NC{cores}ads_A100_v4": {"eastus": ("1", "3"), "westus3": ("1",)} for cores in (24, 48, 96)},
    "Standard_ND96asr_v4": {"eastus": ("1",)},
    "Standard_ND96amsr_A100_v4": {"eastus": ("3",)},
    **{f"Standard_{name}_H100_v5": {"eastus": ("1", "2"), "eastus2": ("1", "2"), "westus3": ("1", "3")}
       for name in ("NC40ads", "NC80adis")},
    "Standard_ND96isr_H100_v5": {"eastus": ("3",), "eastus2": ("3",)},
    "Standard_ND96isr_H200_v5": {"westus3": ("2",)},
}  # fmt: skip
IMAGES = {  # in lower case: no case counts
    ("microsoft-dsvm", "ubuntu-hpc", "2204"), ("microsoft-dsvm", "ubuntu-hpc", "2404"),
    ("almalinux", "almalinux-hpc", "9"), ("canonical", "ubuntu-24_04-lts", "server"),
    ("canonical", "0001-com-ubuntu-server-jammy", "22_04-lts-gen2"), ("debian", "debian-12", "12-gen2"),
    ("almalinux", "almalinux-x86_64", "9-gen2"),
}  # fmt: skip
PAGE = 4  # things on one page of a list
VERSION = "22.04.2026110501"
VM, DISK = "microsoft.compute/virtualmachines", "microsoft.compute/disks"
NIC, IP = "microsoft.network/networkinterfaces", "microsoft.network/publicipaddresses"
NET, RULES = "microsoft.network/virtualnetworks", "microsoft.network/networksecuritygroups"
SCHEDULE = "microsoft.devtestlab/schedules"
TYPES = {
    VM: ("Microsoft.Compute/virtualMachines", "VirtualMachine"),
    DISK: ("Microsoft.Compute/disks", None),
    NIC: ("Microsoft.Network/networkInterfaces", "NetworkInterface"),
    IP: ("Microsoft.Network/publicIPAddresses", "PublicIPAddress"),
    NET: ("Microsoft.Network/virtualNetworks", "VirtualNetwork"),
    RULES: ("Microsoft.Network/networkSecurityGroups", "NetworkSecurityGroup"),
    SCHEDULE: ("Microsoft.DevTestLab/schedules", "Schedule"),
}


class Answer(Exception):
    """An HTTP error, as ARM answers it."""

    def __init__(self, status: int, code: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status, self.body = status, {"error": {"code": code, "message": message, **more}}
        self.headers: dict[str, str] = {}


@dataclass
class _Operation:
    due: float
    then: Callable[[], dict[str, Any] | None]  # what went wrong
    done: bool = False
    error: dict[str, Any] | None = None


@dataclass
class Emulator:
    """Knobs on top; then what there is. `calls` are (method, path) in their order, without the query."""

    address: str = ""
    seconds: float = 0.005  # that an operation takes
    stock_out: set[str] = field(default_factory=set)  # zones with nothing to be had ("" = regions without)
    stock_late: bool = False  # it shows while the VM is made, and a failed one is left
    quota: bool = False  # there is none of it
    busy: list[int] = field(default_factory=list)  # statuses of the next answers, whatever is asked: [503, 429]
    retry_after: str = "0"  # of a 429
    unregistered: set[str] = field(default_factory=set)  # namespaces; nobody may register them
    early_schedules: bool = True  # are taken while their VM is being made
    refusals: list[tuple[str, Answer]] = field(default_factory=list)  # (pattern of "METHOD path", answer), for ever
    restrictions: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # size -> those of its SKU
    subscriptions: list[tuple[str, str]] = field(default_factory=lambda: [(SUBSCRIPTION, "Enabled")])
    calls: list[tuple[str, str]] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    groups: dict[str, dict[str, Any]] = field(default_factory=dict)
    things: dict[str, dict[str, Any]] = field(default_factory=dict)  # by id in lower case
    consoles: dict[str, bytes] = field(default_factory=dict)
    operations: dict[str, _Operation] = field(default_factory=dict)
    lock: Any = field(default_factory=threading.RLock)

    # --- what a test does ---

    def left(self) -> list[str]:
        """What is there, and what will be in a moment."""
        with self.lock:
            self._settle(float("inf"))
            return sorted([*(each["id"] for each in self.groups.values()), *(t["id"] for t in self.things.values())])

    def set_console(self, name: str, text: str | bytes) -> None:
        self.consoles[name] = text if isinstance(text, bytes) else text.encode()

    def preempt(self, name: str) -> None:
        """Takes a spot VM away, as its eviction policy says: it is gone, and its group is left."""
        with self.lock:
            self._settle(float("inf"))
            vm = self._named(name)
            assert vm["properties"]["evictionPolicy"] == "Delete"
            self._unmake(vm["id"].lower())

    def shut_down(self, name: str) -> None:
        """From the inside: Azure keeps what is stopped, and has it paid. LookupError: nobody has seen it run yet."""
        with self.lock:
            vm = self._named(name)
            if not vm.get("seen"):
                raise LookupError(name)
            vm["power"] = "stopped"

    def deallocate(self, name: str) -> None:
        self._named(name)["power"] = "deallocated"

    def add(self, id: str, tags: Mapping[str, str], **properties: Any) -> None:
        """A thing of somebody else's group: add("shared/microsoft.network/publicipaddresses/x", {...})."""
        group, kind, name = re.fullmatch(r"([^/]+)/(.+)/([^/]+)", id).groups()  # type: ignore[union-attr]
        path = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}"
        self.groups.setdefault(group.lower(), _group(path, group, {"location": "eastus"}))
        made = {"location": "eastus", "tags": dict(tags), "properties": properties}
        self._put_down(f"{path}/providers/{TYPES.get(kind, (kind,))[0]}/{name}", made)

    # --- what ARM does ---

    def answer(
        self, method: str, path: str, query: Mapping[str, str], body: Any, host: str
    ) -> tuple[int, Any, dict[str, str]]:
        with self.lock:
            self.calls.append((method, path))
            self.bodies.append(body)
            self._settle(time.monotonic())
            if self.busy:
                refused = Answer(self.busy.pop(0), "TooManyRequests", "The request is being throttled.")
                refused.headers = {"Retry-After": self.retry_after} if refused.status == 429 else {}
                raise refused
            for pattern, refusal in self.refusals:
                if re.search(pattern, f"{method} {path}"):
                    raise refusal
            if found := re.fullmatch(r"/consoles/([^/]+)", path):
                return 200, self.consoles.get(found[1], b""), {}
            if path == "/subscriptions":
                listed = [
                    {"subscriptionId": id, "displayName": "A", "state": state} for id, state in self.subscriptions
                ]
                return 200, {"value": listed}, {}
            _checked_version(query)
            found = re.fullmatch(r"/subscriptions/([^/]+)(/.*)", path)
            if not found:
                raise Answer(404, "InvalidResourceType", f"no {path}")
            return self._routed(method, path, found[2], query, body, f"http://{host}")

    def _routed(
        self, method: str, path: str, rest: str, query: Mapping[str, str], body: Any, base: str
    ) -> tuple[int, Any, dict[str, str]]:
        if rest == "/locations":
            return 200, {"value": [{"name": each} for each in LOCATIONS]}, {}
        if found := re.fullmatch(r"/providers/[^/]+/locations/[^/]+/operation(?:s|results)/(.+)", rest):
            return self._looked(found[1], "operationresults" in rest)
        if rest == "/providers/Microsoft.Compute/skus":
            return self._skus(query, base, path)
        if found := re.fullmatch(
            r"/providers/Microsoft.Compute/locations/[^/]+/publishers/([^/]+)/artifacttypes/vmimage/offers/([^/]+)"
            r"/skus/([^/]+)/versions(?:/([^/]+))?", rest
        ):  # fmt: skip
            return 200, _image(*found.groups()), {}
        if rest == "/providers/Microsoft.Compute/virtualMachines":
            vms = [_shown(each, view=False) for each in self.things.values() if each["type"] == TYPES[VM][0]]
            return self._paged(vms, query, base, path)
        if rest == "/resourcegroups" or rest == "/resources":
            listed = list((self.groups if rest == "/resourcegroups" else self.things).values())
            wanted = _tagged(query.get("$filter"))
            return self._paged([_row(each) for each in listed if wanted(each)], query, base, path)
        if found := re.fullmatch(r"/providers/([^/]+)/register", rest):
            raise Answer(
                403, "AuthorizationFailed", f"The client does not have authorization to register '{found[1]}'."
            )
        found = re.fullmatch(r"/resource[Gg]roups/([^/]+)(?:/(.*))?", rest)
        if not found:
            raise Answer(404, "InvalidResourceType", f"no {path}")
        if not found[2]:
            return self._in_groups(method, path, found[1], body, base)
        group = self.groups.get(found[1].lower())
        if group is None:
            if method == "DELETE":
                return 204, None, {}
            raise Answer(404, "ResourceGroupNotFound", f"Resource group '{found[1]}' could not be found.")
        if found[2] == "resources":
            inside = [_row(each) for id, each in self.things.items() if _of_group(id) == found[1].lower()]
            return self._paged(inside, query, base, path)
        if method == "PUT" and group["properties"]["provisioningState"] == "Deleting":
            message = f"The resource group '{found[1]}' is in deprovisioning state and cannot perform this operation."
            raise Answer(409, "ResourceGroupBeingDeleted", message)
        return self._in_a_group(method, path, query, body, base)

    def _in_groups(self, method: str, path: str, name: str, body: Any, base: str) -> tuple[int, Any, dict[str, str]]:
        there = self.groups.get(name.lower())
        if method == "PUT":
            _valid("ResourceGroup", body)
            if there and there["properties"]["provisioningState"] == "Deleting":
                raise Answer(
                    409, "ResourceGroupBeingDeleted", f"The resource group '{name}' is in deprovisioning state."
                )
            if there and there["location"] != body["location"]:
                message = f"Invalid resource group location '{body['location']}'. The Resource group already exists in"
                raise Answer(409, "InvalidResourceGroupLocation", f"{message} location '{there['location']}'.")
            if body["location"] not in LOCATIONS:
                message = f"The provided location '{body['location']}' is not available for resource group."
                raise Answer(400, "LocationNotAvailableForResourceGroup", message)
            self.groups[name.lower()] = _group(path, name, body)
            return (200 if there else 201), self.groups[name.lower()], {}
        if there is None:
            raise Answer(404, "ResourceGroupNotFound", f"Resource group '{name}' could not be found.")
        if method == "GET":
            return 200, there, {}
        there["properties"]["provisioningState"] = "Deleting"
        operation = self._began(lambda: self._delete_group(name.lower()))
        return 202, None, {"Location": _link(base, "operationresults", operation), "Retry-After": "0"}

    def _in_a_group(
        self, method: str, path: str, query: Mapping[str, str], body: Any, base: str
    ) -> tuple[int, Any, dict[str, str]]:
        id = path.partition("/retrieveBootDiagnosticsData")[0].lower()
        thing = self.things.get(id)
        if method == "PUT":
            return self._put(path, body, base)
        if thing is None:
            if method == "DELETE":
                return 204, None, {}
            raise Answer(404, "ResourceNotFound", f"The Resource '{path.partition('/providers/')[2]}' was not found.")
        if method == "POST":
            return 200, {"serialConsoleLogBlobUri": f"{base}/consoles/{thing['name']}?sig=secret"}, {}
        if method == "GET":
            thing["seen"] = query.get("$expand") == "instanceView" and thing.get("power") == "running"
            return 200, _shown(thing, view=query.get("$expand") == "instanceView"), {}
        self._free(thing)
        if thing["type"] == TYPES[SCHEDULE][0]:
            del self.things[id]
            return 200, None, {}
        if thing["type"] == TYPES[VM][0]:
            thing["properties"]["provisioningState"] = "Deleting"
        operation = self._began(lambda: self._unmake(id))
        headers = {"Location": _link(base, "operationresults", operation), "Retry-After": "0"}
        return 202, None, headers | {"Azure-AsyncOperation": _link(base, "operations", operation)}

    def _put(self, path: str, body: Any, base: str) -> tuple[int, Any, dict[str, str]]:
        kind = "/".join(path.partition("/providers/")[2].split("/")[:2])
        if kind.lower() not in TYPES:
            raise Answer(400, "InvalidResourceType", f"The resource type {kind} could not be found.")
        if kind.partition("/")[0] in self.unregistered:
            # https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/error-register-resource-provider
            message = f"The subscription is not registered to use namespace '{kind.partition('/')[0]}'. See aka.ms/rps."
            raise Answer(409, "MissingSubscriptionRegistration", message)
        schema = TYPES[kind.lower()][1]
        if schema is None:
            raise Answer(400, "InvalidResourceType", f"nobody makes a {kind} on its own")
        _valid(schema, body)
        if body["location"] not in LOCATIONS:
            message = f"The provided location '{body['location']}' is not available for resource type '{kind}'."
            raise Answer(400, "LocationNotAvailableForResourceType", message)
        there = self.things.get(path.lower())
        if there and there.get("zones", []) != body.get("zones", []):
            message = f"Resource {path} has an existing availability zone constraint and cannot be changed."
            raise Answer(400, "ResourceAvailabilityZonesCannotBeModified", message)
        if kind.lower() == SCHEDULE:
            self._check_schedule(path, body)
            return (200 if there else 201), self._put_down(path, body), {}
        failure = self._check(kind.lower(), body)
        made = self._put_down(path, body)
        made["properties"]["provisioningState"] = "Creating" if kind.lower() == VM else "Updating"
        operation = self._began(lambda: self._whole(made, failure))
        header = {"Azure-AsyncOperation": _link(base, "operations", operation), "Retry-After": "0"}
        return (200 if there else 201), _shown(made, view=False), header

    def _check(self, kind: str, body: Any) -> Answer | None:
        """What is referred to is there. Answers with what goes wrong while it is made."""
        properties = body["properties"]
        if kind == NET:
            for subnet in properties["subnets"]:
                self._there(subnet["properties"]["networkSecurityGroup"]["id"])
        if kind == NIC:
            for each in properties["ipConfigurations"]:
                self._there(each["properties"]["subnet"]["id"].rpartition("/subnets/")[0])
                self._there(each["properties"]["publicIPAddress"]["id"])
        return self._check_vm(body) if kind == VM else None

    def _check_vm(self, body: Any) -> Answer | None:
        properties, zones = body["properties"], body.get("zones", [])
        size, region = properties["hardwareProfile"]["vmSize"], body["location"]
        image = properties["storageProfile"]["imageReference"]
        if not properties["osProfile"]["linuxConfiguration"]["ssh"]["publicKeys"][0]["keyData"].startswith("ssh-"):
            raise Answer(400, "InvalidParameter", "The value of parameter linuxConfiguration.ssh is invalid.")
        if (image["publisher"].lower(), image["offer"].lower(), image["sku"].lower()) not in IMAGES:
            name = ":".join(image.values())
            message = f"The platform image '{name}' is not available. Verify that all fields in the storage profile are"
            raise Answer(404, "PlatformImageNotFound", f"{message} correct.", target="imageReference")
        if region not in SIZES.get(size, {}):
            message = (
                f"The value {size} provided for the VM size is not valid. The valid sizes in the current region are"
            )
            raise Answer(400, "InvalidParameter", f"{message}: ...", target="vmSize")
        for each in properties["networkProfile"]["networkInterfaces"]:
            interface = self._there(each["id"])
            address = self._there(interface["properties"]["ipConfigurations"][0]["properties"]["publicIPAddress"]["id"])
            if address.get("zones", []) != zones:
                # github.com/Azure/RGCOPY, README
                message = (
                    f"Compute resource has a zone constraint {zones} but the PublicIPAddress {address['id']} used by"
                )
                message += f" the compute resource has a different zone constraint {address.get('zones', 'Regional')}."
                raise Answer(400, "ComputeResourceZoneConstraintDoesNotMatchPublicIPAddressZoneConstraint", message)
        group = interface["id"].partition("/providers/")[0]
        disk = self.things.get(
            f"{group}/providers/{TYPES[DISK][0]}/{properties['storageProfile']['osDisk']['name']}".lower()
        )
        if disk is not None:
            raise Answer(409, "ConflictingUserInput", f"Disk {disk['name']} already exists in resource group {group}.")
        if self.quota:
            raise _quota(region, spot=properties.get("priority") == "Spot")
        if {*zones, *([] if zones else [""])} & self.stock_out:
            return self._out_of_stock(size, region, zones)
        return None

    def _out_of_stock(self, size: str, region: str, zones: list[str]) -> Answer:
        if self.stock_late:
            # github.com/openshift/release/pull/5182, github.com/vmware-tanzu/community-edition/issues/3963
            code, place = ("ZonalAllocationFailed", "zone") if zones else ("AllocationFailed", "region")
            message = (
                f"Allocation failed. We do not have sufficient capacity for the requested VM size in this {place}."
            )
            return Answer(409, code, f"{message} Read more about improving likelihood of allocation success at"
                          " http://aka.ms/allocation-guidance")  # fmt: skip
        # github.com/Azure-Samples/azuresandbox/issues/70
        message = (
            f"The requested VM size for resource 'Following SKUs have failed for Capacity Restrictions: {size}' is"
        )
        message += f" currently not available in location '{region}'. Please try another size or deploy to a different"
        raise Answer(
            409, "SkuNotAvailable",
            f"{message} location or different zone. See https://aka.ms/azureskunotavailable for details.",
        )  # fmt: skip

    def _check_schedule(self, path: str, body: Any) -> None:
        vm = self._there(body["properties"]["targetResourceId"])
        # github.com/Azure/terraform-azurerm-avm-res-compute-virtualmachine/pull/422
        if path.rpartition("/")[2] != f"shutdown-computevm-{vm['name']}":
            raise Answer(400, "InvalidScheduleName", "The name of the schedule must be shutdown-computevm-<VM name>.")
        if not self.early_schedules and vm["properties"]["provisioningState"] == "Creating":
            raise Answer(404, "ResourceNotFound", "The target of the schedule was not found.")

    def _whole(self, made: dict[str, Any], failure: Answer | None) -> dict[str, Any] | None:
        """An operation's end: the thing is there, or a VM that failed is."""
        if made["id"].lower() not in self.things:
            return {"code": "OperationPreempted", "message": "The operation was preempted by a more recent one."}
        made["properties"]["provisioningState"] = "Failed" if failure else "Succeeded"
        if made["type"] == TYPES[IP][0]:
            made["properties"]["ipAddress"] = "203.0.113.80"
        if made["type"] == TYPES[VM][0]:
            made["power"] = None if failure else "running"
            made["failure"] = failure and failure.body["error"]
            disk = made["properties"]["storageProfile"]["osDisk"]["name"]
            self._put_down(
                f"{made['id'].partition('/providers/')[0]}/providers/{TYPES[DISK][0]}/{disk}",
                {"location": made["location"], "zones": made.get("zones", []), "tags": {}, "properties": {}},
            )
        return dict(failure.body["error"]) if failure else None

    def _free(self, thing: dict[str, Any]) -> None:
        """Raises Answer for what something else holds."""
        held = {
            TYPES[NIC][0]: (VM, "NicInUse"),
            TYPES[IP][0]: (NIC, "PublicIPAddressCannotBeDeleted"),
            TYPES[NET][0]: (NIC, "InUseSubnetCannotBeDeleted"),
            TYPES[RULES][0]: (NET, "InUseNetworkSecurityGroupCannotBeDeleted"),
        }.get(thing["type"])
        name = thing["name"] if thing["type"] == TYPES[DISK][0] else None
        for each in self.things.values():
            text = json.dumps(each["properties"]).lower()
            if held and each["type"] == TYPES[held[0]][0] and thing["id"].lower() in text:
                raise Answer(400, held[1], f"{thing['id']} is in use by {each['id']} and cannot be deleted.")
            if name and each["type"] == TYPES[VM][0] and f'"name": "{name}"'.lower() in text:
                raise Answer(409, "OperationNotAllowed", f"Disk {name} is attached to VM {each['id']}.")

    def _unmake(self, id: str) -> None:
        """A VM takes with it what says so: its interface, that one's address, its disk."""
        thing = self.things.pop(id, None)
        if thing is None or thing["type"] != TYPES[VM][0]:
            return
        group = thing["id"].partition("/providers/")[0]
        disk = thing["properties"]["storageProfile"]["osDisk"]
        if disk["deleteOption"] == "Delete":
            self.things.pop(f"{group}/providers/{TYPES[DISK][0]}/{disk['name']}".lower(), None)
        for each in thing["properties"]["networkProfile"]["networkInterfaces"]:
            if each["properties"].get("deleteOption") == "Delete":
                interface = self.things.pop(each["id"].lower(), None)
                for one in interface["properties"]["ipConfigurations"] if interface else ():
                    address = one["properties"]["publicIPAddress"]
                    if address.get("properties", {}).get("deleteOption") == "Delete":
                        self.things.pop(address["id"].lower(), None)

    def _delete_group(self, name: str) -> None:
        for id in [id for id in self.things if _of_group(id) == name]:
            del self.things[id]
        self.groups.pop(name, None)

    # --- operations, lists ---

    def _began(self, then: Callable[[], dict[str, Any] | None]) -> str:
        id = str(uuid.uuid4())
        self.operations[id] = _Operation(due=time.monotonic() + self.seconds, then=then)
        return id

    def _settle(self, now: float) -> None:
        for each in sorted(self.operations.values(), key=lambda each: each.due):
            if not each.done and each.due <= now:
                each.done, each.error = True, each.then()

    def _looked(self, id: str, by_location: bool) -> tuple[int, Any, dict[str, str]]:
        operation = self.operations.get(id)
        if operation is None:
            raise Answer(404, "NotFound", f"no operation {id}")
        if by_location:
            return (204 if operation.done else 202), None, {"Retry-After": "0"}
        if operation.error:
            return 200, {"name": id, "status": "Failed", "error": operation.error}, {}
        return 200, {"name": id, "status": "Succeeded" if operation.done else "InProgress"}, {"Retry-After": "0"}

    def _skus(self, query: Mapping[str, str], base: str, path: str) -> tuple[int, Any, dict[str, str]]:
        region = re.fullmatch(r"location eq '(.*)'", query["$filter"])[1]  # type: ignore[index]
        found = [
            {
                "resourceType": "virtualMachines",
                "name": size,
                "locations": [region],
                "locationInfo": [{"location": region, "zones": list(zones[region])}],
                "restrictions": self.restrictions.get(size, []),
            }
            for size, zones in SIZES.items()
            if region in zones
        ]
        disks = [{"resourceType": "disks", "name": "StandardSSD_LRS", "locations": [region]}] if found else []
        return self._paged(disks + found, query, base, path)

    def _paged(
        self, listed: list[Any], query: Mapping[str, str], base: str, path: str
    ) -> tuple[int, Any, dict[str, str]]:
        """A few on a page."""
        at = int(query.get("$skiptoken", 0))
        body: dict[str, Any] = {"value": listed[at : at + PAGE]}
        if listed[at + PAGE :]:
            asked = "&".join(
                f"{key}={value.replace(' ', '%20')}" for key, value in query.items() if key != "$skiptoken"
            )
            body["nextLink"] = f"{base}{path}?{asked}&$skiptoken={at + PAGE}"
        return 200, body, {}

    # --- things ---

    def _put_down(self, path: str, body: Any) -> dict[str, Any]:
        kind = "/".join(path.partition("/providers/")[2].split("/")[:2])
        made: dict[str, Any] = copy.deepcopy(body) | {"id": path, "name": path.rpartition("/")[2], "type": kind}
        self.things[path.lower()] = made
        return made

    def _there(self, id: str) -> dict[str, Any]:
        if id.lower() not in self.things:
            raise Answer(404, "NotFound", f"Resource {id} not found.")
        return self.things[id.lower()]

    def _named(self, name: str) -> dict[str, Any]:
        return next(t for t in self.things.values() if t["type"] == TYPES[VM][0] and t["name"] == name)


def _shown(thing: Mapping[str, Any], view: bool) -> dict[str, Any]:
    """As ARM answers it: no customData, and the instance view where it is asked for."""
    shown = {key: copy.deepcopy(value) for key, value in thing.items() if key not in ("power", "failure", "seen")}
    if thing["type"] == TYPES[VM][0]:
        shown["properties"]["osProfile"].pop("customData", None)
        if view:
            state, failure, power = shown["properties"]["provisioningState"], thing.get("failure"), thing.get("power")
            first = {"code": f"ProvisioningState/{state.lower()}", "displayStatus": f"Provisioning {state.lower()}"}
            if failure:
                first = {"code": f"ProvisioningState/failed/{failure['code']}", "message": failure["message"]}
            shown["properties"]["instanceView"] = {
                "statuses": [first, *([{"code": f"PowerState/{power}"}] if power else [])]
            }
    return shown


def _row(thing: Mapping[str, Any]) -> dict[str, Any]:
    """As lists of resources have it, without its properties; a group keeps its own."""
    keys = ("id", "name", "type", "location", "tags", *(["properties"] if "/providers/" not in thing["id"] else []))
    return {key: thing[key] for key in keys if key in thing}


def _group(path: str, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": path.replace("/resourcegroups/", "/resourceGroups/"), "name": name,
        "type": "Microsoft.Resources/resourceGroups", "location": body["location"], "tags": dict(body.get("tags", {})),
        "properties": {"provisioningState": "Succeeded"},
    }  # fmt: skip


def _image(publisher: str, offer: str, sku: str, version: str | None) -> Any:
    if (publisher.lower(), offer.lower(), sku.lower()) not in IMAGES or version not in (None, VERSION):
        raise Answer(404, "NotFound", f"Artifact: VMImage was not found: {publisher}:{offer}:{sku}:{version}.")
    return {"name": version, "location": "eastus"} if version else [{"name": VERSION, "location": "eastus"}]


def _of_group(id: str) -> str:
    return id.split("/")[4].lower()


def _tagged(filter: str | None) -> Callable[[Mapping[str, Any]], bool]:
    if filter is None:
        return lambda _: True
    found = re.fullmatch(r"tagName eq '([^']+)'(?: and tagValue eq '([^']*)')?", filter)
    if not found:
        raise Answer(400, "InvalidFilterInQueryString", f"Invalid $filter '{filter}' specified in the query string.")
    tag, value = found.groups()
    return lambda each: tag in each.get("tags", {}) and value in (None, each["tags"][tag])


def _quota(region: str, *, spot: bool) -> Answer:
    # github.com/Azure/karpenter-provider-azure/issues/192, github.com/scylladb/scylla-cluster-tests/issues/4994
    family = "LowPriorityCores" if spot else "standardNCASv3_T4Family Cores"
    return Answer(
        409, "OperationNotAllowed",
        f"Operation could not be completed as it results in exceeding approved {family} quota. Additional details -"
        f" Deployment Model: Resource Manager, Location: {region}, Current Limit: 0, Current Usage: 0, Additional"
        " Required: 4, (Minimum) New Limit Required: 4. Setup Alerts when Quota reaches threshold. Learn more at"
        " https://aka.ms/quotamonitoringalerting . Submit a request for Quota increase at"
        " https://aka.ms/ProdportalCRP/#blade/Microsoft_Azure_Capacity/UsageAndQuota.ReactView/Parameters/%7B%7D by"
        " specifying parameters listed in the ‘Details’ section for deployment to succeed.",
    )  # fmt: skip


def _checked_version(query: Mapping[str, str]) -> None:
    if not re.fullmatch(r"20\d\d-\d\d-\d\d(-preview)?", query.get("api-version", "")):
        raise Answer(400, "MissingApiVersionParameter", "The api-version query parameter (?api-version=) is required.")


def _link(base: str, kind: str, operation: str) -> str:
    where = "providers/Microsoft.Compute/locations/eastus"
    return f"{base}/subscriptions/{SUBSCRIPTION}/{where}/{kind}/{operation}?api-version=2024-11-01"


def checked(name: str, body: Any) -> list[str]:
    """What the recorded schema has against it."""
    schema = json.loads((SCHEMAS / f"azure_{name}.json").read_text())
    return [each.message for each in jsonschema.Draft202012Validator(schema).iter_errors(body)]


def _valid(name: str, body: Any) -> None:
    if wrong := checked(name, body):
        raise Answer(400, "InvalidRequestContent", f"The request content was invalid: {'; '.join(wrong)}")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer in one piece: in two, the second waits for the first one's acknowledgement
    emulator: Emulator

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self) -> None:
        split = urlsplit(self.path)
        query = {key: values[-1] for key, values in parse_qs(split.query).items()}
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = json.loads(data) if data else None
        try:
            status, answer, headers = self.emulator.answer(self.command, split.path, query, body, self.headers["Host"])
        except Answer as error:
            status, answer, headers = error.status, error.body, error.headers
        text = answer if isinstance(answer, bytes) else b"" if answer is None else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if status != 204:
            self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815 - http.server's names


@contextmanager
def emulator() -> Iterator[Emulator]:
    made = Emulator()
    with running(Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"emulator": made}))) as server:
        made.address = server.address
        yield made


@pytest.fixture
def azure_emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """An empty subscription behind GPUCHECK_CLOUD_ENDPOINT."""
    with emulator() as made:
        monkeypatch.setenv(ENDPOINT, made.address)
        monkeypatch.delenv("AZURE_SUBSCRIPTION_ID", raising=False)
        yield made
