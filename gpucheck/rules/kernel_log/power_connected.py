"""A card without its power cables is on the bus and cannot start: nvidia-smi ends with exit code 8.

The log says "GPU does not have the necessary power cables connected", then "RmInitAdapter failed"; or Xid 54.
"""

from gpucheck.compat import Compat
from gpucheck.facts import Driver, KernelLog, Nvml, Pci, System
from gpucheck.model import Outcome, Remedy, Rule, bad
from gpucheck.rules.events import POWER, all_reached, counting, gpus, listed, not_up, unread, unsaid


def judge(
    system: System,
    kernel_log: KernelLog | None,
    nvml: Nvml | None,
    pci: Pci | None,
    driver: Driver | None,
    compat: Compat,
) -> Outcome:
    up = all_reached(system, nvml, pci, driver, compat)
    if kernel_log is None:
        return unread(system, nvml, up)
    events = (*not_up(kernel_log, ("power",), nvml, up), *counting(kernel_log, ("xid",), (POWER,)))
    if events:
        return bad(f"the board misses its power: {listed(events)}", affects=gpus(events))
    return unsaid("no GPU complains of its power cables in the kernel log", kernel_log, up)


RULE = Rule(
    id="kernel_log.power-connected",
    title="Every GPU has its power cables connected",
    judge=judge,
    after=("driver.module-loaded", "pci.bars-assigned"),
    remedy=Remedy(
        text="switch the machine off, connect every power plug of the card, each by a cable of its own from the power "
        "supply, and start it again",
        impact="reboot",
        verify="gpucheck doctor --only kernel_log",
        url="https://docs.nvidia.com/deploy/xid-errors/analyzing-xid-catalog.html",
    ),
)
