"""All reports of a fleet, one after the other, whatever is among them: what is no report is told, and the rest is read.

Of a file no more than one report is kept at a time, and of all that is not one only how much it was.
"""

from __future__ import annotations

import codecs
import io
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from gpucheck import reports, rosters
from gpucheck.absent import Absent
from gpucheck.model import Failure, Report
from gpucheck.nodes import NAME, Arrived, Unread, same_name
from gpucheck.rosters import Roster

LARGEST = 8 << 20  # bytes of one report; the largest of a real machine has a tenth of that
SHORTEST = 64  # what is shorter and has no end is not worth the parser's time, of which garbage would take hours
TOLD = 5  # lines that are named
MOST_LINES = 100_000  # of a document that is laid out


def each(paths: Sequence[Path]) -> Iterator[Arrived | Unread]:
    """Every report of these files and folders, and every file of which something could not be read."""
    seen: set[object] = set()
    lists: dict[Path, Roster] = {}
    for file in _found(paths):
        if isinstance(file, Unread):
            yield file
            continue
        try:
            same = _same(file)
        except OSError as error:
            yield Unread(source=str(file), why=f"it cannot be read: {error.strerror}", node=_node(file))
            continue
        if same not in seen:
            seen.add(same)
            if file.parent not in lists:
                lists[file.parent] = rosters.read(file.parent)
            roster = lists[file.parent]
            yield from (rosters.as_asked(_by(each, _node(file), roster), roster) for each in _file(file))


def _by(each: Arrived | Unread, node: str | None, roster: Roster) -> Arrived | Unread:
    """As the run had it that kept the file: all that is in it is what this node said, of whomever."""
    return each if node not in roster.names or same_name(each.node or "", node or "") else each._replace(node=node)


def files(paths: Sequence[Path]) -> list[Path]:
    """Those that would be read."""
    return [file for file in _found(paths) if isinstance(file, Path) and os.path.exists(file)]


def _found(paths: Sequence[Path]) -> Iterator[Path | Unread]:
    for path in paths:
        try:
            yield from reports.inside(path)
        except (Failure, OSError) as error:  # OSError: a folder on the way to it that is not ours to look into
            yield Unread(source=str(path), why=getattr(error, "strerror", None) or str(error))
        yield from rosters.missing(path)


def _same(file: Path) -> object:
    about = None if file == reports.STDIN else file.stat()
    return (about.st_dev, about.st_ino) if about else file


def _node(file: Path) -> str | None:
    """Whose report a file may be by its name: a file of many is nobody's in particular."""
    return file.stem if file.suffix == ".json" else None


def of_bytes(data: bytes, node: str) -> Iterator[Arrived | Unread]:
    """What an engine brought from this node."""
    yield from (each._replace(node=node) for each in _of(io.BytesIO(data), f"the report of {node}", node))


def _file(path: Path) -> Iterator[Arrived | Unread]:
    """`node` is the file's name where the file has one report alone: one of several is nobody's in particular."""
    name = "stdin" if path == reports.STDIN else str(path)
    try:
        if path == reports.STDIN:
            yield from _of(sys.stdin.buffer, name, None)
            return
        with path.open("rb") as file:
            yield from _of(file, name, _node(path))
    except OSError as error:
        yield Unread(source=name, why=f"it cannot be read: {error.strerror}", node=_node(path))


def _of(file: BinaryIO, name: str, node: str | None) -> Iterator[Arrived | Unread]:
    found, bad, held, absent = 0, _Bad(), None, Absent(node)
    for number, data in _documents(file):
        for one in data if isinstance(data, list) and data else [data]:
            if absent.took(one):
                continue
            report = _report(one)
            if isinstance(report, str):
                host = one.get("host") if isinstance(one, dict) and "findings" in one else None
                if isinstance(host, str) and host.strip():
                    yield Unread(source=name, why=report, node=host[:NAME])
                    found += 1
                else:
                    bad.add(number, report)
                continue
            if held:
                yield held._replace(node=None)
            held = Arrived(report, name, node)
            absent.came(report.host)
            found += 1
    if held:
        yield held if found == 1 else held._replace(node=None)
    yield from absent.rows(name)
    if bad.number:
        yield Unread(source=name, why=bad.sentence(found), node=None if found else node)
    elif not found and not absent:
        yield Unread(source=name, why="it is empty: what should have written it has not", node=node)


class _Bad:
    """How many lines were no report, and the first of them."""

    def __init__(self) -> None:
        self.number, self.lines, self.why = 0, list[int](), ""

    def add(self, line: int, why: str) -> None:
        self.number += 1
        self.why = self.why or why
        self.lines += [line] if len(self.lines) < TOLD else []

    def sentence(self, good: int) -> str:
        if self.number == 1:
            return f"line {self.lines[0]}: {self.why}" if good else self.why
        rest = f" and {self.number - TOLD:,} more" if self.number > TOLD else ""
        return f"{self.number:,} lines are no reports ({', '.join(map(str, self.lines))}{rest}); the first: {self.why}"


def _report(data: Any) -> Report | str:
    if isinstance(data, Failure):
        return str(data)
    try:
        return reports.of_data(data, "it")
    except Failure as failure:
        return str(failure)


def _documents(file: BinaryIO) -> Iterator[tuple[int, Any]]:
    """What each line holds, a Failure where that is no JSON; of a document laid out over many lines all of it."""
    lines = _lines(file)
    for number, line in lines:
        data = _data(line)
        if not isinstance(data, Failure) or line[:1] not in (b"{", b"["):
            yield number, data
            break
        kept, size = [(number, line)], len(line)
        for more in lines:
            kept.append(more)
            size += len(more[1])
            if size > LARGEST or len(kept) > MOST_LINES:
                break
        whole = _data(b"".join(line for _, line in kept)) if size <= LARGEST else data
        if isinstance(whole, Failure):
            yield from ((each, _data(line)) for each, line in kept)
        else:
            yield number, whole
        break
    yield from ((number, _data(line)) for number, line in lines)


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Those with something in them. Of one that is too long only its start, by which it is known to be."""
    number = 0
    while line := file.readline(LARGEST + 1):
        number += 1
        rest = line
        while len(line) > LARGEST and rest and not rest.endswith(b"\n"):
            rest = file.readline(1 << 20)
        if stripped := line.removeprefix(codecs.BOM_UTF8).lstrip():
            yield number, stripped


def _data(line: bytes) -> Any:
    if len(line) > LARGEST:
        return Failure(f"it is longer than {LARGEST >> 20} MB", "")
    if line[:1] not in (b"{", b"["):
        return Failure("it is no report of gpucheck: it is not JSON", "")
    if len(line) < SHORTEST and line.strip()[-1:] not in (b"}", b"]"):
        return Failure("it is not whole, or no JSON", "")
    try:
        return reports.parsed(line, "it")
    except json.JSONDecodeError as error:
        return Failure(f"it is not whole, or no JSON ({error.msg})", "")
    except Failure as failure:
        return failure
