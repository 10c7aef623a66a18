"""An Xid of a program's (13, 31, 43, 45, 69, ...) says that the program did what the GPU refuses; the GPU is well.

CUDA says "an illegal memory access was encountered" (700) or "unspecified launch failure" (719). Only if programs that
are known to work raise them on one GPU alone is it the hardware after all.
"""

from gpucheck.compat import Compat
from gpucheck.facts import KernelLog, LogEvent, Nvml
from gpucheck.model import Outcome, Remedy, Rule, Severity, bad, ok
from gpucheck.rules.events import DAY, OWN_RULE, counting, fallen, gpus, listed


def judge(kernel_log: KernelLog, nvml: Nvml | None, compat: Compat) -> Outcome:
    gone = gpus(fallen(kernel_log, nvml))
    xids = tuple(e for e in counting(kernel_log, ("xid",)) if e.code not in OWN_RULE and e.gpu not in gone)
    strange = tuple(event for event in xids if compat.xid(event.code or 0) is None)
    if strange:
        return bad(f"{listed(strange)}, which is not in our table", affects=gpus(strange))
    found = tuple(event for event in xids if _of_a_program(event, compat))
    recent = tuple(event for event in found if event.age_s is None or event.age_s < DAY)
    if recent:
        return bad(listed(recent, compat), affects=gpus(recent))
    return ok(f"{len(found)} kinds of a program's Xids in the log, none of the last day" if found else
              "no program's Xid is in the log")  # fmt: skip


def _of_a_program(event: LogEvent, compat: Compat) -> bool:
    xid = compat.xid(event.code or 0)
    return xid is not None and (xid.kind == "application" or (xid.kind == "driver" and "reset" not in xid.action))


RULE = Rule(
    id="kernel_log.no-application-xid",
    title="No program faulted on a GPU in the last day",
    judge=judge,
    severity=Severity.NOTE,
    after=("driver.module-loaded", "kernel_log.no-hardware-xid"),
    remedy=Remedy(
        text="look for the fault in the program: run it with CUDA_LAUNCH_BLOCKING=1 to find the call, and with "
        "compute-sanitizer to find the access",
        verify="gpucheck doctor --only kernel_log",
        url="https://docs.nvidia.com/compute-sanitizer/ComputeSanitizer/index.html",
    ),
)
