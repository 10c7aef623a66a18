"""Placement lines of a followed command's output: counted as they come, the first of them kept as they are."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gpucheck.facts import PlacedOp
from gpucheck.host import CannotLook
from gpucheck.witnesses import placement_log

RAW = 4 << 20  # bytes
BATCH = 20_000  # lines
MOST_OPS = 100_000  # different ones; TensorFlow has some 1,500

Counts = Counter[tuple[str, str, str]]  # by op, device and mode


class PlacementLines:
    """Memory does not grow with the lines. TensorFlow writes each placed op twice, with a prefix and without: they are
    counted apart, and the greater number counts.
    """

    def __init__(self) -> None:
        self._batches: dict[bool, list[str]] = {True: [], False: []}
        self._counts: dict[bool, Counts] = {True: Counter(), False: Counter()}
        self._unread = 0
        self._raw = bytearray()

    def keep(self, line: bytes, prefixed: bool) -> None:
        if len(self._raw) < RAW:
            self._raw += line
        batch = self._batches[prefixed]
        batch.append(line.decode("utf-8", "replace"))
        if len(batch) >= BATCH:
            self._count(prefixed)

    def read(self) -> dict[str, Any]:
        """What was counted: {"ops": [{op, device, count, mode}], "unread": lines that could not be read}."""
        for prefixed in (True, False):
            self._count(prefixed)
        merged = sorted((self._counts[True] | self._counts[False]).items())
        ops = [asdict(PlacedOp(op=op, device=device, count=count, mode=mode)) for (op, device, mode), count in merged]
        return {"schema": 1, "ops": ops, "unread": self._unread}

    def write(self, folder: Path, stem: str) -> None:
        """<stem>.placement.json and <stem>.placement.log.gz."""
        (folder / f"{stem}.placement.json").write_text(json.dumps(self.read()))
        (folder / f"{stem}.placement.log.gz").write_bytes(gzip.compress(self._raw, 6))

    def _count(self, prefixed: bool) -> None:
        batch, counts = self._batches[prefixed], self._counts[prefixed]
        try:
            log = placement_log.parse(batch)
        except CannotLook:  # no program has so many different ops
            self._unread += len(batch)
        else:
            self._unread += log.unread
            for op in log.ops:
                if len(counts) < MOST_OPS or (op.op, op.device, op.mode) in counts:
                    counts[op.op, op.device, op.mode] += op.count
                else:
                    self._unread += op.count
        batch.clear()
