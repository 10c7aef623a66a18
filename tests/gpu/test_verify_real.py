"""On a real GPU: the verification proves it, and with the GPU hidden the same run is told apart."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from gpucheck.model import Report
from gpucheck.render import json as json_lines

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.tensorflow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="no NVIDIA GPU here (no nvidia-smi)"),
]


def verify(**environment: str) -> tuple[int, Report]:
    done = subprocess.run(
        [sys.executable, "-m", "gpucheck", "verify", "--on", "host", "--data", "synthetic", "--format", "json"],
        env={**os.environ, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout, done.stderr
    return done.returncode, json_lines.read(done.stdout)


def test_the_gpu_run_is_proven() -> None:
    code, report = verify()
    assert (code, report.verdict[:34]) == (0, "yes: every heavy op ran on GPU:0 ("), report.verdict


def test_the_same_run_with_the_gpu_hidden_is_told_apart() -> None:
    code, report = verify(CUDA_VISIBLE_DEVICES="-1")
    assert code == 1
    assert report.verdict.startswith("no: every op ran on the CPU")
