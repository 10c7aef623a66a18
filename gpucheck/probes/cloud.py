"""Which cloud this machine is of, by its firmware's tables (DMI); what and where it is, by the metadata service.

That is asked only where DMI names its cloud. AWS writes the instance type into DMI too.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TypeVar

from gpucheck import codec
from gpucheck.facts import Cloud, CloudEvents
from gpucheck.host import CannotLook, Host, Result

T = TypeVar("T")
DMI = "/sys/class/dmi/id"
AZURE_TAG = "7783-7084-3265-9085-8269-3286-77"  # the chassis of every Azure machine; Hyper-V elsewhere has another
ASK = ("python", "-m", "gpucheck.probes.metadata")
TIMEOUT = 2.0  # seconds: the program ends by itself after half of one, once it has started
AWS_TYPE = re.compile(r"[a-z][a-z0-9-]{0,15}\.[a-z0-9-]{1,20}")


def probe(host: Host) -> Cloud:
    cloud = dmi(host)
    if cloud.provider is None:
        return cloud
    try:
        told = parse_place(host.run((*ASK, cloud.provider, "place"), timeout=TIMEOUT))
    except CannotLook as reason:
        return replace(cloud, untold=str(reason))
    return replace(told, provider=cloud.provider, instance_type=cloud.instance_type or told.instance_type)


def probe_events(host: Host) -> CloudEvents:
    cloud = dmi(host)
    if cloud.provider is None:
        return CloudEvents(events=())
    return parse_events(host.run((*ASK, cloud.provider, "events"), timeout=TIMEOUT))


def dmi(host: Host) -> Cloud:
    fields = {name: host.read(f"{DMI}/{name}") or "" for name in ("sys_vendor", "product_name", "chassis_asset_tag")}
    return parse(**fields)


def parse(sys_vendor: str, product_name: str, chassis_asset_tag: str) -> Cloud:
    """Each as its file in /sys/class/dmi/id has it."""
    product = product_name.strip()
    if sys_vendor.strip() == "Amazon EC2":
        return Cloud(provider="aws", instance_type=product if AWS_TYPE.fullmatch(product) else None)
    provider = "gcp" if product == "Google Compute Engine" else None
    provider = "azure" if chassis_asset_tag.strip() == AZURE_TAG else provider
    return Cloud(provider=provider, instance_type=None)


def parse_place(result: Result) -> Cloud:
    return _parse(Cloud, result)


def parse_events(result: Result) -> CloudEvents:
    return _parse(CloudEvents, result)


def _parse(kind: type[T], result: Result) -> T:
    if result.code != 0:
        last = (result.err.strip() or "it said nothing").splitlines()[-1][:200]
        raise CannotLook(f"the metadata service could not be asked (exit code {result.code}): {last.rstrip('.')}")
    try:
        return codec.load(kind, json.loads(result.out))
    except (ValueError, RecursionError) as error:  # not JSON, or JSON of another shape
        raise CannotLook("what the metadata service told cannot be read") from error


def kept(text: str) -> str:
    """Of one of these files, what parse() reads: a company's asset number is not for others."""
    line = text.strip()
    known = ("Amazon EC2", "Google Compute Engine", AZURE_TAG)
    return text if line in known or AWS_TYPE.fullmatch(line) else ""


def kept_answer(text: str) -> str:
    """Of what `metadata` printed, all that is of its form: no other word has left it."""
    for kind in (Cloud, CloudEvents):
        try:
            return json.dumps(codec.dump(_parse(kind, Result(code=0, out=text, err="")))) + "\n"
        except CannotLook:
            continue
    return ""
