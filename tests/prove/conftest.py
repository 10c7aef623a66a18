"""`gpucheck prove` as a command, and what the witnesses say of what it left."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from gpucheck import compat
from gpucheck.facts import Kernels, Placement, Run
from gpucheck.witnesses import command


class Proved(NamedTuple):
    code: int
    out: str
    err: str
    evidence: Path

    @property
    def run(self) -> Run:
        return command.look_run(self.evidence)

    @property
    def placement(self) -> Placement:
        return command.look_placement(self.evidence)

    @property
    def kernels(self) -> Kernels:
        return command.look_kernels(self.evidence)

    def heavy(self) -> dict[str, set[str]]:
        """The devices of each heavy op."""
        names = compat.load().heavy_ops(self.run.frameworks)
        found: dict[str, set[str]] = {}
        for op in self.placement.ops:
            if op.op in names:
                found.setdefault(op.op, set()).add(op.device)
        return found


Prove = Callable[..., Proved]


@pytest.fixture
def prove(tmp_path: Path) -> Prove:
    """`gpucheck prove` of some words, or of a Python script."""

    def run(
        what: str | list[str], *options: str, python: str = sys.executable, env: dict[str, str] | None = None,
        given: str = "", cwd: Path = tmp_path,
    ) -> Proved:  # fmt: skip
        words = what
        if isinstance(what, str):
            script = tmp_path / "script.py"
            script.write_text(textwrap.dedent(what))
            words = [python, str(script)]
        evidence = tmp_path / "evidence"
        keep = [] if "--from" in options else ["--keep", str(evidence)]
        ran = subprocess.run(
            [sys.executable, "-m", "gpucheck", "prove", *keep, *options, *(["--", *words] if words else [])], text=True,
            capture_output=True, input=given, cwd=cwd,
            env={**{name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
                 "PYTHONPATH": str(Path(__file__).parents[2]), **(env or {})},
        )  # fmt: skip
        return Proved(ran.returncode, ran.stdout, ran.stderr, evidence)

    return run
