"""Some Xids mean that a GPU has to be reset before it can be trusted: memory that ECC could not correct (48, 95, 140),
a bad row that could not be written down (64), a controller that halted (62), an engine that hangs (46, 158).

Those of programs (13, 31, 43, 45, 109, ...) are not among them, nor is 63, a row that will be replaced. Nor one after
which the GPU was reset: the driver was loaded again, it logged Xid 154, or NVML counts no error and asks for nothing.
"""

from gpucheck.compat import Compat
from gpucheck.facts import KernelLog, LogEvent, Nvml
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip
from gpucheck.rules.events import OWN_RULE, UNREAD, counting, fallen, forgotten, gpus, listed, over, recovered
from gpucheck.rules.scope import count

STOPS = ("reset-gpu", "reboot", "check-mechanicals")


def judge(kernel_log: KernelLog | None, nvml: Nvml | None, compat: Compat) -> Outcome:
    if kernel_log is None:
        return skip(f"{UNREAD}; what NVML counts is judged by itself")
    gone = gpus(fallen(kernel_log, nvml))
    xids = counting(kernel_log, ("xid",))
    events = tuple(e for e in xids if e.code not in OWN_RULE and e.gpu not in gone and _stops(e, compat))
    mended = tuple(event for event in events if recovered(event, nvml))
    events = tuple(event for event in events if event not in mended)
    if events:
        return bad(listed(events, compat), affects=gpus(events))
    seen = f"none of {count(len(xids), 'kind')} of Xids in the log takes a reset" if xids else "no Xid is in the log"
    return ok(f"{seen}{forgotten(kernel_log)}{over(mended, compat)}")


def _stops(event: LogEvent, compat: Compat) -> bool:
    xid = compat.xid(event.code or 0)
    return xid is not None and xid.kind != "application" and xid.action in STOPS


RULE = Rule(
    id="kernel_log.no-hardware-xid",
    title="No Xid in the log asks for a reset of a GPU",
    judge=judge,
    after=("driver.module-loaded",),
    remedy=Remedy(
        text="end the work on that GPU, then `sudo nvidia-smi --gpu-reset -i` with its number, or reboot; if the Xid "
        "comes back, run NVIDIA's field diagnostics and have the card replaced",
        commands={
            "": ("nvidia-smi --query-gpu=index,pci.bus_id,name --format=csv", "nvidia-smi -q -d ECC,ROW_REMAPPER")
        },
        impact="data",
        precondition="no program uses the GPU",
        verify="gpucheck doctor --only kernel_log",
        url="https://docs.nvidia.com/deploy/xid-errors/analyzing-xid-catalog.html",
    ),
)
