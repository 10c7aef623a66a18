"""PCIe switches can hand what one GPU writes to another on to the CPU first (ACS, for virtual machines).

On a machine without guests that makes copies between GPUs slow and NCCL hang. A virtual machine needs it.
"""

from gpucheck.facts import PciBridges
from gpucheck.model import Outcome, Remedy, Rule, Severity, bad, ok, skip


def judge(bridges: PciBridges) -> Outcome:
    if bridges.redirecting is None:
        return skip("there are fewer than two GPUs, or this is a virtual machine")
    if bridges.redirecting:
        return bad(
            f"{len(bridges.redirecting)} ports of PCIe switches redirect traffic between devices (ACS ReqRedir+)",
            affects=bridges.redirecting,
        )
    return ok("no port of a PCIe switch redirects traffic between devices")


RULE = Rule(
    id="pci.peers-not-redirected",
    title="PCIe switches pass traffic between GPUs directly",
    judge=judge,
    severity=Severity.WARNING,
    after=("pci.gpu-present", "pci.not-passed-through"),
    remedy=Remedy(
        text="where no virtual machine gets a device of this host, switch ACS (or VT-d, the IOMMU) off in the "
        "firmware; NVIDIA's page has the setpci loop that does it until the next boot",
        commands={"": ("sudo lspci -vvv -d ::0604 | grep -E '^[0-9a-f]|ACSCtl'",)},
        impact="reboot",
        url="https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/troubleshooting.html",
    ),
)
