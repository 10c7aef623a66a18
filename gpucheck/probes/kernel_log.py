"""The kernel's log of this boot: `dmesg`, and where that is refused or has forgotten the start, the journal."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from gpucheck.facts import KernelLog, LogEvent
from gpucheck.host import NO_SUCH_COMMAND, CannotLook, Host
from gpucheck.probes import kernel_lines
from gpucheck.probes.kernel_lines import ABOUT, LONGEST, MATTERS, event

DMESG = ("dmesg",)  # util-linux and busybox print the same without options
JOURNAL = ("journalctl", "-q", "-k", "-b", "-o", "short-monotonic", "--no-hostname", "--no-pager", "-n", "20000")
BOOT_ID = "/proc/sys/kernel/random/boot_id"
UPTIME = "/proc/uptime"
FORGOTTEN = 60.0  # seconds after boot: a log that starts later has lost its start
MOST = 1000  # events kept
ALLOW = "`sudo gpucheck doctor` may read it, and so may members of the group adm or systemd-journal"
NO_COMMAND = "there is no "
NOTHING = "{} shows this user no line of the kernel's"
STAMP = re.compile(r"(?:<\d{1,4}>)?\[ *(\d{1,10}\.\d{1,9})\](?:\s?\[\s*[TC]\d+\s*\])?\s?(?:kernel: )?")
SEVERITY = re.compile(r"Non-?fatal|Fatal|Correct(?:ed|able)|Uncorrect(?:ed|able)")

Key = tuple[str, str | None, int | None, str]


class _Line(NamedTuple):
    stamp: str
    seconds: float | None
    words: str


def probe(host: Host) -> KernelLog:
    """Raises CannotLook, with who may look, where this user is shown no line of the log."""
    uptime = parse_uptime(host.read(UPTIME) or "")
    boot_id = (host.read(BOOT_ID) or "").strip()[:36] or None
    reasons: list[str] = []
    found: KernelLog | None = None
    for command in (DMESG, JOURNAL):
        if text := _read(host, command, reasons):
            log = parse(text, source=command[0], uptime_s=uptime, boot_id=boot_id)
            found = log if found is None or (log.starts_s or 0) < (found.starts_s or 0) else found
        if found and (found.starts_s or 0) <= FORGOTTEN:
            break
    if found is None:
        refused = any(not reason.startswith(NO_COMMAND) for reason in reasons)
        raise CannotLook("; ".join((*reasons, ALLOW) if refused else reasons))
    return found


def _read(host: Host, command: tuple[str, ...], reasons: list[str]) -> str:
    try:
        result = host.run(command)
    except CannotLook as reason:
        reasons.append(str(reason))
        return ""
    if result.code == 0 and is_log(result.out):
        return result.out
    said = [line.strip() for line in result.err.splitlines() if line.strip()]
    if result.code == NO_SUCH_COMMAND:
        reasons.append(f"{NO_COMMAND}{command[0]} command")
    else:
        reasons.append(said[-1][:200] if said else NOTHING.format(command[0]))
    return ""


def is_log(text: str) -> bool:
    """Whether most lines have a time, those apart that go on with the driver's message, or one tells of an event.

    Garbage has neither. Nor has the log of a kernel that was told to give no times; but the journal has its own.
    """
    lines = list(_stamped(text))
    stamped = sum(1 for line in lines if line.stamp)
    others = sum(1 for line in lines if not line.stamp and line.words.strip() and not MATTERS.search(line.words))
    return stamped > others or any(event(line.words, None) for line in lines if MATTERS.search(line.words))


def parse_uptime(text: str) -> float | None:
    first = re.match(r"\d{1,12}(?:\.\d{1,9})?", text)
    return float(first[0]) if first else None


def parse(text: str, *, source: str, uptime_s: float | None, boot_id: str | None) -> KernelLog:
    """A line without a time is part of the message before it. What is later than now is not of this boot."""
    starts = None
    events: dict[Key, LogEvent] = {}
    about: str | None = None  # the GPU of a message of several lines
    for _, seconds, words in _stamped(text):
        starts = seconds if starts is None else starts
        if not MATTERS.search(words) or (seconds and uptime_s and seconds > uptime_s + 60):
            continue
        named = ABOUT.search(words)
        about = named[1] if named else about if "NVRM: " in words else None
        if found := event(words, about):
            _count(events, replace(found, first_s=seconds, last_s=seconds, age_s=_age(seconds, uptime_s)))
    found_events = tuple(events.values())
    return KernelLog(source=source, boot_id=boot_id, uptime_s=uptime_s, starts_s=starts, events=found_events)


def _stamped(text: str) -> Iterator[_Line]:
    seconds: float | None = None
    for line in text.splitlines():
        stamp = STAMP.match(line[:100])
        seconds = float(stamp[1]) if stamp else seconds
        yield _Line(stamp[0] if stamp else "", seconds, line[stamp.end() if stamp else 0 :][:LONGEST])


def _count(events: dict[Key, LogEvent], new: LogEvent) -> None:
    severity = SEVERITY.search(new.text)
    key = (new.kind, new.gpu, new.code, severity[0] if severity and new.kind in ("xid", "sxid", "aer") else "")
    known = events.get(key)
    if known:
        events[key] = replace(new, count=known.count + 1, first_s=known.first_s)
    elif len(events) < MOST:
        events[key] = new


def _age(seconds: float | None, uptime_s: float | None) -> float | None:
    return None if seconds is None or uptime_s is None else max(0.0, round(uptime_s - seconds, 3))


def kept(text: str) -> str:
    """The lines that `parse` reads, without hosts and processes, and the first, which tells where the log starts."""
    if not is_log(text):
        return ""
    lines, last = [], ""
    for stamp, _, words in _stamped(text):
        if MATTERS.search(words) and (line := kernel_lines.kept(words)):
            lines.append((stamp or last) + line)
        elif stamp and not last:
            lines.append(f"{stamp}...")
        last = stamp or last
    return "".join(f"{line}\n" for line in lines)
