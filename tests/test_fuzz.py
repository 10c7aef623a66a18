"""What fuzzing found once is read again, and a little fuzzing more (all of it: python -m bench.fuzz_probes)."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.fuzz_probes import CORPUS, Target, by_chance


@pytest.fixture(scope="module")
def target() -> Target:
    return Target()


@pytest.mark.parametrize("path", sorted(CORPUS.iterdir()), ids=lambda path: path.name)
def test_corpus(path: Path, target: Target) -> None:
    target(path.read_bytes())


def test_a_few_seconds_more(target: Target, tmp_path: Path) -> None:
    found = by_chance(target, 5.0, tmp_path)
    assert found["runs"] > 100
    assert list(tmp_path.iterdir()) == []
