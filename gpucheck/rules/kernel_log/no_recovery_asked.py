"""Xid 154 is the driver's own verdict: "GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)".

Until that was done the GPU takes no new work, whatever the Xid before it was; even a program's fault can lead there.
"""

from gpucheck.facts import KernelLog, Nvml
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip
from gpucheck.rules.events import UNREAD, fallen, forgotten, gpus, recovery_asked


def judge(kernel_log: KernelLog | None, nvml: Nvml | None) -> Outcome:
    if kernel_log is None:
        return skip(f"{UNREAD}; what NVML says of it is judged by itself")
    gone = gpus(fallen(kernel_log, nvml))
    events = tuple(event for event in recovery_asked(kernel_log) if event.gpu not in gone)
    if events:
        return bad(f"Xid 154 on {events[0].gpu}: {events[0].text}", affects=gpus(events))
    return ok(f"the driver asks for no recovery of a GPU in the log{forgotten(kernel_log)}")


RULE = Rule(
    id="kernel_log.no-recovery-asked",
    title="The driver asks for no recovery of a GPU",
    judge=judge,
    after=("driver.module-loaded", "kernel_log.no-gsp-failure", "kernel_log.no-hardware-xid"),
    remedy=Remedy(
        text="do what it asks: for a reset end the work on that GPU, then `sudo nvidia-smi --gpu-reset -i` with its "
        "number; else reboot",
        commands={"": ("nvidia-smi --query-gpu=index,pci.bus_id,name --format=csv",)},
        impact="data",
        precondition="no program uses the GPU",
        verify="gpucheck doctor --only kernel_log",
        url="https://docs.nvidia.com/deploy/xid-errors/analyzing-xid-catalog.html",
    ),
)
