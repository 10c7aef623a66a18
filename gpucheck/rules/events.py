"""What the rules of the kernel log share: which of its events still count, and how one is told.

An event is over once the driver was loaded again, or once it says of that GPU that there is nothing to recover from. A
GPU that NVML has a reading of has come up, whatever went wrong before.
"""

from __future__ import annotations

from collections.abc import Iterable

from gpucheck.compat import Compat
from gpucheck.facts import Driver, Gpu, KernelLog, LogEvent, Nvml, Pci, System
from gpucheck.model import Outcome, ok, skip, unsure
from gpucheck.rules.gpus import expected, scheduler, withheld
from gpucheck.rules.scope import count, no_host

DAY = 86400.0
FORGOTTEN = 60.0  # seconds after boot: a log that starts later has lost its start
FALLEN, GSP, POWER, RECOVERY = 79, frozenset({119, 120}), 54, 154
MEMORY = frozenset({48, 95, 140})  # uncorrected errors: NVML counts them until the GPU is reset
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
    return frozenset(gpu.pci_address for gpu in (nvml.gpus if nvml else ()) if gpu.pci_address and _alive(gpu))


def _alive(gpu: Gpu) -> bool:
    """Whether it gave a reading of now. A virtual GPU has no sensors, and tells what it does all the same."""
    if any(error.code in LOST or error.call.startswith("nvmlDeviceGetTemperature") for error in gpu.errors):
        return False
    return any(reading is not None for reading in (gpu.temperature_c, gpu.utilization_percent, gpu.pstate))


def all_reached(
    system: System, nvml: Nvml | None, pci: Pci | None, driver: Driver | None, compat: Compat
) -> bool | None:
    """Whether NVML reads from every GPU that is expected here; None where a job or a container sees its own alone."""
    seen = reached(nvml)
    if nvml is None or not seen:
        return False
    kept = [gpu for gpu in nvml.gpus if withheld(gpu)]
    here = frozenset(expected(nvml, pci, driver, compat)) if pci else frozenset()
    if len(seen) < len(nvml.gpus) - len(kept):
        return False
    if here <= seen and not kept:
        return True
    return None if kept or scheduler(system) or no_host(system) else False


def not_up(log: KernelLog, kinds: Iterable[str], nvml: Nvml | None, up: bool | None) -> tuple[LogEvent, ...]:
    """Events of what a GPU did not come up after: those of GPUs that NVML reaches are over. `up`: all_reached()."""
    if up:
        return ()
    return tuple(event for event in counting(log, kinds) if event.gpu not in reached(nvml))


def recovered(event: LogEvent, nvml: Nvml | None) -> bool:
    """Whether NVML says that the GPU was reset since, or needs no reset. Before driver 570 it has no word for that."""
    gpu = next((gpu for gpu in (nvml.gpus if nvml else ()) if gpu.pci_address == event.gpu and _alive(gpu)), None)
    if gpu is None or gpu.errors or gpu.remap_pending or gpu.remap_failed or gpu.retire_pending:
        return False
    if gpu.ecc_volatile_uncorrected or gpu.recovery_action is not None:
        return not gpu.ecc_volatile_uncorrected and gpu.recovery_action == "none"
    if event.code in MEMORY:
        return gpu.ecc_volatile_uncorrected == 0
    return event.code in GSP and None not in (gpu.utilization_percent, gpu.pstate)  # which the GSP itself tells


def unread(system: System, nvml: Nvml | None, up: bool | None) -> Outcome:
    """Without a log: that NVML reaches every GPU answers the question too. A container is shown none of it."""
    if reason := no_host(system):
        return skip(reason)
    if up:
        return ok(f"NVML reaches {count(len(reached(nvml)), 'GPU')}, none missing; {UNREAD}")
    return skip(f"NVML reaches the GPUs of this job, and tells of no other; {UNREAD}") if up is None else unsure(UNREAD)


def unsaid(message: str, log: KernelLog, up: bool | None) -> Outcome:
    """Nothing in the log: of a GPU that is not up it may have been in what the log has forgotten."""
    if forgotten(log) and not up:
        said = f"{message}{forgotten(log)}"
        return skip(said) if up is None else unsure(said)
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


def over(events: Iterable[LogEvent], compat: Compat) -> str:
    """What a sentence ends with where these were there and are mended."""
    told_of = listed(events, compat)
    return f"; well again since, by NVML: {told_of}" if told_of else ""


def listed(events: Iterable[LogEvent], compat: Compat | None = None, most: int = 3) -> str:
    """The first few in words, the rest as a number."""
    all_of_them = tuple(events)
    rest = len(all_of_them) - most
    return "; ".join(told(event, compat) for event in all_of_them[:most]) + (f"; {rest} more" if rest > 0 else "")
