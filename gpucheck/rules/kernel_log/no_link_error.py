"""GPUs that work together talk over NVLink. A broken link shows as Xid 74, or from Blackwell on as 144 to 150.

An NVSwitch's own errors are SXids; the line says Fatal or Non-fatal. NCCL then fails or hangs ("unhandled system
error"), while each GPU alone works. When one GPU fails, those linked to it report 74 too: mend that one first.
"""

from gpucheck.compat import Compat
from gpucheck.facts import KernelLog, LogEvent, Nvml
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip
from gpucheck.rules.events import LINKS, UNREAD, counting, fallen, forgotten, gpus, listed
from gpucheck.rules.scope import count


def judge(kernel_log: KernelLog | None, nvml: Nvml | None, compat: Compat) -> Outcome:
    if kernel_log is None:
        return skip(f"{UNREAD}; what NVML says of the links is judged by itself")
    if gone := gpus(fallen(kernel_log, nvml)):
        return skip(f"{gone[0]} is off the bus, and its links with it")
    events = (*counting(kernel_log, ("xid",), LINKS), *counting(kernel_log, ("sxid",)))
    fatal = tuple(event for event in events if not _harmless(event))
    if fatal:
        return bad(listed(fatal, compat), affects=gpus(fatal))
    seen = f"{count(len(events), 'kind')} of link errors, none fatal, are" if events else "no link error is"
    return ok(f"{seen} in the log{forgotten(kernel_log)}")


def _harmless(event: LogEvent) -> bool:
    return "nonfatal" in event.text.lower().replace("-", "")


RULE = Rule(
    id="kernel_log.no-link-error",
    title="No NVLink and no NVSwitch has failed",
    judge=judge,
    after=("driver.module-loaded", "kernel_log.no-hardware-xid", "kernel_log.no-gsp-failure"),
    remedy=Remedy(
        text="reset all GPUs that are linked together, or reboot; if it comes back on the same link: its bridge, "
        "connectors and seat, then the card; until then NCCL_P2P_DISABLE=1 lets the GPUs work without it, slower",
        commands={"": ("nvidia-smi nvlink --status", "nvidia-smi nvlink --errorcounters")},
        impact="data",
        precondition="no program uses the GPU",
        verify="gpucheck doctor --only kernel_log",
        url="https://docs.nvidia.com/deploy/xid-errors/analyzing-xid-catalog.html",
    ),
)
