"""The verification in a container of the image that a real engine built: the CNN really trains there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gpucheck import recipes
from gpucheck.facts import Run, Training
from gpucheck.model import Report
from gpucheck.render import json as json_lines

if TYPE_CHECKING:
    from docker import DockerClient

Left = Callable[[], list[Any]]
pytestmark = [pytest.mark.docker, pytest.mark.tensorflow, pytest.mark.timeout(1500)]
GPU_HERE = Path("/proc/driver/nvidia").exists()


def verify(base: str, *arguments: str) -> tuple[int, Report]:
    command = [sys.executable, "-m", "gpucheck", "verify", "--on", "docker", "--base", base, "--format", "json"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json_lines.read(done.stdout)


def status(report: Report) -> dict[str, str]:
    return {finding.rule: finding.status.value for finding in report.findings}


def test_the_cnn_trains_in_the_container_and_the_log_proves_the_cpu(
    left: Left, base: str, cifar10: Path | None
) -> None:
    code, report = verify(base, "--device", "cpu", "--data", str(cifar10 or "synthetic"))
    assert code == 0, report.verdict
    assert report.verdict.startswith("yes: every heavy op ran on the CPU: the placement log")
    assert {rule for rule, found in status(report).items() if found in ("fail", "unknown")} == set()
    for rule in ("placement.heavy-ops-on-device", "kernels.on-device", "training.accuracy-plausible"):
        assert status(report)[rule] == "pass", rule
    training, run = report.facts.known[Training], report.facts.known[Run]
    assert training.real is (cifar10 is not None)
    assert (run.where, run.recipe_ran, run.image_ran) == ("container", "tensorflow-cpu", run.image_asked)
    assert left() == []


@pytest.mark.skipif(GPU_HERE, reason="not run: this machine has a GPU")
def test_the_same_run_asked_for_the_gpu_is_judged_not_to_have_used_one(left: Left, base: str) -> None:
    code, report = verify(base, "--device", "gpu", "--data", "synthetic", "--epochs", "1")
    assert code == 1
    assert report.verdict.startswith("no: every op ran on the CPU, because this machine has no NVIDIA GPU")
    assert status(report)["placement.strict-accepted"] == "fail"
    assert status(report)["run.image-as-asked"] == "pass"
    assert left() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_no_container_and_no_folder(
    left: Left, engine: DockerClient, base: str, tmp_path: Path, number: signal.Signals
) -> None:
    verify(base, "--device", "cpu", "--data", "synthetic", "--limit", "64", "--epochs", "1")  # the image is there
    command = [sys.executable, "-m", "gpucheck", "verify", "--on", "docker", "--device", "cpu", "--base", base,
               "--data", "synthetic", "--epochs", "50"]  # fmt: skip
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    events = engine.events(decode=True, filters={"label": "io.gpucheck", "event": "start"})
    child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    next(iter(events))
    events.close()
    child.send_signal(number)
    out, err = child.communicate(timeout=60)
    assert (child.returncode, out) == (128 + number, ""), err
    assert err == "gpucheck: interrupted\n"
    assert left() == []
    assert not list(tmp_path.iterdir())


def test_a_run_that_is_killed_is_no_proof(left: Left, engine: DockerClient, base: str) -> None:
    command = [sys.executable, "-m", "gpucheck", "verify", "--on", "docker", "--device", "cpu", "--base", base,
               "--data", "synthetic", "--epochs", "50", "--format", "json"]  # fmt: skip
    events = engine.events(decode=True, filters={"label": "io.gpucheck", "event": "start"})
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    started = next(iter(events))
    events.close()
    engine.containers.get(started["id"]).kill()
    out, err = child.communicate(timeout=60)
    report = json_lines.read(out)
    assert (child.returncode, status(report)["run.finished"]) == (1, "fail"), err
    assert "signal 9" in report.verdict
    assert left() == []


def test_an_image_without_the_framework_is_told_in_a_sentence(left: Left, base: str) -> None:
    command = [sys.executable, "-m", "gpucheck", "verify", "--image", base, "--device", "cpu", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    report = json_lines.read(done.stdout)
    assert (done.returncode, status(report)["run.finished"]) == (1, "fail"), done.stderr
    assert "the payload needs numpy, and there is none in" in report.verdict
    assert left() == []


def test_anybodys_image_is_verified(engine: DockerClient, base: str) -> None:
    """By its name, as one that no recipe of ours made."""
    verify(base, "--device", "cpu", "--data", "synthetic", "--limit", "64", "--epochs", "1")  # our image is there
    engine.images.get(recipes.load()["tensorflow-cpu"].image_tag).tag("somebody/tensorflow", "mine")
    try:
        command = [sys.executable, "-m", "gpucheck", "verify", "--image", "somebody/tensorflow:mine", "--device", "cpu",
                   "--data", "synthetic", "--limit", "640", "--epochs", "1", "--format", "json"]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        report = json_lines.read(done.stdout)
        assert done.returncode == 0, report.verdict
        assert status(report)["run.image-as-asked"] == "pass"
    finally:
        engine.images.remove("somebody/tensorflow:mine")
