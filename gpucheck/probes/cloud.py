"""Which cloud this machine is of, by its firmware's tables (DMI), and which instance type it was sold as.

Only AWS writes the type there. GCP's and Azure's metadata service is asked for it, and only where DMI names them.
"""

from __future__ import annotations

import re

from gpucheck.facts import Cloud
from gpucheck.host import CannotLook, Host

DMI = "/sys/class/dmi/id"
AZURE_TAG = "7783-7084-3265-9085-8269-3286-77"  # the chassis of every Azure machine; Hyper-V elsewhere has another
ASK = ("python", "-m", "gpucheck.probes.metadata")
TIMEOUT = 2.0  # seconds: the service is on the same host and answers in milliseconds
AWS_TYPE = re.compile(r"[a-z][a-z0-9-]{0,15}\.[a-z0-9-]{1,20}")
TYPE = re.compile(r"[A-Za-z0-9_-]{1,64}")


def probe(host: Host) -> Cloud:
    fields = {name: host.read(f"{DMI}/{name}") or "" for name in ("sys_vendor", "product_name", "chassis_asset_tag")}
    cloud = parse(**fields)
    if cloud.provider not in ("gcp", "azure"):
        return cloud
    try:
        result = host.run((*ASK, cloud.provider), timeout=TIMEOUT)
    except CannotLook as reason:
        return Cloud(provider=cloud.provider, instance_type=None, untold=str(reason))
    answer = result.out.strip()
    if result.code != 0 or not TYPE.fullmatch(answer):
        said = (result.err.strip() or "no answer of its form").splitlines()[-1][:200]
        return Cloud(provider=cloud.provider, instance_type=None, untold=f"its metadata service: {said}")
    return Cloud(provider=cloud.provider, instance_type=answer)


def parse(sys_vendor: str, product_name: str, chassis_asset_tag: str) -> Cloud:
    """Each as its file in /sys/class/dmi/id has it."""
    product = product_name.strip()
    if sys_vendor.strip() == "Amazon EC2":
        told = AWS_TYPE.fullmatch(product) is not None
        return Cloud(
            provider="aws",
            instance_type=product if told else None,
            untold=None if told else "this machine's firmware does not name its instance type",
        )
    provider = "gcp" if product == "Google Compute Engine" else None
    provider = "azure" if chassis_asset_tag.strip() == AZURE_TAG else provider
    return Cloud(provider=provider, instance_type=None)


def kept(text: str) -> str:
    """Of one of these files, what parse() reads: a company's asset number is not for others."""
    line = text.strip()
    known = ("Amazon EC2", "Google Compute Engine", AZURE_TAG)
    return text if line in known or AWS_TYPE.fullmatch(line) else ""
