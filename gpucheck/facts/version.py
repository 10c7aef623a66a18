"""Version, and the decorator that makes a subject."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import total_ordering
from typing import TypeVar, dataclass_transform


@total_ordering
class Version:
    """A version by its numbers: "570.86.15", "12.5", "20.10.24+dfsg1". Equal where the numbers are: 12.5 == 12.5.0."""

    __slots__ = ("_key", "text")

    def __init__(self, text: str) -> None:
        numbers = re.match(r"\D{0,2}(\d+(?:\.\d+)*)", text)
        if numbers is None:
            raise ValueError(f"not a version: {text!r}")
        key = [int(part) for part in numbers[1].split(".")]
        while key and key[-1] == 0:
            key.pop()
        self.text = text
        self._key = tuple(key)

    @property
    def major(self) -> int:
        return self._key[0] if self._key else 0

    @property
    def series(self) -> tuple[int, int]:
        """Major and minor: what a patch release does not change."""
        return self.major, self._key[1] if len(self._key) > 1 else 0

    def __eq__(self, other: object) -> bool:
        return self._key == other._key if isinstance(other, Version) else NotImplemented

    def __lt__(self, other: Version) -> bool:
        return self._key < other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Version({self.text!r})"


T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def fact(subject: type[T]) -> type[T]:
    return dataclass(frozen=True, kw_only=True, slots=True)(subject)
