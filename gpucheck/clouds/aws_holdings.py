"""What is ours on AWS, and its end: found by tag in each region, kind by kind, and deleted until nothing is left."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gpucheck.clouds import aws_bodies, aws_errors
from gpucheck.clouds.aws_api import Api, asking, listed
from gpucheck.clouds.orders import TAG, Refused, Resource
from gpucheck.model import Say

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

LONGEST = 900.0  # seconds that the end of a GPU instance may take
POLL = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """How one kind is listed and deleted. `first`: the others of its run hang on it."""

    call: str
    key: str
    id: str
    delete: str
    plural: bool = False  # whether the deletion takes a list of them
    states: Mapping[str, tuple[str, ...]] | None = None  # a filter: what is in another state costs nothing any more
    first: bool = False


KINDS = {
    "instance": Kind(
        call="describe_instances", key="Reservations", id="InstanceId", delete="terminate_instances", plural=True,
        states={"instance-state-name": ("pending", "running", "shutting-down", "stopping", "stopped")}, first=True,
    ),
    "spot request": Kind(
        call="describe_spot_instance_requests", key="SpotInstanceRequests", id="SpotInstanceRequestId",
        delete="cancel_spot_instance_requests", plural=True, states={"state": ("open", "active")}, first=True,
    ),
    "disk": Kind(call="describe_volumes", key="Volumes", id="VolumeId", delete="delete_volume"),
    "interface": Kind(
        call="describe_network_interfaces", key="NetworkInterfaces", id="NetworkInterfaceId",
        delete="delete_network_interface",
    ),
    "address": Kind(call="describe_addresses", key="Addresses", id="AllocationId", delete="release_address"),
    "group": Kind(call="describe_security_groups", key="SecurityGroups", id="GroupId", delete="delete_security_group"),
}  # fmt: skip
IN_USE = ("DependencyViolation", "VolumeInUse", "InvalidNetworkInterface.InUse", "InvalidIPAddress.InUse",
          "InvalidParameterValue", "IncorrectState")  # fmt: skip


def everything(api: Api, name: str | None, regions: Sequence[str] = ()) -> tuple[list[Resource], dict[str, Refused]]:
    """And the regions that did not say."""
    answers, refusals = api.everywhere(lambda client, region: _of_region(client, region, name), regions)
    refusals |= {region: no for region, (_, no) in answers.items() if no}
    return [each for there, _ in answers.values() for each in there], refusals


def end(api: Api, name: str | None, born: Mapping[str, float], say: Say) -> Sequence[Resource]:
    """What was there, and is there no more. `born`: regions, and until when an instance there may be in no list.

    They are looked at first: whoever ends us gives us seconds, and all regions take longer.
    """
    was: dict[str, Resource] = {}
    asked: set[str] = set()
    refusals: dict[str, Refused] = {}  # by id
    regions: Sequence[str] = tuple(born)  # then all of them, and then those that matter
    whole = False  # all of them were looked at
    until = time.monotonic() + LONGEST
    while True:
        found, silent = everything(api, name, regions)
        if whole and silent:
            raise next(iter(silent.values()))
        for region, no in silent.items():
            say(f"{region} does not say what is there: {no}", None)
            if no.reason not in ("permission", "credentials"):
                refusals[region] = no
        was |= {each.id: each for each in found}
        kept = {(each.region, each.name) for each in found if each.id in refusals and KINDS[each.kind].first}
        left = [each for each in found if each.id not in refusals and (each.region, each.name) not in kept]
        seen = {each.region for each in was.values() if each.kind == "instance"}
        coming = [region for region, end in born.items() if region not in seen and time.monotonic() < end]
        began, whole = not whole and bool(regions), whole or not regions
        if whole and not left and not coming:
            break
        if time.monotonic() > until:
            what = ", ".join(f"{each.kind} {each.id}" for each in left)
            raise Refused("busy", f"after {LONGEST:.0f} s there is still {what}", "try again in a few minutes")
        held = {(each.region, each.name) for each in left if KINDS[each.kind].first}
        for each in left:
            if each.id not in asked and (KINDS[each.kind].first or (each.region, each.name) not in held):
                say(f"deleting the {each.kind} {each.id} in {each.region}", None)
                try:
                    asked.update([each.id] if _delete(api.ec2(each.region), each) else [])
                except Refused as no:
                    refusals[each.id] = no
        regions = () if began else [*{each.region: None for each in was.values()}, *coming]
        time.sleep(api.pace(0.0 if began else POLL))
    if refusals:
        raise next(iter(refusals.values()))
    return list(was.values())


def _of_region(client: EC2Client, region: str, name: str | None) -> tuple[list[Resource], Refused | None]:
    """What is there. Where some kinds may not be listed, the others are found, and what was refused. Raises Refused."""
    found: list[Resource] = []
    refusal: Refused | None = None
    for kind, how in KINDS.items():
        filters = [aws_bodies.ours(name), *({"Name": k, "Values": [*v]} for k, v in (how.states or {}).items())]
        try:
            with asking(f"to list our {kind}s", region):
                told = listed(client, how.call, how.key, Filters=filters)
        except Refused as no:
            if no.reason != "permission":
                raise
            refusal = refusal or no
            continue
        if kind == "instance":
            told = [each for reservation in told for each in reservation["Instances"]]
        found += [_resource(kind, each, region) for each in told if how.id in each]
    if refusal and not found:
        raise refusal
    return found, refusal


def _resource(kind: str, told: Mapping[str, Any], region: str) -> Resource:
    marks = aws_bodies.marks_of(told.get("Tags") or told.get("TagSet") or ())
    return Resource(
        kind=kind, id=told[KINDS[kind].id], region=region, name=marks.get(TAG), expires=aws_bodies.expires(marks)
    )


def _delete(client: EC2Client, each: Resource) -> bool:
    """Whether that was taken or it is gone already: what is still held must be asked again. Raises Refused."""
    how = KINDS[each.kind]
    given: dict[str, Any] = {f"{how.id}s": [each.id]} if how.plural else {how.id: each.id}
    try:
        with asking(f"to delete the {each.kind} {each.id}", each.region):
            getattr(client, how.delete)(**given)
    except Refused as refused:
        code = aws_errors.code(refused.__cause__)
        if code in IN_USE or refused.reason == "busy":
            return False
        if not code.endswith(".NotFound"):
            raise
    return True
