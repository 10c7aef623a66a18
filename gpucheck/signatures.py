"""Messages that people see, found in a text or in a log of any size: signatures.toml as a search.

A log is read once and in flat memory: of each message its count is kept, and the first line that has it.
"""

from __future__ import annotations

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from gpucheck import tables
from gpucheck.probes import kernel_lines
from gpucheck.tables import Signature

CHUNK = 1 << 18  # bytes
LONGEST = 1 << 20  # bytes of a line: of a longer one the rest is not looked at
SAMPLE = 200  # bytes shown of a line, around what was found in it
ESCAPES = re.compile(
    rb"\x1b(?:\[[0-9;?]{0,32}[ -/]{0,4}[@-~]|\][^\x07\x1b\n]{0,2048}(?:\x07|\x1b\\))"
)  # colours, links
Span = tuple[int, int]  # in a block of lines


@dataclass(kw_only=True, slots=True)
class Seen:
    count: int  # lines
    line: int  # the first one's number
    sample: str


@dataclass(kw_only=True, slots=True)
class Reading:
    lines: int = 0
    cut: int = 0  # lines longer than LONGEST
    messages: dict[str, Seen] = field(default_factory=dict)  # by the id of the signature
    xids: dict[int, Seen] = field(default_factory=dict)


@cache
def load() -> tuple[Signature, ...]:
    """Raises ValueError, naming the row, where one is wrong."""
    return tables.read(tables=tables.SIGNATURES)["signatures"]


def read(chunks: Iterable[bytes], signatures: Iterable[Signature]) -> Reading:
    """What is found in a log, however it is cut into chunks."""
    searches = [(row.id, tuple(word.encode() for word in row.words), _compiled(row)) for row in signatures]
    reading = Reading()
    for raw, cut in _blocks(chunks):
        block = ESCAPES.sub(b"", raw) if b"\x1b" in raw else raw
        low = block.lower()
        for name, words, pattern in searches:
            if found := _found(block, low, words, pattern):
                _keep(reading.messages, name, len(found), reading, block, min(found.values()))
        for start, end in _found(block, low, (b"xid (",), None).values():
            text = _line(block, max(0, start - len("NVRM: ")))[: kernel_lines.LONGEST]
            logged = kernel_lines.xid(text.decode("utf-8", "replace"))
            if logged and logged.kind == "xid":
                _keep(reading.xids, logged.code, 1, reading, block, (start, end))
        reading.lines += block.count(b"\n")
        reading.cut += cut
    return reading


def chunks(stream: io.BufferedReader, damaged: Callable[[str], None]) -> Iterable[bytes]:
    """Of a log as it is, of a gzipped one, and of one in UTF-16, which PowerShell writes. `damaged` is told where a
    gzipped one ends early.
    """
    head = stream.peek(2)[:2]
    if head == b"\x1f\x8b":
        return _unzipped(stream, damaged)
    plain = iter(lambda: stream.read(CHUNK), b"")
    if head in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return (part.encode() for part in codecs.iterdecode(plain, "utf-16", "replace"))
    return plain


def _unzipped(stream: io.BufferedReader, damaged: Callable[[str], None]) -> Iterator[bytes]:
    zipped = gzip.GzipFile(fileobj=stream)
    try:
        while chunk := zipped.read1(CHUNK):
            yield chunk
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        damaged(str(error))


def _compiled(row: Signature) -> re.Pattern[bytes] | None:
    return re.compile(row.pattern.encode(), re.IGNORECASE) if row.pattern else None


def _blocks(chunks: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Whole lines, many at a time; and whether the last of them was cut at LONGEST."""
    rest, skipping = b"", False
    for chunk in chunks:
        start = chunk.find(b"\n") + 1 if skipping else 0
        if skipping and not start:
            continue
        data, skipping = rest + chunk[start:], False
        end = data.rfind(b"\n") + 1
        if end:
            yield data[:end], False
        rest = data[end:]
        if len(rest) > LONGEST:
            yield rest[:LONGEST] + b"\n", True
            rest, skipping = b"", True
    if rest:
        yield rest + b"\n", False


def _found(block: bytes, low: bytes, words: Iterable[bytes], pattern: re.Pattern[bytes] | None) -> dict[int, Span]:
    """By the start of each line that matches: what in it did."""
    found: dict[int, Span] = {}
    for word in words:
        at = low.find(word)
        while at >= 0:
            start, span = block.rfind(b"\n", 0, at) + 1, (at, at + len(word))
            if pattern and start not in found:
                match = pattern.search(_line(block, start))
                span = (start + match.start(), start + match.end()) if match else (0, 0)
            if span[1]:
                found.setdefault(start, span)
            at = low.find(word, block.find(b"\n", at))
    return found


def _line(block: bytes, start: int) -> bytes:
    return block[start : block.find(b"\n", start)]


def _keep(where: dict[Any, Seen], key: str | int, lines: int, reading: Reading, block: bytes, span: Span) -> None:
    if known := where.get(key):
        known.count += lines
        return
    line = reading.lines + block.count(b"\n", 0, span[0]) + 1
    where[key] = Seen(count=lines, line=line, sample=_sample(block, span))


def _sample(block: bytes, span: Span) -> str:
    """The line around what was found, not before the last carriage return: a progress bar may be there."""
    start = max(block.rfind(b"\n", 0, span[0]), block.rfind(b"\r", 0, span[0])) + 1
    end = min(at for at in (block.find(b"\n", span[1]), block.find(b"\r", span[1])) if at >= 0)
    begin = max(start, min(span[0] - SAMPLE // 4, end - SAMPLE))
    shown = block[begin : min(end, begin + SAMPLE)].decode("utf-8", "replace")
    return ("…" if begin > start else "") + shown.strip() + ("…" if begin + SAMPLE < end else "")
