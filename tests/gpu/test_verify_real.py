"""On a real GPU: every framework's run is proven, its witnesses agree, and with the GPU hidden it is told apart."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable

import pytest

from gpucheck.model import Report
from gpucheck.render import json as json_lines

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.tensorflow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="no NVIDIA GPU here (no nvidia-smi)"),
]
RECIPES = {
    "tensorflow": "tensorflow-cuda12", "pytorch": "pytorch-cuda13", "jax": "jax-cuda13",
    "keras": "keras-tensorflow-cuda12", "xgboost": "xgboost-cuda12",
}  # fmt: skip
each_framework = pytest.mark.parametrize("framework", RECIPES)


def verify(python: str, framework: str, **environment: str) -> tuple[int, Report]:
    command = [
        sys.executable, "-m", "gpucheck", "verify", "--framework", framework, "--python", python, "--data", "synthetic",
    ]  # fmt: skip
    done = subprocess.run(
        [*command, "--format", "json"], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.stdout, done.stderr
    return done.returncode, json_lines.read(done.stdout)


@each_framework
def test_the_gpu_run_is_proven(framework: str, framework_python: Callable[[str], str]) -> None:
    code, report = verify(framework_python(RECIPES[framework]), framework)
    assert code == 0, report.verdict
    assert report.verdict.startswith("yes: every heavy op ran on the GPU")
    assert "contradict" not in report.verdict
    status = {finding.rule: finding.status.value for finding in report.findings}
    assert status["control.told-apart"] == "pass"
    if framework != "xgboost":  # it has no profiler of its own
        assert status["kernels.on-device"] == "pass"


@each_framework
def test_the_same_run_with_the_gpu_hidden_is_told_apart(framework: str, framework_python: Callable[[str], str]) -> None:
    code, report = verify(framework_python(RECIPES[framework]), framework, CUDA_VISIBLE_DEVICES="-1")
    assert code == 1
    assert report.verdict.startswith("no: every op ran on the CPU, because CUDA_VISIBLE_DEVICES=-1 hides the GPUs")
