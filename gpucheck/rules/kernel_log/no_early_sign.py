"""A contained memory error (Xid 94) ends one program and spares the rest; ECC that corrects much (92) spares all.

The GPU still works. It is the sign that comes before a failure, and a reset lets it replace the bad row of memory.
"""

from gpucheck.compat import Compat
from gpucheck.facts import KernelLog, LogEvent, Nvml
from gpucheck.model import Outcome, Remedy, Rule, Severity, bad, ok
from gpucheck.rules.events import OWN_RULE, counting, fallen, gpus, listed

SIGNS = ("ignore", "restart-application", "contact-vendor")


def judge(kernel_log: KernelLog, nvml: Nvml | None, compat: Compat) -> Outcome:
    gone = gpus(fallen(kernel_log, nvml))
    xids = counting(kernel_log, ("xid",))
    events = tuple(e for e in xids if e.code not in OWN_RULE and e.gpu not in gone and _sign(e, compat))
    if events:
        return bad(listed(events, compat), affects=gpus(events))
    return ok("no Xid in the log is a sign of hardware that wears out")


def _sign(event: LogEvent, compat: Compat) -> bool:
    xid = compat.xid(event.code or 0)
    return xid is not None and xid.kind in ("hardware", "power") and xid.action in SIGNS


RULE = Rule(
    id="kernel_log.no-early-sign",
    title="No Xid in the log is an early sign of failing hardware",
    judge=judge,
    severity=Severity.WARNING,
    after=("driver.module-loaded", "kernel_log.no-hardware-xid"),
    remedy=Remedy(
        text="start the program that it ended again; when the GPU is free reset it (`sudo nvidia-smi --gpu-reset -i` "
        "with its number), and watch whether it comes back",
        commands={"": ("nvidia-smi -q -d ECC,ROW_REMAPPER",)},
        impact="data",
        precondition="no program uses the GPU",
        verify="gpucheck doctor --only kernel_log",
        url="https://docs.nvidia.com/deploy/xid-errors/analyzing-xid-catalog.html",
    ),
)
