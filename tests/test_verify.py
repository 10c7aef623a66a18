"""The verification as a user runs it, with a real TensorFlow on this host; tests/docker has the same in a container.

The first run installs TensorFlow from the recipe's lock into gpucheck's own cache.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gpucheck.model import Report
from gpucheck.render import json as json_lines

QUICK = ("--on", "host", "--data", "synthetic", "--limit", "1024", "--epochs", "2")
GPU_HERE = Path("/proc/driver/nvidia").exists()
pytestmark = [pytest.mark.tensorflow, pytest.mark.timeout(900)]


def verify(*arguments: str) -> tuple[int, Report]:
    done = subprocess.run(
        [sys.executable, "-m", "gpucheck", "verify", *arguments, "--format", "json"], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.stdout, done.stderr
    return done.returncode, json_lines.read(done.stdout)


def status(report: Report) -> dict[str, str]:
    return {finding.rule: finding.status.value for finding in report.findings}


def test_a_cpu_run_is_proven_to_be_one() -> None:
    code, report = verify(*QUICK, "--device", "cpu")
    assert code == 0, report.verdict
    assert report.verdict.startswith("yes: every heavy op ran on the CPU: the placement log")
    assert status(report)["kernels.on-device"] == "pass"
    assert status(report)["placement.strict-accepted"] == "pass"
    assert status(report)["training.loss-fell"] == "pass"


@pytest.mark.skipif(GPU_HERE, reason="not run: this machine has a GPU")
def test_without_a_gpu_the_same_run_is_judged_not_to_have_used_one(tmp_path: Path) -> None:
    code, report = verify(*QUICK, "--device", "gpu", "--keep", str(tmp_path / "evidence"))
    assert code == 1
    assert report.verdict.startswith("no: every op ran on the CPU, because this machine has no NVIDIA GPU")
    assert status(report)["placement.strict-accepted"] == "fail"
    assert status(report)["run.finished"] == "pass"
    assert status(report)["control.told-apart"] == "pass"
    again, same = verify("--from", str(tmp_path / "evidence"))
    assert (again, same.findings) == (code, report.findings)


EACH = (("pytorch",), ("jax",), ("keras", "--backend", "torch"), ("xgboost",))


@pytest.mark.parametrize("framework", EACH, ids="-".join)
def test_every_framework_is_told_from_the_gpu_run_that_was_asked_for(
    framework: tuple[str, ...], framework_python: Callable[[str], str]
) -> None:
    """In an environment of the recipe's lock. Without a GPU the answer is no, and the witnesses agree on it."""
    if GPU_HERE:
        pytest.skip("this machine has a GPU (tests/gpu has the same)")
    name = f"keras-{framework[2]}-cpu" if framework[0] == "keras" else f"{framework[0]}-cpu"
    python = framework_python(name)
    arguments = (
        "--framework",
        *framework,
        "--python",
        python,
        "--data",
        "synthetic",
        "--limit",
        "1024",
        "--epochs",
        "1",
    )
    code, report = verify(*arguments)
    assert code == 1, report.verdict
    assert report.verdict.startswith("no: every op ran on the CPU, because this machine has no NVIDIA GPU")
    assert status(report)["control.told-apart"] == "pass"
    code, report = verify(*arguments, "--device", "cpu")
    assert code == 0, report.verdict
    assert status(report)["placement.heavy-ops-on-device"] == "pass"


def test_two_devices_share_the_training(framework_python: Callable[[str], str]) -> None:
    arguments = ("--python", framework_python("pytorch-cpu"), "--framework", "pytorch", "--device", "cpu")
    code, report = verify(*arguments, "--devices", "2", "--data", "synthetic", "--limit", "1024", "--epochs", "1")
    assert code == 0, report.verdict
    shares = next(f for f in report.findings if f.rule == "training.every-device-worked")
    assert (shares.status.value, shares.message) == ("pass", "samples trained on: CPU:0 50%, CPU:1 50%")


def test_an_interrupt_leaves_no_process_and_no_folder(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [
        sys.executable,
        "-m",
        "gpucheck",
        "verify",
        *QUICK[:-1],
        "50",
        "--device",
        "cpu",
        "--keep",
        f"{tmp_path}/e",
    ]
    child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 600
    while not list(tmp_path.glob("gpucheck-*/evidence/train.err")):
        assert child.poll() is None, child.stderr and child.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.2)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert (child.returncode, out, err) == (130, "", "gpucheck: interrupted\n")
    assert not list(tmp_path.iterdir())
    assert not _running(str(tmp_path))


def test_a_killed_training_is_no_proof(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gpucheck", "verify", *QUICK[:-1], "50", "--device", "cpu", "--format", "json"]
    child = subprocess.Popen(command, env={**os.environ, "TMPDIR": str(tmp_path)}, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 600
    while not (victims := _running(str(tmp_path), "--part train")):
        assert child.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.2)
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    out, _ = child.communicate(timeout=120)
    report = json.loads(out)
    assert (child.returncode, report["exit_code"]) == (1, 1)
    assert "signal 9" in report["verdict"]
    assert not list(tmp_path.iterdir())


def _running(*words: str) -> list[int]:
    pids = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if all(word in line for word in words) and "payloads" in line:
            pids.append(int(path.parent.name))
    return pids
