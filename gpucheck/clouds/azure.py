"""Azure: one VM in a resource group of its own, by azure-mgmt-compute, -network and -resource.

All of a run is in the group gpucheck-NAME, so that deleting the group deletes it. An order's image is
PUBLISHER:OFFER:SKU:VERSION, where VERSION may be `latest`.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from typing import Any

from gpucheck.clouds import azure_answers, azure_bodies, azure_offers, endpoint
from gpucheck.clouds.azure_api import Api
from gpucheck.clouds.azure_bodies import Call
from gpucheck.clouds.orders import TAG, Cloud, Machine, Order, Refused, Resource
from gpucheck.model import Say

FORCE = "Microsoft.Compute/virtualMachines"  # deleted without the time that its system takes to end
LONGEST = 900.0  # seconds that the deletion of a group may take
OURS = f"tagName eq '{TAG}'"


def connect(region: str | None) -> Cloud:
    """A subscription knows all regions: `region` makes no difference."""
    del region
    return Azure(Api(endpoint()))


class Azure:
    provider = "azure"

    def __init__(self, api: Api) -> None:
        self._api = api
        self._seen: dict[str, Machine] = {}
        self._consoles: dict[str, str] = {}

    def zones(self, order: Order) -> Sequence[str]:
        """[""] where the region has no zones, or none that this subscription may name."""
        return azure_offers.zones(self._api, order)

    def request(self, order: Order, zone: str | None) -> Mapping[str, Any]:
        return {f"{call.operation} {call.name}": call.body for call in self._calls(order, zone)}

    def create(self, order: Order, zone: str | None, say: Say) -> Machine:
        group = self._group(order.name)
        if group is not None and self._leaves(group):
            group = None
        if group is not None:
            if not _is(group, order.name):
                raise Refused("name", f"{group.name} is there and is not gpucheck's {order.name}", "another --name")
            there = self._machine(order.name)
            if there and there.state in ("starting", "running"):  # whoever made it may have been cut off after that
                self._make(self._calls(replace(order, expires=there.expires or order.expires), zone)[-1], say)
                return there
        azure_offers.check_image(self._api, order)
        if group is not None:
            self._clear(order.name, say)  # what an earlier try left is of another zone
        *things, machine, shutdown = self._calls(order, zone)
        for call in things:
            self._make(call, say)
        try:
            self._begin_and_end(machine, shutdown, say)
        except Refused:  # out of the next zone's way; and no VM is left that Azure would not end
            self._clear(order.name, say)
            raise
        made = self._machine(order.name)
        if made is None:
            raise Refused("stock", f"{order.name} was made and was gone at once", "another zone, or without --spot")
        return made

    def machines(self, name: str | None = None) -> Sequence[Machine]:
        if name and (there := self._machine(name)):
            return (there,)
        listed = self._api.listed("for our instances", "virtual_machines.list_all")
        ours = [each for each in listed if (each.tags or {}).get(TAG) and name in (None, each.tags[TAG])]
        seen = (self._view(*azure_answers.where(each.id)) for each in ours)
        if found := [each for each in seen if each]:
            return found
        return (self._gone(self._seen[name]),) if name in self._seen else ()

    def console(self, machine: Machine) -> str:
        """What is on it by now, or what was read last where it cannot be read: the VM is gone, or Azure is busy."""
        what = f"for the console of {machine.name}"
        try:
            told = self._api.found(
                what, "virtual_machines.retrieve_boot_diagnostics_data", *machine.id.split("/"),
                sas_uri_expiration_time_in_minutes=5,
            )  # fmt: skip
            if told and told.serial_console_log_blob_uri:
                self._consoles[machine.id] = self._api.blob(told.serial_console_log_blob_uri)
        except Refused as refused:
            if refused.reason in ("credentials", "permission", "clock"):
                raise
        return self._consoles.get(machine.id, "")

    def resources(self, name: str | None = None) -> Sequence[Resource]:
        groups = self._groups(name)
        return [*self._within(groups), *(azure_answers.resource(each) for each in self._strays(name, groups))]

    def remove(self, name: str | None, say: Say) -> Sequence[Resource]:
        groups = self._groups(name)
        strays = self._strays(name, groups)
        found = [*self._within(groups), *(azure_answers.resource(each) for each in strays)]
        begun: list[tuple[str, Any]] = []
        refusals: list[Refused] = []
        for group in groups:
            what = f"to delete {group.name}"
            say(f"deleting the resource group {group.name}", None)
            try:
                deletion = self._api.begun(what, "resource_groups.begin_delete", group.name, force_deletion_types=FORCE)
                begun.append((what, deletion))
            except Refused as refused:
                there = self._api.found(what, "resource_groups.get", group.name)
                if there is not None and not self._leaves(there):
                    refusals.append(refused)
        for what, deletion in begun:
            try:
                self._api.finish(what, deletion)
            except Refused as refused:
                refusals.append(refused)
        refusals += self._delete_strays(strays, say)
        self._consoles.clear()  # the next one of that name has its own
        if refusals:
            raise refusals[0]
        for run in [name] if name else list(self._seen):
            self._seen.pop(run, None)
        return found

    # --- what there is ---

    def _group(self, run: str) -> Any:
        return self._api.found(f"for {run}", "resource_groups.get", azure_bodies.group(run))

    def _groups(self, name: str | None) -> list[Any]:
        if name:  # by its name: a list may be some seconds behind
            group = self._group(name)
            return [group] if group is not None and _is(group, name) else []
        listed = self._api.listed("for our resource groups", "resource_groups.list", filter=OURS)
        return [each for each in listed if each.name.lower() == azure_bodies.group(each.tags[TAG])]

    def _within(self, groups: Iterable[Any]) -> list[Resource]:
        found = []
        for group in groups:
            run, expires = (group.tags or {}).get(TAG), azure_bodies.expiry(group.tags)
            found.append(Resource(kind="group", id=group.name, region=group.location, name=run, expires=expires))
            inside = self._api.listed(f"what is in {group.name}", "resources.list_by_resource_group", group.name)
            found += [replace(azure_answers.resource(each), name=run, expires=expires) for each in inside]
        return found

    def _strays(self, name: str | None, groups: Iterable[Any]) -> list[Any]:
        """With our tag, in another group: a Terraform module's, say. Such a group itself is not ours to delete."""
        wanted = f"{OURS} and tagValue eq '{name}'" if name else OURS
        ours = {group.name.lower() for group in groups}
        listed = self._api.listed("for all that is ours", "resources.list", filter=wanted)
        return [each for each in listed if azure_answers.where(each.id)[0].lower() not in ours]

    def _machine(self, run: str) -> Machine | None:
        return self._view(azure_bodies.group(run), run)

    def _view(self, group: str, name: str) -> Machine | None:
        found = self._api.found(f"for {name}", "virtual_machines.get", group, name, expand="instanceView")
        run = (found.tags or {}).get(TAG) if found else None
        if not found or not run:
            return None
        address = None
        if azure_answers.state(found) in ("starting", "running"):
            named = azure_bodies.address(name)
            address = self._api.found(f"for the address of {name}", "public_ip_addresses.get", group, named)
        self._seen[run] = azure_answers.machine(found, run, group, address and address.ip_address)
        return self._seen[run]

    def _gone(self, machine: Machine) -> Machine:
        """One that was there a while ago. What is evicted is deleted, and its group is left."""
        if self._group(machine.name) is None:
            ended = "its resource group was deleted, not by this gpucheck"
        elif machine.spot:
            ended = "evicted: Azure took the spot VM back and deleted it"
        else:
            ended = "the VM was deleted, not by this gpucheck"
        return replace(machine, state="gone", address=None, ended=ended)

    # --- what is changed ---

    def _calls(self, order: Order, zone: str | None) -> tuple[Call, ...]:
        return azure_bodies.calls(order, zone, self._api.subscription, order.ssh_key or self._nobodys_key)

    @cached_property
    def _nobodys_key(self) -> str:
        """A public key whose private half is kept by nobody. RSA, which every version of Azure takes."""
        rsa: Any = importlib.import_module("cryptography.hazmat.primitives.asymmetric.rsa")
        forms: Any = importlib.import_module("cryptography.hazmat.primitives.serialization")
        public = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
        return str(public.public_bytes(forms.Encoding.OpenSSH, forms.PublicFormat.OpenSSH).decode())

    def _begin_and_end(self, machine: Call, shutdown: Call, say: Say) -> None:
        """A VM, and its end as soon as Azure takes that: at once, or when the VM is whole."""
        what = f"to make the VM {machine.name}"
        say(f"making the VM {machine.name}", None)
        begun = self._api.begun(
            what, machine.operation, *machine.names, parameters=dict(machine.body), api_version=machine.api_version
        )
        timed = False
        with suppress(Refused):
            self._make(shutdown, say)
            timed = True
        self._api.finish(what, begun)
        if not timed:
            self._make(shutdown, say)

    def _make(self, call: Call, say: Say) -> None:
        say(f"making {call.name}", None)
        version = {"api_version": call.api_version} if call.api_version else {}
        self._api.call(f"to make {call.name}", call.operation, *call.names, parameters=dict(call.body), **version)

    def _clear(self, run: str, say: Say) -> None:
        """All that is of one zone: the VM, and what it lets go of. What is not there is no error."""
        say(f"clearing what is left of {run}", None)
        what, group = f"to clear what is left of {run}", azure_bodies.group(run)
        self._api.call(what, "virtual_machines.begin_delete", group, run, force_deletion=True)
        self._api.call(what, "network_interfaces.begin_delete", group, azure_bodies.interface(run))
        self._api.call(what, "public_ip_addresses.begin_delete", group, azure_bodies.address(run))
        self._api.call(what, "disks.begin_delete", group, azure_bodies.disk(run))

    def _leaves(self, group: Any) -> bool:
        """Whether it is gone in the end: a group that somebody deletes already."""
        until = time.monotonic() + LONGEST
        while group.properties.provisioning_state == "Deleting" and time.monotonic() < until:
            time.sleep(0.02 if endpoint() else 5)
            there = self._api.found(f"for {group.name}", "resource_groups.get", group.name)
            if there is None:
                return True
            group = there
        return False

    def _delete_strays(self, strays: Iterable[Any], say: Say) -> list[Refused]:
        refusals = []
        order = list(azure_bodies.TYPES)
        known = [each for each in strays if each.type.lower() in order]
        for each in sorted(known, key=lambda each: order.index(each.type.lower())):
            kind, version = azure_bodies.TYPES[each.type.lower()]
            say(f"deleting the {kind} {each.name}", None)
            try:
                self._api.call(
                    f"to delete {each.id}", "resources.begin_delete_by_id", each.id, api_version=version
                )  # fmt: skip
            except Refused as refused:
                refusals.append(refused)
        for each in strays:
            if each.type.lower() not in order:
                sentence = f"{each.id} has our tag, and is of a kind that gpucheck neither makes nor deletes"
                refusals.append(Refused("refused", sentence, f"`az resource delete --ids {each.id}`"))
        return refusals


def _is(group: Any, run: str) -> bool:
    return bool((group.tags or {}).get(TAG) == run)
