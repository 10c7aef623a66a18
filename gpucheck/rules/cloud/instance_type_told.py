"""How many GPUs a rented machine has to have follows from its instance type. AWS writes it into the firmware's tables.

GCP's and Azure's metadata service tells it; where a firewall keeps this user from that, the number is not known.
"""

from gpucheck.facts import Cloud, System
from gpucheck.model import Outcome, Rule, Severity, ok, skip, unsure
from gpucheck.rules.scope import no_host


def judge(system: System, cloud: Cloud) -> Outcome:
    if cloud.provider is None:
        return skip("not a machine of AWS, GCP or Azure")
    if reason := no_host(system):
        return skip(reason)
    if cloud.instance_type is None:
        return unsure(f"the instance type is not known: {cloud.untold or 'nobody told'}")
    where = f" in {cloud.region}" if cloud.region else ""
    return ok(f"{cloud.instance_type} of {cloud.provider}{where}{', a spot machine' if cloud.spot else ''}")


RULE = Rule(
    id="cloud.instance-type-told",
    title="The cloud tells which instance type this is",
    judge=judge,
    severity=Severity.WARNING,
    after=("pci.gpu-present",),
)
