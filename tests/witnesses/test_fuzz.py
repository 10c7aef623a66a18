"""Mutated evidence crashes nothing and costs no memory; bench/fuzz.py does a million lines of the same."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import fuzz
from gpucheck.host import CannotLook
from gpucheck.witnesses import placement_log

ROOT = Path(__file__).parents[2]


def test_mutated_evidence_crashes_nothing() -> None:
    command = [sys.executable, "-m", "bench.fuzz", "20000", "1"]
    told = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    found: dict[str, Any] = json.loads(told.stdout)
    assert found["lines"] >= 20_000
    assert found["crashes"] == 0, told.stderr
    assert found["mib_above_start"] < 32


def test_a_crash_would_be_seen(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(_log: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(placement_log, "parse", broken)
    assert fuzz.fuzz(500, 0)["crashes"] > 0
    assert "placement log, seed 0, turn 0:" in capsys.readouterr().err


def test_what_cannot_be_looked_at_is_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(_log: object) -> None:
        raise CannotLook("more than enough")

    monkeypatch.setattr(placement_log, "parse", closed)
    assert fuzz.fuzz(500, 0)["crashes"] == 0


def test_the_mutations_differ_and_are_the_same_again() -> None:
    line, other = b"x: (Conv2D): /job:localhost/replica:0/task:0/device:GPU:0\n", b"another line\n"
    found, again = ([fuzz.mutated(line, other, seeded(seed)) for seed in range(100)] for _ in range(2))
    assert found == again
    assert len(set(found)) > 50
    assert fuzz.mutated(b"", b"", seeded(0)) == b""


def seeded(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - it must be the same again
