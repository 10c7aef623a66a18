"""The PyTorch payload under a real PyTorch: its parts, its evidence, its ranks."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PACKAGE = Path(__file__).parents[1] / "gpucheck"
GPU_HERE = Path("/proc/driver/nvidia").exists()
WEIGHTS = 122_570
pytestmark = pytest.mark.timeout(600)
Payload = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def payload(framework_python: Callable[[str], str]) -> Payload:
    """A function (folder, options...) that starts the payload."""

    def start(folder: Path, *options: str) -> subprocess.Popen[str]:
        # OpenMP's threads wait for each other without burning the processor, which others may want.
        environment = {**os.environ, "OMP_WAIT_POLICY": "passive", "PYTHONPATH": str(PACKAGE)}
        command = [framework_python("pytorch-cpu"), "-m", "payloads.pytorch", "--out", str(folder), *options]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return start


def ended(child: subprocess.Popen[str]) -> int:
    _, err = child.communicate(timeout=300)
    assert err == ""
    return child.returncode


def read(folder: Path, name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / name).read_text())
    return document


def trace(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(gzip.decompress(path.read_bytes()))
    return document


def parts(folder: Path) -> list[tuple[str, int | None]]:
    return [(part["name"], part["exit_code"]) for part in read(folder, "run.json")["parts"]]


def test_a_run_on_the_cpu(payload: Payload, tmp_path: Path) -> None:
    assert ended(payload(tmp_path, "--device", "cpu", "--limit", "1024", "--epochs", "2", "--batch-size", "64")) == 0
    assert parts(tmp_path) == [("probe-strict", 0), ("train", 0)]

    probe = read(tmp_path, "probe.json")
    assert (probe["strict"], probe["refused"], probe["steps"], len(probe["losses"])) == (True, None, 16, 16)
    nodes = trace(tmp_path / probe["placement"]["file"])["nodes"]
    counts = Counter(node["name"] for node in nodes)
    assert counts["aten::conv2d"] == counts["aten::convolution_backward"] == 3 * 16
    assert counts["aten::addmm"] == counts["AddmmBackward0"] == 2 * 16
    tensors = [value for node in nodes if node["name"] == "aten::addmm" for value in node["inputs"]["values"][:3]]
    assert {tensor[5] for tensor in tensors} == {"cpu"}

    train = read(tmp_path, "train.json")
    assert train["weights_bytes"] == 4 * WEIGHTS
    assert [epoch["steps"] for epoch in train["history"]] == [16, 16]
    assert train["history"][1]["loss"] < train["history"][0]["loss"]
    assert train["shares"] == [{"device": "CPU:0", "samples": 2048}]
    assert (train["gpu_memory_peak_bytes"], train["deterministic"]) == ([], None)
    assert sum(map(sum, train["confusion"])) == 1024
    assert train["test_accuracy"] == train["history"][1]["val_accuracy"]  # without a split they are the same images
    profile = train["profile"]
    assert (profile["source"], profile["blind"], profile["error"]) == ("torch.profiler", None, None)
    events = Counter(event["name"] for event in trace(tmp_path / profile["file"])["traceEvents"])
    assert events["aten::convolution_backward"] == 3 * profile["steps"]


def test_the_tutorials_recipe_is_the_same_for_a_seed(payload: Payload, tmp_path: Path) -> None:
    options = ("--device", "cpu", "--recipe", "tutorial", "--limit", "100", "--epochs", "1", "--no-profile")
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        (tmp_path / name).mkdir()
        only = ("--part", "train", "--stem", "train", "--seed", seed)  # as the payload starts its own parts
        assert ended(payload(tmp_path / name, *options, *only)) == 0
    first, again, other = (read(tmp_path / name, "train.json") for name in "abc")
    assert first["precision"] == "float32"
    assert first["history"][0]["steps"] == 4  # the last of 4 images
    assert first["shares"] == [{"device": "CPU:0", "samples": 100}]
    assert first["profile"] is None
    assert first["history"][0]["loss"] == again["history"][0]["loss"] != other["history"][0]["loss"]


@pytest.mark.skipif(GPU_HERE, reason="not run: this machine has a GPU")
def test_a_gpu_that_is_not_there_is_refused_and_the_steps_are_cut_short(payload: Payload, tmp_path: Path) -> None:
    assert ended(payload(tmp_path, "--device", "gpu", "--limit", "256", "--epochs", "1")) == 0
    names = ["probe-strict", "probe-soft", "control", "control-train", "train"]
    assert parts(tmp_path) == [(name, 0) for name in names]
    strict = read(tmp_path, "strict.json")
    assert (strict["steps"], strict["placement"]["file"]) == (0, None)
    # A wheel for the CPU, and one for a GPU whose driver is not there.
    assert strict["refused"].startswith(("Torch not compiled with CUDA", "Found no NVIDIA driver", "No CUDA GPUs"))
    soft, control = read(tmp_path, "probe.json"), read(tmp_path, "control.json")
    assert (soft["strict"], soft["device"], soft["devices"]) == (False, "gpu", ["CPU:0"])
    assert len(trace(tmp_path / control["placement"]["file"])["nodes"]) > 16 * 100
    cut, whole = read(tmp_path, "control-train.json"), read(tmp_path, "train.json")
    assert (cut["confusion"], cut["test_loss"]) == (None, None)
    assert sum(map(sum, whole["confusion"])) == 256


def test_each_of_two_devices_has_its_share(payload: Payload, tmp_path: Path) -> None:
    options = ("--device", "cpu", "--devices", "2", "--limit", "1000", "--epochs", "2", "--batch-size", "100")
    assert ended(payload(tmp_path, *options)) == 0
    train = read(tmp_path, "train.json")
    assert train["shares"] == [{"device": "CPU:0", "samples": 1000}, {"device": "CPU:1", "samples": 1000}]
    assert (train["batch_size"], train["history"][0]["steps"]) == (100, 10)
    assert train["history"][1]["loss"] < train["history"][0]["loss"]
    assert train["profile"]["files"] == ["train.0.kineto.json.gz", "train.1.kineto.json.gz"]
    for name in train["profile"]["files"]:
        events = Counter(event["name"] for event in trace(tmp_path / name)["traceEvents"])
        assert events["aten::convolution_backward"] == 3 * train["profile"]["steps"]
        assert events["gloo:all_reduce"] + events["c10d::allreduce_"] > 0


def test_more_devices_than_images_is_said(payload: Payload, tmp_path: Path) -> None:
    child = payload(tmp_path, "--device", "cpu", "--devices", "2", "--limit", "1")
    out, _ = child.communicate(timeout=300)
    assert child.returncode == 1
    assert "train: 2 devices were asked for; there are 1 training images" in out


@pytest.mark.parametrize("victim", ["training", "rank", "payload"])
def test_a_killed_training_leaves_no_report_and_no_rank(payload: Payload, tmp_path: Path, victim: str) -> None:
    child = payload(tmp_path, "--device", "cpu", "--devices", "2", "--limit", "2048", "--epochs", "500")
    assert child.stdout is not None
    for line in child.stdout:
        if line.startswith("train: epoch"):
            break
    (training,) = children(child.pid)
    (rank,) = children(training)
    if victim == "payload":
        child.terminate()
    else:
        os.kill(training if victim == "training" else rank, signal.SIGKILL)
    assert ended(child) == (128 + signal.SIGTERM if victim == "payload" else 1)
    for _ in range(300):
        if not any(map(alive, (training, rank))):
            break
        time.sleep(0.1)
    assert not any(map(alive, (training, rank)))
    assert not (tmp_path / "train.json").exists()
    assert read(tmp_path, "run.json")["parts"][-1]["name"] == "train"


def children(pid: int) -> list[int]:
    threads = Path(f"/proc/{pid}/task").glob("*/children")  # each of those that one of its threads started
    return [int(child) for thread in threads for child in thread.read_text().split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
