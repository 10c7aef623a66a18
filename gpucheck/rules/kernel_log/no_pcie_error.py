"""The kernel logs what goes wrong on a GPU's PCIe link: "nvidia 0000:01:00.0: PCIe Bus Error: severity=Correctable".

Corrected errors cost time and come before those that end in a GPU off the bus: seat, riser, cable, or a link that is
faster than the slot can carry.
"""

from gpucheck.facts import KernelLog, Nvml
from gpucheck.model import Outcome, Remedy, Rule, Severity, bad, ok, skip
from gpucheck.rules.events import counting, fallen, gpus, listed


def judge(kernel_log: KernelLog, nvml: Nvml | None) -> Outcome:
    if gone := gpus(fallen(kernel_log, nvml)):
        return skip(f"{gone[0]} is off the bus")
    events = counting(kernel_log, ("aer",))
    if events:
        return bad(listed(events), affects=gpus(events))
    return ok("no PCIe error of a GPU is in the log")


RULE = Rule(
    id="kernel_log.no-pcie-error",
    title="No GPU has errors on its PCIe link",
    judge=judge,
    severity=Severity.WARNING,
    after=("driver.module-loaded",),
    remedy=Remedy(
        text="seat the card again and leave the riser out; set the slot one PCIe generation lower in the firmware; "
        "where the errors are corrected and come only while idle, the kernel parameter pcie_aspm=off ends them",
        impact="reboot",
        verify="gpucheck doctor --only kernel_log",
    ),
)
