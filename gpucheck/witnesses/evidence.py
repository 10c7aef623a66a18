"""The folder that a run leaves behind: JSON documents read strictly, logs and traces read piece by piece.

What wrote it is not trusted: each file is read up to a size that no honest one has, and never waits for a pipe.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeVar, cast

from gpucheck.facts import PlacedOp
from gpucheck.host import CannotLook

T = TypeVar("T")
SCHEMA = 1
# Bytes, uncompressed. A document or message is held in memory, where it may take 25 times its size: "[[],[],...".
MOST_OF_A_DOCUMENT = 16 << 20
MOST_OF_A_STREAM = 1 << 30
LONGEST_LINE = 65536  # characters: no line of a log is; what is longer comes in pieces, marked as such
PIECE = "\0"  # stands before the rest of such a line, so that it looks like no line
_CHUNK = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9_][\w.\-]{0,99}", re.ASCII)


class Placed(NamedTuple):
    """What one kind of evidence says of the placement of ops."""

    ops: tuple[PlacedOp, ...]
    lines: int  # that named an op and its device
    unread: int
    reasons: tuple[str, ...] = ()  # what the framework wrote there about not using the GPU, verbatim


@dataclass(frozen=True, slots=True)
class Document:
    """A JSON object by its file's name. What is missing or of another type is a CannotLook that names it."""

    name: str
    data: dict[str, Any]

    def get(self, key: str, kind: type[T]) -> T:
        value = self.data.get(key)
        if kind is float and type(value) is int:
            value = _float(value)
        if type(value) is not kind:  # not isinstance: True is no number
            found = "has no" if key not in self.data else f"has {_shown(value)} as"
            raise CannotLook(f"{self.name} {found} {key}")
        return cast(T, _printable(str(value))) if kind is str else value

    def maybe(self, key: str, kind: type[T]) -> T | None:
        """Null is an answer; a key that is not there is none."""
        return None if key in self.data and self.data[key] is None else self.get(key, kind)

    def older(self, key: str, kind: type[T], otherwise: T) -> T:
        """`otherwise` where the evidence is older than the key."""
        return self.get(key, kind) if key in self.data else otherwise

    def each(self, key: str) -> tuple[Document, ...]:
        """A list of objects, each with its place as its name."""
        rows = enumerate(self.get(key, list))
        return tuple(_object(f"{self.name}, {key} {index},", row) for index, row in rows)

    def inner(self, key: str) -> Document:
        return Document(f"{self.name}, {key},", self.get(key, dict))

    def texts(self, key: str) -> tuple[str, ...]:
        values: list[Any] = self.get(key, list)
        if not all(type(value) is str for value in values):
            raise CannotLook(f"{self.name} has something else than texts in {key}")
        return tuple(map(_printable, values))


def document(folder: Path, name: str, most: int = MOST_OF_A_DOCUMENT) -> Document:
    """Raises CannotLook where the file is not there, or torn, or of another schema, or larger than `most` bytes."""
    content = whole(folder, name, most)
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:  # also of bytes that are not UTF-8
        raise CannotLook(f"{name} is torn: it is not whole JSON") from error
    found = _object(name, data)
    if found.data.get("schema", SCHEMA) != SCHEMA:
        raise CannotLook(f"{name} has schema {_shown(found.data['schema'])}; this gpucheck reads {SCHEMA}")
    return found


def whole(folder: Path, name: str, most: int) -> bytes:
    """A file's bytes, uncompressed where its name ends in .gz. Raises CannotLook."""
    with _reading(folder, name) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise CannotLook(f"{name} is larger than {most >> 20} MiB")
    return content


def chunks(folder: Path, name: str) -> Iterator[str]:
    """A file's text in pieces of about a mebibyte. Raises CannotLook."""
    yield from _bounded(folder, name, lambda file: file.read(_CHUNK))


def lines(folder: Path, name: str) -> Iterator[str]:
    """The lines of a log, or of the same log gzipped: 300 KB become 20. Raises CannotLook."""
    ended = True
    for line in _bounded(folder, name, lambda file: file.readline(LONGEST_LINE + 1)):
        yield line if ended else PIECE + line
        ended = line.endswith("\n")


def file_name(document: Document, key: str) -> str:
    """The name of a file of the same folder, and of no other. Raises CannotLook."""
    return _inside(document, key, document.get(key, str))


def file_names(document: Document, key: str) -> tuple[str, ...]:
    """Likewise, of a list of them."""
    return tuple(_inside(document, key, name) for name in document.texts(key))


def _inside(document: Document, key: str, name: str) -> str:
    if not _NAME.fullmatch(name):
        raise CannotLook(f"{document.name} has {_shown(name)} as {key}")
    return name


def placed(counts: Counter[tuple[str, str]], mode: str) -> tuple[PlacedOp, ...]:
    """Ops by (name, device)."""
    rows = sorted(counts.items())
    return tuple(PlacedOp(op=op, device=device, count=count, mode=mode) for (op, device), count in rows)


def _bounded(folder: Path, name: str, read: Any) -> Iterator[str]:
    seen = 0
    with _reading(folder, name) as raw, io.TextIOWrapper(raw, encoding="utf-8", errors="replace") as file:
        while text := read(file):
            seen += len(text)
            if seen > MOST_OF_A_STREAM:
                raise CannotLook(f"{name} is larger than {MOST_OF_A_STREAM >> 20} MiB")
            yield text


@contextmanager
def _reading(folder: Path, name: str) -> Iterator[IO[bytes]]:
    path, packed = folder / name, folder / f"{name}.gz"
    try:
        if not path.exists() and packed.exists():
            path = packed
        if path.exists() and not path.is_file():  # a pipe would wait for ever
            raise CannotLook(f"{name} is no plain file")
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            yield cast(IO[bytes], file)
    except FileNotFoundError:
        raise CannotLook(f"the run left no {name}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise CannotLook(f"{name} cannot be read: {error}") from error


def _float(value: int) -> float | int:
    try:
        return float(value)
    except OverflowError:
        return value


def _shown(value: Any) -> str:
    """Short, whatever it is: a list may be long and deep."""
    return "a list" if type(value) is list else "an object" if type(value) is dict else f"{value!r:.40}"


def _printable(text: str) -> str:
    """JSON may hold half of a surrogate pair, which cannot be written anywhere."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _object(name: str, data: Any) -> Document:
    if not isinstance(data, dict):
        raise CannotLook(f"{name} is not a JSON object")
    return Document(name, data)
