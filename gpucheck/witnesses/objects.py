"""JSON objects out of a long list, one at a time, also where the JSON around them is torn."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

_DECODER = json.JSONDecoder()
_BETWEEN = " \t\r\n,"


@dataclass(slots=True)
class Objects:
    """`start` matches where an object begins and nowhere else; `before` is what the text has before the first one.

    PyTorch's traces lack commas or have some too many (pytorch/pytorch#126703), which costs nothing here. What cannot
    be read is counted in `torn` and the next object is looked for. Memory does not grow with the text.
    """

    start: re.Pattern[str]
    before: str
    longest: int = 4 << 20  # characters of one object
    torn: int = 0
    tail: str = ""  # what comes after the last object: "]," and the rest

    def read(self, chunks: Iterable[str]) -> Iterator[dict[str, Any]]:
        buffer, at_object, seen_head = "", False, False
        for chunk in chunks:
            buffer += chunk
            cuts = [match.start() for match in self.start.finditer(buffer)]
            if cuts and not at_object:
                self._head(buffer[: cuts[0]], seen_head)
                at_object = seen_head = True
            for begin, end in pairwise(cuts):
                yield from self._object(buffer[begin:end], last=False)
            buffer = buffer[cuts[-1] :] if cuts else buffer
            if len(buffer) > self.longest:  # the rest of it is what comes before the next object
                self.torn += at_object or not seen_head
                buffer, at_object, seen_head = buffer[-1024:], False, True
        if at_object:
            yield from self._object(buffer, last=True)
        else:
            self._head(buffer, seen_head)

    def _head(self, text: str, seen: bool) -> None:
        self.torn += not seen and self.before not in text

    def _object(self, text: str, last: bool) -> Iterator[dict[str, Any]]:
        try:
            value, end = _DECODER.raw_decode(text)
        except (ValueError, RecursionError):
            self.torn += 1
            return
        yield value
        rest = text[end:].strip(_BETWEEN)
        if last:
            self.tail = rest
            self.torn += not rest.startswith("]")  # cut off behind an object
        else:
            self.torn += rest != ""
