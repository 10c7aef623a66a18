"""A cloud's instance type promises a number of GPUs. One that never came up is missing on the bus, without a trace.

Training on a fixed number of ranks then fails at its start, or runs on fewer, and the bill is for all.
"""

from gpucheck.compat import Compat
from gpucheck.facts import Cloud, Pci, System
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip, unsure
from gpucheck.rules.scope import no_host


def judge(system: System, cloud: Cloud, pci: Pci | None, compat: Compat) -> Outcome:
    if cloud.provider is None:
        return skip("not a machine of AWS, GCP or Azure")
    if reason := no_host(system):
        return skip(reason)
    if cloud.instance_type is None:
        return skip("the instance type is not known (cloud.instance-type-told)")
    promised = compat.promised(cloud.provider, cloud.instance_type)
    if promised is None:
        return skip(f"{cloud.instance_type} is not in our table")
    if pci is None:
        return unsure(f"{cloud.instance_type} has {promised.count} GPUs; the PCI bus could not be looked at")
    if len(pci.gpus) < promised.count:
        return bad(f"{len(pci.gpus)} GPUs are on the bus; {cloud.instance_type} has {promised.count} x {promised.gpu}")
    return ok(f"{len(pci.gpus)} GPUs on the bus, as {cloud.instance_type} promises ({promised.count} x {promised.gpu})")


RULE = Rule(
    id="cloud.all-gpus-there",
    title="The machine has the GPUs that its instance type promises",
    judge=judge,
    after=("pci.gpu-present",),
    remedy=Remedy(
        text="stop the machine and start it again, so that it comes up on other hardware (a restart alone stays where "
        "it is, and local disks are emptied by a stop), and report the machine to the cloud",
        commands={"": ("lspci -d 10de:", "sudo dmesg | grep -iE 'nvrm|xid|pcie' | tail")},
        impact="data",
        verify="gpucheck doctor --only cloud",
    ),
)
