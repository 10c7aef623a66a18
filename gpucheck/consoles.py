"""What the first boot of a rented machine says on its serial console, written and read.

A line of ours is `gpucheck-boot RUN WORD ... SUM`; SUM is the first eight hex digits of the SHA-256 of all before it.
    boot ID | step NAME | failed NAME: TEXT | note TEXT | reports doctor verify | done doctor=0 build=0 verify=1
    host-key TYPE BASE64 FINGERPRINT
    report NAME ID PART/PARTS DATA     the report by zlib, in base64; ID is of its SHA-256, sixteen hex digits
Kernel messages get into such lines, a ring buffer cuts them, and they are printed more than once. What is read is
untrusted: the sums are for accidents, not against a machine that lies.

    python -m gpucheck.consoles RUN FILE...    prints reports as lines; the first boot calls it
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

MARK = "gpucheck-boot"
DATA = 240  # characters of a report in one line
PARTS = 4096
LONGEST = 1024  # characters of a line of ours
TEXT = 8 * 1024 * 1024  # characters of a console, its end: more than any cloud keeps
REPORT = 8 * 1024 * 1024  # bytes of one report; a machine of eight GPUs makes a few hundred KB
NAMES = 8
REST = 40
NAME = r"[a-z][a-z0-9-]{0,30}"
REPORT_LINE = re.compile(rf"({NAME}) ([0-9a-f]{{16}}) (\d{{1,4}})/(\d{{1,4}}) ([A-Za-z0-9+/=]{{1,{DATA}}})", re.ASCII)
KEY_LINE = re.compile(r"([a-z0-9@.-]{1,60}) ([A-Za-z0-9+/=]{1,800}) SHA256:([A-Za-z0-9+/]{43})", re.ASCII)
DONE_LINE = re.compile(rf"(?:{NAME}=\d{{1,3}}(?: |$))*", re.ASCII)
ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]{0,200}(?:\x07|\x1b\\)?|[@-Z\\^_]?)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Console:
    """What the console told of the run, as its last boot has it."""

    reports: Mapping[str, bytes]  # whole ones, by name
    torn: tuple[str, ...]  # reports that were begun or told of, and are not whole (yet)
    steps: tuple[str, ...]  # begun, in their order
    failed: str | None  # the first step that failed, and the last line it printed; `done` still comes
    done: Mapping[str, int] | None  # exit codes by step; None: not at the end yet
    host_keys: tuple[str, ...]  # OpenSSH's, "ssh-ed25519 AAAA…"
    notes: tuple[str, ...]
    rest: tuple[str, ...]  # the last lines that are not ours

    @property
    def step(self) -> str | None:
        return self.steps[-1] if self.steps else None

    @property
    def whole(self) -> bool:
        """Nothing more will come, and nothing is missing."""
        return self.done is not None and not self.torn


@dataclass(slots=True)
class _Seen:
    """Gathered line by line."""

    boot: str | None = None
    steps: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    failed: str | None = None
    expected: list[str] = field(default_factory=list)
    done: dict[str, int] | None = None
    parts: dict[str, tuple[str, int, dict[int, str]]] = field(default_factory=dict)  # by name: (id, of how many, parts)
    conflicts: set[tuple[str, str]] = field(default_factory=set)


def signed(line: str) -> str:
    return f"{line} {hashlib.sha256(line.encode()).hexdigest()[:8]}"


def lines(run: str, name: str, report: bytes) -> Iterator[str]:
    """The report, whole, for a console."""
    data = base64.b64encode(zlib.compress(report, 9)).decode()
    pieces = [data[at : at + DATA] for at in range(0, len(data), DATA)]
    for number, piece in enumerate(pieces, start=1):
        yield signed(f"{MARK} {run} report {name} {_id(report)} {number}/{len(pieces)} {piece}")


def read(text: str, run: str) -> Console:
    """What is on the console so far. Texts read one after the other may be put together: twice does no harm."""
    seen, rest = _Seen(), list[str]()
    for raw in re.split(r"[\r\n]+", text[-TEXT:]):
        line = clean(raw)
        said = _ours(line, run)
        if said is None:
            rest = [*rest, line[:LONGEST]][-REST:] if line.strip() and MARK not in line else rest
        else:
            _take(seen, *said)
    whole = {name: data for name in seen.parts if (data := _whole(seen, name)) is not None}
    torn = tuple(name for name in dict.fromkeys((*seen.parts, *seen.expected)) if name not in whole)
    return Console(
        reports=whole, torn=torn, steps=tuple(seen.steps),
        failed=seen.failed, done=seen.done, host_keys=tuple(seen.keys), notes=tuple(seen.notes), rest=tuple(rest),
    )  # fmt: skip


def clean(text: str) -> str:
    """Without what would move a cursor, colour a terminal or reorder what is read: printable characters alone."""
    return "".join(char if char.isprintable() else " " if char == "\t" else "" for char in ESCAPES.sub("", text))


def _ours(line: str, run: str) -> tuple[str, str] | None:
    """(word, what follows) of the last whole line of this run in it."""
    start = line.rfind(f"{MARK} {run} ")
    if start < 0 or len(line) - start > LONGEST:
        return None
    body, _, _ = line[start:].rstrip().rpartition(" ")
    if signed(body) != line[start:].rstrip():
        return None
    word, _, following = body[len(f"{MARK} {run} ") :].partition(" ")
    return word, following


def _take(seen: _Seen, word: str, said: str) -> None:
    if word == "boot":
        if said == seen.boot:
            return
        seen.boot = said  # another boot begins again; reports and keys stay what they are
        seen.steps, seen.notes, seen.expected, seen.failed, seen.done = [], [], [], None, None
    elif word == "step" and re.fullmatch(NAME, said):
        _add(seen.steps, said)
    elif word == "note":
        _add(seen.notes, said)
    elif word == "failed":
        seen.failed = seen.failed or said
    elif word == "reports":
        seen.expected = [name for name in said.split() if re.fullmatch(NAME, name)][:NAMES]
    elif word == "done" and DONE_LINE.fullmatch(said):
        seen.done = {name: int(code) for name, _, code in (pair.partition("=") for pair in said.split())}
    elif word == "host-key" and (key := KEY_LINE.fullmatch(said)) and _fingerprint(key[2]) == key[3]:
        _add(seen.keys, f"{key[1]} {key[2]}")
    elif word == "report" and (part := REPORT_LINE.fullmatch(said)):
        _take_part(seen, part[1], part[2], int(part[3]), int(part[4]), part[5])


def _take_part(seen: _Seen, name: str, ident: str, number: int, of: int, data: str) -> None:
    """A part of the report that was printed last under its name."""
    if not 1 <= number <= of <= PARTS or (name not in seen.parts and len(seen.parts) == NAMES):
        return
    known = seen.parts.get(name)
    if known is None or known[0] != ident:
        known = seen.parts[name] = (ident, of, {})
    if known[1] != of or known[2].setdefault(number, data) != data:
        seen.conflicts.add((name, ident))


def _whole(seen: _Seen, name: str) -> bytes | None:
    ident, of, parts = seen.parts[name]
    if len(parts) != of or (name, ident) in seen.conflicts:
        return None
    unpack = zlib.decompressobj()
    try:
        packed = base64.b64decode("".join(parts[number] for number in range(1, of + 1)), validate=True)
        report = unpack.decompress(packed, REPORT)
    except (binascii.Error, zlib.error):
        return None
    return report if unpack.eof and not unpack.unused_data and _id(report) == ident else None


def _id(report: bytes) -> str:
    return hashlib.sha256(report).hexdigest()[:16]


def _fingerprint(key: str) -> str | None:
    try:
        return base64.b64encode(hashlib.sha256(base64.b64decode(key, validate=True)).digest()).decode().rstrip("=")
    except binascii.Error:
        return None


def _add(said: list[str], text: str) -> None:
    """Once, and no more than a person would read."""
    if text not in said and len(said) < REST:
        said.append(text)


def main(words: Iterable[str]) -> None:
    run, *files = words
    for path in map(Path, files):
        sys.stdout.writelines(f"{line}\n" for line in lines(run, path.stem, path.read_bytes()))


if __name__ == "__main__":
    main(sys.argv[1:])
