"""Lines that say of a node why no report came from it, as what runs a recipe of ours leaves them among the reports.

`{"node": "n7", "missing": "it was not reached: …"}`. Without a node it is whose the file is. A report of that node in
the same file takes it back, wherever it stands: so a run that may be broken off says first whom it asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gpucheck.lines import one_line
from gpucheck.nodes import NAME, REASON, Unread, bare

MOST = 100_000  # nodes of one file


class Absent:
    """Of one file. What is kept of a node is a name and a sentence."""

    def __init__(self, whose: str | None) -> None:
        self._whose = whose
        self._why: dict[str, str] = {}
        self._whole: set[str] = set()  # the names of those whose report is there,
        self._came: set[str] = set()  # and the same without their domains

    def took(self, data: Any) -> bool:
        """Whether it is such a line."""
        if not isinstance(data, dict) or not {"missing"} <= data.keys() <= {"missing", "node"}:
            return False
        node, why = data.get("node") or self._whose, data["missing"]
        if not isinstance(node, str) or not isinstance(why, str):
            return False
        name = one_line(node, NAME)
        if not name or (len(self._why) >= MOST and name not in self._why):
            return False
        self._why[name] = one_line(why, REASON) or "it was not told why"
        return True

    def came(self, host: str) -> None:
        name = host[:NAME].lower()
        self._came |= {name, bare(name)}
        self._whole.add(name)

    def __bool__(self) -> bool:
        return bool(self._why)

    def rows(self, source: str) -> Iterator[Unread]:
        for node, why in self._why.items():
            if not self._has(node.lower()):
                yield Unread(source, why, node, "missing")

    def _has(self, name: str) -> bool:
        """n1 is n1.cluster, and n1.east is not n1.west."""
        first = bare(name)
        return name in self._came if first == name else name in self._whole or first in self._whole
