"""What the kernel's log of this boot says of the GPUs."""

from __future__ import annotations

from gpucheck.facts.version import fact


@fact
class LogEvent:
    """Lines of one kind about one GPU, counted. `gpu` is None where the line names none."""

    kind: str  # xid, sxid, off_the_bus, power, init_failed, gsp, open_module, aer; loaded = the driver started
    gpu: str | None  # 0000:3b:00.0, as in PciDevice; of an sxid the NVSwitch
    code: int | None  # of Xid and SXid
    text: str  # the last line's words, without the process that it names
    count: int
    first_s: float | None  # seconds after boot; None = this log has no times
    last_s: float | None
    age_s: float | None  # since the last; time asleep counts, so it may be less


@fact
class KernelLog:
    source: str  # dmesg or journalctl
    boot_id: str | None
    uptime_s: float | None
    starts_s: float | None  # seconds after boot of the oldest line; a ring buffer forgets
    events: tuple[LogEvent, ...]
