"""Events added up by name."""

from __future__ import annotations

import pytest

from gpucheck.facts import KernelTime
from gpucheck.witnesses import tally
from gpucheck.witnesses.tally import OTHERS, Tally


def test_the_longest_first() -> None:
    found = Tally()
    for name, seconds in (("a", 1.0), ("b", 5.0), ("a", 2.0), ("c", 3.0)):
        found.add(name, 1, seconds)
    assert (found.count, found.seconds) == (4, 11.0)
    assert found.longest(2) == (
        KernelTime(name="b", count=1, seconds=5.0), KernelTime(name="a", count=2, seconds=3.0),
    )  # fmt: skip


def test_names_beyond_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally, "MOST_NAMES", 3)
    found = Tally()
    for number in range(9):
        found.add(f"{number}", 1, 1.0)
    assert found.names == {"0": (1, 1.0), "1": (1, 1.0), "2": (1, 1.0), OTHERS: (6, 6.0)}
    more = Tally()
    more.include(found)
    more.include(found)
    assert (more.count, more.names["0"]) == (18, (2, 2.0))


def test_names_that_cannot_be_written() -> None:
    found = Tally()
    found.add("x\ud800" + "y" * 9999, 1, 1.0)
    (name,) = found.names
    assert len(name.encode()) == tally.LONGEST_NAME
