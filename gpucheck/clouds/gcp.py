"""Google Cloud: one instance of Compute Engine and the two rules of its network, by google-cloud-compute.

An order's image is projects/PROJECT/global/images/family/FAMILY, or projects/PROJECT/global/images/IMAGE.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal

from gpucheck.clouds import endpoint, gcp_bodies, gcp_catalog, gcp_holdings
from gpucheck.clouds.gcp_api import Api, last, region_of, sdk
from gpucheck.clouds.gcp_catalog import Image
from gpucheck.clouds.orders import TAG, Cloud, Machine, Order, Refused, Resource
from gpucheck.model import Say

STATES: Mapping[str, Literal["starting", "running", "stopping", "stopped"]] = {
    "PENDING": "starting", "PROVISIONING": "starting", "STAGING": "starting", "RUNNING": "running",
    "STOPPED": "stopped", "SUSPENDED": "stopped", "TERMINATED": "stopped",
}  # fmt: skip
ITS_OWN = "compute.instances."  # an operation of Compute Engine itself: compute.instances.preempted, .hostError


def connect(region: str | None) -> Cloud:
    """A project is global: `region` makes no difference."""
    del region
    return Gcp(Api(endpoint()))


class Gcp:
    provider = "gcp"

    def __init__(self, api: Api) -> None:
        self._api = api
        self._images: dict[str, Image] = {}
        self._seen: dict[str, tuple[Machine, int]] = {}  # with Google's number: one that is gone is found by it
        self._consoles: dict[str, tuple[str, int]] = {}  # what was read, and the byte to go on at

    def zones(self, order: Order) -> Sequence[str]:
        return gcp_catalog.zones(self._api, order)

    def request(self, order: Order, zone: str | None) -> Mapping[str, Any]:
        zone = zone or self.zones(order)[0]
        rules = {f"firewalls.insert {rule['name']}": _wire("Firewall", rule) for rule in gcp_bodies.rules(order)}
        body = gcp_bodies.instance(order, zone, self._image(order).path, _seconds(order))
        where = {"project": self._api.project, "zone": zone}
        return {**rules, "instances.insert": {**where, "body": _wire("Instance", body)}}

    def create(self, order: Order, zone: str | None, say: Say) -> Machine:
        zone = zone or self.zones(order)[0]
        image = self._image(order)
        if image.warning:
            say(image.warning, None)
        self._keep_out(order, say)
        what = f"{order.instance_type} in {zone}"
        say(f"making {gcp_bodies.name(order.name)}: {what}", None)
        asked: dict[str, Any] = {
            "instance_resource": gcp_bodies.instance(order, zone, image.path, _seconds(order)),
            "request_id": gcp_bodies.request_id(order, zone),
        }
        try:
            self._api.finish(self._api.call("instances", "insert_unary", what, zone=zone, **asked), what)
        except Refused as refused:
            there = self._instance(order, zone) if refused.reason == "name" else None
            if there is None or there.state in ("stopping", "stopped"):
                raise
            return there
        made = self._instance(order, zone)
        if made is None:
            raise Refused("stock", f"{what} was made and was gone at once", "another zone, or without --spot")
        return made

    def machines(self, name: str | None = None) -> Sequence[Machine]:
        listed, silent = self._api.everywhere("instances", "for our instances", gcp_holdings.ours(name))
        found = [self._machine(each) for each in listed]
        if name is None or found:
            return found
        if silent:
            where = ", ".join(silent)
            raise Refused("busy", f"{where} did not answer: whether {name} is there is not known", "try again")
        if name not in self._seen:
            return ()
        machine, number = self._seen[name]
        return (replace(machine, state="gone", ended=self._end(machine, number)),)

    def console(self, machine: Machine) -> str:
        text, position = self._consoles.get(machine.id, ("", 0))
        try:
            posted = self._api.call(
                "instances", "get_serial_port_output", f"for the console of {machine.name}", patient=False,
                instance=gcp_bodies.name(machine.name), zone=machine.zone or "", port=1, start=position,
            )  # fmt: skip
        except Refused as refused:
            if refused.reason in ("credentials", "permission", "clock"):
                raise
            return text  # stopped, gone or busy: what was read is all there is by now
        if text and posted.start > position:
            text += "\n"  # more than the megabyte that is kept came since: its oldest part is lost
        text += str(posted.contents)
        self._consoles[machine.id] = text, posted.next_
        return text

    def resources(self, name: str | None = None) -> Sequence[Resource]:
        """Of a zone that did not answer there is a row too, of kind `unknown`: who knows what is there."""
        found, silent = gcp_holdings.everything(self._api, name)
        return [
            *(each.resource for each in found),
            *(Resource(kind="unknown", id=f"no answer of {at}", region=at, name=None, expires=None) for at in silent),
        ]

    def remove(self, name: str | None, say: Say) -> Sequence[Resource]:
        unsettled = gcp_holdings.settle(self._api, name)
        found, silent = gcp_holdings.everything(self._api, name)
        refusals = gcp_holdings.delete(self._api, [each for each in found if each.service == "instances"], say)
        left = [each for each in found if each.service not in ("instances", "disks")]
        if any(each.service == "disks" for each in found):  # most went with their instances: look again
            left += gcp_holdings.labelled(self._api, name, "disks")[0]
        refusals += gcp_holdings.delete(self._api, left, say)
        for run in [name] if name else list(self._seen):
            self._seen.pop(run, None)
        self._consoles.clear()  # the next one of that name has its own
        if refusals := [*refusals, *unsettled]:
            raise refusals[0]
        if silent:
            raise Refused("busy", f"{', '.join(silent)} did not answer: what is left there is not known", "try again")
        return [each.resource for each in found]

    def _image(self, order: Order) -> Image:
        if order.image not in self._images:
            self._images[order.image] = gcp_catalog.image(self._api, order)
        return self._images[order.image]

    def _keep_out(self, order: Order, say: Say) -> None:
        """The rules that are for this instance alone are there before it is."""
        what = "the firewall rules"
        there = {}
        for rule, mark in gcp_holdings.rules(self._api, order.name):
            if mark is None:
                raise Refused("name", f"the firewall rule {rule.name} is there and is not gpucheck's", "another --name")
            there[rule.name] = rule
        wanted = {body["name"]: body for body in gcp_bodies.rules(order)}
        begun = [
            self._api.call("firewalls", "delete_unary", what, firewall=name) for name in there.keys() - wanted.keys()
        ]
        for name, body in wanted.items():
            if name not in there:
                say(f"making the firewall rule {name}", None)
                begun.append(self._api.call("firewalls", "insert_unary", what, firewall_resource=body))
            elif not _same(there[name], sdk().Firewall(body)):
                say(f"changing the firewall rule {name}", None)
                begun.append(self._api.call("firewalls", "update_unary", what, firewall=name, firewall_resource=body))
        for operation in begun:
            self._api.finish(operation, what)

    def _instance(self, order: Order, zone: str) -> Machine | None:
        named = gcp_bodies.name(order.name)
        found = self._api.found("instances", "get", f"for {named}", zone=zone, instance=named)
        return self._machine(found) if found and found.labels.get(TAG) == order.name else None

    def _machine(self, found: Any) -> Machine:
        mark, zone = gcp_bodies.mark_of_labels(found.labels), last(found.zone)
        outside = [access.nat_i_p for each in found.network_interfaces for access in each.access_configs]
        machine = Machine(
            name=mark.run,
            id=f"{zone}/{found.name}",
            provider=self.provider,
            instance_type=last(found.machine_type),
            region=region_of(zone),
            zone=zone,
            state=STATES.get(found.status, "stopping"),
            spot=found.scheduling.provisioning_model == "SPOT",
            owner=mark.owner,
            expires=mark.expires,
            address=next(filter(None, outside), None),
        )
        self._seen[mark.run] = machine, found.id
        if machine.state in ("stopping", "stopped"):
            return replace(machine, ended=self._end(machine, found.id))
        return machine

    def _end(self, machine: Machine, number: int) -> str | None:
        """What Compute Engine itself did to it before its time, in its own words."""
        if machine.expires and datetime.now(UTC) >= machine.expires:
            return None
        done, _ = self._api.everywhere("global_operations", f"how {machine.name} ended", f"targetId = {number}")
        ends = [each for each in done if each.operation_type.startswith(ITS_OWN)]
        newest = max(ends, key=lambda each: str(each.insert_time), default=None)
        return newest and f"{newest.operation_type.removeprefix(ITS_OWN)} {newest.status_message}".strip()


def _same(there: Any, wanted: Any) -> bool:
    fields = ("priority", "direction", "denied", "allowed", "source_ranges", "target_tags", "description")
    return not there.disabled and all(getattr(there, field) == getattr(wanted, field) for field in fields)


def _wire(kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """As it is sent."""
    message = getattr(sdk(), kind)
    return dict(json.loads(message.to_json(message(body), always_print_fields_with_no_presence=False)))


def _seconds(order: Order) -> int:
    """To live from now on; Compute Engine takes no less than 30."""
    return max(30, int((order.expires - datetime.now(UTC)).total_seconds()))
