"""One line of a kernel log: what the driver, or the kernel of a GPU, says in it. Pure, and prefix-agnostic.

`xids` finds every Xid in any log, of any length; the messages that take several lines are kernel_log's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from gpucheck.facts import LogEvent

LONGEST = 1000  # characters of a line that are looked at: no message of the driver is longer
ADDRESS = r"([0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}(?:\.[0-7])?)"
# Before driver 3xx without "PCI:"; of a MIG device with " GPU-I:05" before the bracket.
XID = re.compile(rf"NVRM: Xid \((?:PCI:)?{ADDRESS}[^)]{{0,40}}\): (\d{{1,5}}),? ?(.*)")
# Two lines of raw data follow each; they have no severity.
SXID = re.compile(rf"SXid \((?:PCI:)?{ADDRESS}\): (\d{{1,6}}), ((?:Non-fatal|Fatal)\b.*)")
PROCESS = re.compile(r"\s*(?:pid=[^,]*(?:,\s*|$)(?:name=[^,]*(?:,\s*|$))?)*")
SINGLE = tuple((kind, re.compile(pattern)) for kind, pattern in (
    ("off_the_bus", rf"NVRM: GPU (?:at (?:PCI:)?)?{ADDRESS}:? (?:GPU )?has fallen off the bus"),
    ("power", rf"NVRM: (?:GPU {ADDRESS}: )?GPU does not have the necessary power cables connected"),
    ("init_failed", rf"NVRM: (?:GPU {ADDRESS}: )?RmInitAdapter failed! \([^)]{{1,60}}\)"),
    ("gsp", r"NVRM: .*(?:Cannot initialize GSP firmware RM|unexpected WPR2 already up)()"),
    ("loaded", r"NVRM: loading NVIDIA ()"),
    ("aer", rf"nvidia {ADDRESS}: (?:AER: )?PCIe Bus Error: severity="),
))  # fmt: skip
# The first line of a message whose next lines say what it is about that GPU.
ABOUT = re.compile(rf"NVRM: The NVIDIA GPU {ADDRESS}")
NEXT = {"fallen off the bus": "off_the_bus", "requires use of the NVIDIA open kernel modules": "open_module"}
MATTERS = re.compile(r"NVRM|SXid|PCIe Bus Error")


class LoggedXid(NamedTuple):
    kind: str  # xid or sxid
    gpu: str
    code: int
    text: str


def xids(lines: Iterable[str]) -> Iterator[tuple[str, LoggedXid]]:
    """Every Xid and SXid, with its line."""
    for line in lines:
        if "Xid (" in line and (found := xid(line[:LONGEST])):
            yield line, found


def xid(line: str) -> LoggedXid | None:
    match = XID.search(line)
    if match:
        return LoggedXid("xid", address(match[1]), int(match[2]), anonymous(match[3]))
    match = SXID.search(line)
    return LoggedXid("sxid", address(match[1]), int(match[2]), match[3][:200].rstrip()) if match else None


def anonymous(text: str) -> str:
    """An Xid's words without the process, which is nobody's business."""
    process = PROCESS.match(text)
    return text[process.end() if process else 0 :].strip()[:200].rstrip()


def event(words: str, about: str | None) -> LogEvent | None:
    """`about` is the GPU of the message that this line goes on."""
    if logged := xid(words):
        return _new(*logged)
    for kind, pattern in SINGLE:
        if match := pattern.search(words):
            return _new(kind, match[1] or None, None, words[match.start() :])
    for sign, kind in NEXT.items():
        if about and sign in words:
            return _new(kind, about, None, sign)
    return None


def kept(words: str) -> str | None:
    """Of one line what event() and the lines after it read; None where that is nothing."""
    named = ABOUT.search(words)
    if named and event(words, named[1]):  # two messages in one line: no driver writes that
        return words
    if match := XID.search(words):
        return words[match.start() : match.start(3)] + anonymous(match[3])
    goes_on = "NVRM: " in words  # another line of MATTERS ends a message about a GPU
    for pattern in (SXID, *(pattern for _, pattern in SINGLE)):
        if match := pattern.search(words):
            line = words[match.start() : max(match.end(), match.start() + 200)]
            return f"NVRM: {line}" if goes_on and "NVRM: " not in line else line
    if named:
        return named[0]
    matters = MATTERS.search(words)
    if goes_on or matters is None:
        return next((f"NVRM: {sign}" for sign in NEXT if sign in words), None) if goes_on else None
    return matters[0]


def _new(kind: str, gpu: str | None, code: int | None, text: str) -> LogEvent:
    return LogEvent(
        kind=kind, gpu=address(gpu) if gpu else None, code=code, text=text[:200].rstrip(), count=1,
        first_s=None, last_s=None, age_s=None,
    )  # fmt: skip


def address(text: str) -> str:
    """As sysfs writes it: NVRM leaves the function out, which is 0."""
    domain, _, rest = text.lower().partition(":")
    return f"{domain[-4:] if not domain[:-4].strip('0') else domain}:{rest}" + ("" if "." in rest else ".0")
