"""The folder that a run leaves behind: JSON documents read strictly, logs read line by line."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from gpucheck.host import CannotLook

T = TypeVar("T")
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Document:
    """A JSON object by its file's name. What is missing or of another type is a CannotLook that names it."""

    name: str
    data: dict[str, Any]

    def get(self, key: str, kind: type[T]) -> T:
        value = self.data.get(key)
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:  # not isinstance: True is no number
            found = "has no" if key not in self.data else f"has {value!r:.40} as"
            raise CannotLook(f"{self.name} {found} {key}")
        return value

    def maybe(self, key: str, kind: type[T]) -> T | None:
        """Null is an answer; a key that is not there is none."""
        return None if key in self.data and self.data[key] is None else self.get(key, kind)

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
        return tuple(values)


def document(folder: Path, name: str) -> Document:
    """Raises CannotLook where the file is not there, or torn, or of another schema."""
    try:
        data = json.loads((folder / name).read_text("utf-8"))
    except FileNotFoundError:
        raise CannotLook(f"the run left no {name}") from None
    except OSError as error:
        raise CannotLook(f"{name}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # also of bytes that are not UTF-8
        raise CannotLook(f"{name} is torn: it is not whole JSON") from error
    found = _object(name, data)
    if found.data.get("schema", SCHEMA) != SCHEMA:
        raise CannotLook(f"{name} has schema {found.data['schema']!r:.40}; this gpucheck reads {SCHEMA}")
    return found


def lines(folder: Path, name: str) -> Iterator[str]:
    """The lines of a log, or of the same log gzipped: 300 KB become 20. Raises CannotLook."""
    path = folder / name
    try:
        if path.exists():
            with path.open(encoding="utf-8", errors="replace") as file:
                yield from file
        else:
            with gzip.open(path.with_name(f"{name}.gz"), "rt", encoding="utf-8", errors="replace") as file:
                yield from file
    except FileNotFoundError:
        raise CannotLook(f"the run left no {name}") from None
    except (OSError, EOFError) as error:
        raise CannotLook(f"{name} cannot be read: {error}") from error


def _object(name: str, data: Any) -> Document:
    if not isinstance(data, dict):
        raise CannotLook(f"{name} is not a JSON object")
    return Document(name, data)
