"""What the rules of the kernel log share: which of its events still count, and how one is told.

An event is over once the driver was loaded again, or once it says of that GPU that there is nothing to recover from. A
GPU that NVML reads its sensors of has come up, whatever went wrong before.
"""

from __future__ import annotations

from collections.abc import Iterable

from gpucheck.compat import Compat
from gpucheck.facts import KernelLog, LogEvent, Nvml, Pci, System
from gpucheck.model import Outcome, ok, skip, unsure
from gpucheck.rules.scope import count, no_host

DAY = 86400.0
FORGOTTEN = 60.0  # seconds after boot: a log that starts later has lost its start
FALLEN, GSP, POWER, RECOVERY = 79, frozenset({119, 120}), 54, 154
LINKS = frozenset({74, 136, *range(144, 151), 155})
OWN_RULE = frozenset({FALLEN, *GSP, POWER, RECOVERY, *LINKS})
LOST = frozenset({15, 16})  # nvmlReturn_t: GPU_IS_LOST, RESET_REQUIRED
UNREAD = "the kernel log cannot be read (see kernel_log.readable)"


def counting(log: KernelLog, kinds: Iterable[str], codes: Iterable[int] | None = None) -> tuple[LogEvent, ...]:
    """The events of these kinds and codes that are not over."""
    kinds, codes = frozenset(kinds), None if codes is None else frozenset(codes)
    found = (e for e in log.events if e.kind in kinds and (codes is None or e.code in codes))
    return tuple(event for event in found if not _over(log, event))


def _over(log: KernelLog, event: LogEvent) -> bool:
    if event.last_s is None:
        return False
    loaded = (e.last_s for e in log.events if e.kind == "loaded")
    recovered = (e.last_s for e in log.events if e.code == RECOVERY and e.gpu == event.gpu and not _asks(e))
    return any(at is not None and at > event.last_s for at in (*loaded, *recovered))


def _asks(event: LogEvent) -> bool:
    """Whether an Xid 154 asks for something: "... changed from 0x0 (None) to 0x1 (GPU Reset Required)"."""
    return "(None)" not in event.text.rpartition(" to ")[2]


def recovery_asked(log: KernelLog) -> tuple[LogEvent, ...]:
    return tuple(event for event in counting(log, ("xid",), (RECOVERY,)) if _asks(event))


def fallen(log: KernelLog, nvml: Nvml | None) -> tuple[LogEvent, ...]:
    """GPUs off the bus. What else the log says of these follows from it."""
    found = (*counting(log, ("off_the_bus",)), *counting(log, ("xid",), (FALLEN,)))
    return tuple({event.gpu: event for event in found if event.gpu not in reached(nvml)}.values())


def reached(nvml: Nvml | None) -> frozenset[str]:
    """The addresses of the GPUs that NVML reads from, not from its memory of them."""
    return frozenset(
        gpu.pci_address
        for gpu in (nvml.gpus if nvml else ())
        if gpu.pci_address and gpu.temperature_c is not None and not any(e.code in LOST for e in gpu.errors)
    )


def all_reached(nvml: Nvml | None, pci: Pci | None) -> bool:
    here = {gpu.address for gpu in pci.gpus if gpu.driver in ("nvidia", None)} if pci else set()
    seen = reached(nvml)
    return bool(seen) and here <= seen and nvml is not None and len(seen) == len(nvml.gpus)


def not_up(log: KernelLog, kinds: Iterable[str], nvml: Nvml | None, pci: Pci | None) -> tuple[LogEvent, ...]:
    """Events of what a GPU did not come up after: those of GPUs that NVML reaches are over."""
    if all_reached(nvml, pci):
        return ()
    return tuple(event for event in counting(log, kinds) if event.gpu not in reached(nvml))


def unread(system: System, nvml: Nvml | None, pci: Pci | None) -> Outcome:
    """Without a log: that NVML reaches every GPU answers the question too. A container is shown none of it."""
    if reason := no_host(system):
        return skip(reason)
    if all_reached(nvml, pci):
        return ok(f"NVML reaches {count(len(reached(nvml)), 'GPU')}, none missing; {UNREAD}")
    return unsure(UNREAD)


def unsaid(message: str, log: KernelLog, nvml: Nvml | None, pci: Pci | None) -> Outcome:
    """Nothing in the log: of a GPU that is not up it may have been in what the log has forgotten."""
    if forgotten(log) and not all_reached(nvml, pci):
        return unsure(f"{message}{forgotten(log)}")
    return ok(message)


def forgotten(log: KernelLog) -> str:
    """ ", which starts 20 h after the boot" as the end of a sentence, where it does."""
    if log.starts_s is None:
        return ", which gives no times"
    return f", which starts {ago(log.starts_s)} after the boot" if log.starts_s > FORGOTTEN else ""


def gpus(events: Iterable[LogEvent]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(event.gpu for event in events if event.gpu))


def told(event: LogEvent, compat: Compat | None = None) -> str:
    """ "Xid 48 on 0000:3b:00.0, 3 times, last 2 h ago (a memory error ...)"."""
    xid = compat.xid(event.code) if compat and event.kind == "xid" and event.code is not None else None
    what = event.text.removeprefix("NVRM: ").rstrip(".")
    if event.kind in ("xid", "sxid"):
        what = f"{'Xid' if event.kind == 'xid' else 'SXid'} {event.code}"
    elif event.kind == "off_the_bus":
        what = event.gpu or what
    where = f" on {event.gpu}" if event.gpu and event.gpu not in what else ""
    often = f", {event.count} times" if event.count > 1 else ""
    when = "" if event.age_s is None else f"{', last' if often else ','} {ago(event.age_s)} ago"
    return f"{what}{where}{often}{when}" + (f" ({xid.meaning})" if xid else "")


def ago(seconds: float) -> str:
    for unit, length in (("days", DAY), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def listed(events: Iterable[LogEvent], compat: Compat | None = None, most: int = 3) -> str:
    """The first few in words, the rest as a number."""
    all_of_them = tuple(events)
    rest = len(all_of_them) - most
    return "; ".join(told(event, compat) for event in all_of_them[:most]) + (f"; {rest} more" if rest > 0 else "")
