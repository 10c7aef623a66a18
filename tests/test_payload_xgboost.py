"""The XGBoost payload under a real XGBoost: what it leaves, and what it says where there is no GPU."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gpucheck.payloads import cifar10, xgboost

PACKAGE = Path(__file__).parents[1] / "gpucheck"
GPU_HERE = Path("/proc/driver/nvidia").exists()
Payload = Callable[..., "subprocess.CompletedProcess[str]"]
# A CUDA driver with two GPUs, as far as the payload asks it.
FAKE = """
#include <string.h>
int cuInit(unsigned flags) { return 0; }
int cuDeviceGetCount(int *count) { *count = 2; return 0; }
int cuDeviceGet(int *device, int index) { *device = index; return 0; }
int cuDeviceGetName(char *name, int size, int device) { strncpy(name, device ? "Fake B" : "Fake A", size); return 0; }
int cuDeviceGetAttribute(int *value, int attribute, int device) { *value = attribute == 75 ? 9 : device; return 0; }
"""


@pytest.fixture
def payload(framework_python: Callable[[str], str]) -> Payload:
    """A function (folder, options...) that runs the payload to its end."""

    def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
        # OpenMP's threads wait for each other without burning the processor, which others may want.
        environment = {**os.environ, "OMP_WAIT_POLICY": "passive", "PYTHONPATH": str(PACKAGE)}
        command = [framework_python("xgboost-cpu"), "-m", "payloads.xgboost", "--out", str(folder), *options]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500)

    return run


def read(folder: Path, name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / name).read_text())
    return document


pytestmark = pytest.mark.timeout(600)
SMALL = ("--limit", "1024", "--epochs", "2")


def test_it_learns_on_the_cpu_and_the_booster_says_so(payload: Payload, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        done = payload(tmp_path / folder, "--device", "cpu", *SMALL)
        assert (done.returncode, done.stderr) == (0, "")
    probe, train = read(tmp_path / "a", "probe.json"), read(tmp_path / "a", "train.json")
    assert probe["ops"] == [{"op": "tree growing", "device": "CPU:0", "count": 16, "mode": "configured"}]
    assert probe["configured"]["updater"] == "grow_quantile_histmaker"
    assert (probe["device"], probe["strict"], probe["refused"]) == ("cpu", None, None)
    assert (probe["devices"], probe["gpus"]) == (["CPU:0"], [])
    assert len(probe["losses"]) == 16
    assert probe["losses"][-1] < probe["losses"][0] / 5
    assert [row["steps"] for row in train["history"]] == [10, 10]
    assert train["history"][1]["loss"] < train["history"][0]["loss"]
    assert train["history"][1]["val_accuracy"] > 0.9
    assert train["test_accuracy"] == pytest.approx(train["history"][1]["val_accuracy"], abs=1e-6)
    assert np.array(train["confusion"]).sum(1).tolist() == [
        int(count) for count in np.bincount(cifar10.synthetic(0, 1024, 1024).y_test, minlength=10)
    ]
    assert train["shares"] == [{"device": "CPU:0", "samples": 1024}]
    assert (train["batch_size"], train["epochs"], train["gpu_memory_peak_bytes"], train["profile"]) == (
        1024,
        2,
        [],
        None,
    )
    assert train["weights_bytes"] > 10_000
    assert train["step_seconds"] > 0
    assert [part["name"] for part in read(tmp_path / "a", "run.json")["parts"]] == ["probe-strict", "train"]
    again = read(tmp_path / "b", "train.json")
    numbers = ("loss", "accuracy", "val_loss", "val_accuracy")
    assert [[row[n] for n in numbers] for row in again["history"]] == [
        [row[n] for n in numbers] for row in train["history"]
    ], "it says that the same seed gives the same run"
    assert again["confusion"] == train["confusion"]


@pytest.mark.skipif(GPU_HERE, reason="not run: this machine has a GPU")
def test_without_a_gpu_the_booster_does_not_claim_one(payload: Payload, tmp_path: Path) -> None:
    done = payload(tmp_path, "--device", "gpu", *SMALL)
    assert (done.returncode, done.stderr) == (0, "")
    for stem in ("probe", "control"):
        told = read(tmp_path, f"{stem}.json")
        assert (told["device"], told["ops"][0]["device"], told["configured"]["device"]) == ("gpu", "CPU:0", "cpu")
        assert "Device is changed from GPU to CPU" in (tmp_path / f"{stem}.err").read_text()
    assert not (tmp_path / "strict.json").exists(), "XGBoost has no strict mode, so that nothing can be refused"
    short, train = read(tmp_path, "control-train.json"), read(tmp_path, "train.json")
    assert sum(row["steps"] for row in short["history"]) == sum(row["steps"] for row in train["history"]) == 20
    assert (short["confusion"], short["test_accuracy"], short["test_loss"]) == (None, None, None)
    assert train["shares"][0]["device"] == "CPU:0"


def test_a_training_cut_short_tells_its_rounds(payload: Payload, tmp_path: Path) -> None:
    tmp_path.joinpath("out").mkdir()
    arguments = ("--device", "cpu", *SMALL, "--part", "train", "--stem", "control-train", "--steps", "13")
    assert payload(tmp_path / "out", *arguments).returncode == 0
    told = read(tmp_path / "out", "control-train.json")
    assert [row["steps"] for row in told["history"]] == [10, 3]


def test_several_devices_are_a_clear_no(payload: Payload, tmp_path: Path) -> None:
    done = payload(tmp_path / "out", "--device", "cpu", "--devices", "2")
    assert (done.returncode, done.stderr) == (2, "")
    assert done.stdout.startswith("XGBoost trains on one device here")
    assert not (tmp_path / "out").exists()


def test_data_that_is_not_whole_ends_it_with_a_sentence(payload: Payload, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    done = payload(tmp_path / "out", "--device", "cpu", "--data", str(tmp_path / "data"))
    assert done.returncode == 1
    assert "not CIFAR-10's binary layout" in done.stdout
    assert not (tmp_path / "out" / "train.json").exists()


@pytest.mark.parametrize(
    ("device", "updater", "grown_on"),
    [
        ("cuda:0", "grow_gpu_hist", "GPU:0"),
        ("cuda:1", "grow_gpu_hist", "GPU:1"),
        ("cuda", "grow_gpu_approx", "GPU:0"),
        ("cpu", "grow_quantile_histmaker", "CPU:0"),
        ("cuda:0", "grow_quantile_histmaker", "CPU:0"),  # a device alone grows no tree
        ("cpu", "grow_gpu_hist", "CPU:0"),
        ("sycl:gpu", "grow_quantile_histmaker_sycl", "CPU:0"),
    ],
)
def test_a_gpu_is_one_only_where_device_and_updater_agree(device: str, updater: str, grown_on: str) -> None:
    learner = {
        "generic_param": {"device": device}, "gradient_booster": {"gbtree_train_param": {"updater": updater}},
    }  # fmt: skip
    booster = SimpleNamespace(save_config=lambda: json.dumps({"learner": learner}))
    assert xgboost.configured(booster) == {"device": device, "updater": updater, "grown_on": grown_on}


def test_a_feature_is_the_mean_colour_of_its_block() -> None:
    images = np.zeros((2, 32, 32, 3), np.uint8)
    images[1, 4:8, 8:12, 2] = 200  # the second row's third block, blue
    images[1, 28:32, 28:30, 0] = 100  # half of the last block, red
    numbers = xgboost.features(images)
    assert (numbers.shape, numbers.dtype) == ((2, 192), np.float32)
    assert {int(k): float(numbers[1, k]) for k in np.flatnonzero(numbers[1])} == {(8 + 2) * 3 + 2: 200.0, 63 * 3: 50.0}
    assert not numbers[0].any()


def test_the_driver_is_asked_for_the_gpus_only_where_they_could_be_used(tmp_path: Path) -> None:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler (cc), so nothing was asked of a fake CUDA driver")
    (tmp_path / "cuda.c").write_text(FAKE)
    library = tmp_path / "libcuda.so.1"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(tmp_path / "cuda.c")], check=True)
    code = """
import json
from gpucheck.payloads import cifar10, xgboost
class Build:
    def __init__(self, cuda): self.cuda = cuda
    def build_info(self): return {"USE_CUDA": self.cuda}
gpus = xgboost.visible_gpus(Build(True))
print(json.dumps([gpus, xgboost.devices(gpus), xgboost.visible_gpus(Build(False))]))
"""
    environment = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path), "PYTHONPATH": str(PACKAGE.parent)}
    out = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(out.stdout) == [
        [{"name": "Fake A", "compute_capability": [9, 0]}, {"name": "Fake B", "compute_capability": [9, 1]}],
        ["CPU:0", "GPU:0", "GPU:1"],
        [],
    ]
