"""The Keras payload on each of its backends, on this machine's CPU.

GPUCHECK_PYTHON may name another interpreter that has Keras and all three backends.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gpucheck.facts import Kernels, Placement, Run, Training
from gpucheck.witnesses import WITNESSES

PACKAGE = Path(__file__).parents[1] / "gpucheck"
pytestmark = [pytest.mark.tensorflow, pytest.mark.timeout(600)]
GPU_HERE = Path("/proc/driver/nvidia").exists() or Path("/dev/dxg").exists()
KINDS = {"tensorflow": "tensorflow-log", "torch": "execution-trace", "jax": "executables"}
CONVOLUTIONS = {"tensorflow": "Conv2D", "torch": "aten::convolution", "jax": "convolution"}
STEERING = ("KERAS_TORCH_DEVICE", "KERAS_BACKEND", "JAX_PLATFORMS", "XLA_FLAGS", "CUDA_VISIBLE_DEVICES")

Payload = Callable[..., None]


@pytest.fixture
def payload(framework_python: Callable[[str], str], tmp_path: Path) -> Payload:
    """A function (backend, options..., variables...) that runs the payload to its good end, into tmp_path."""

    def run(backend: str, *options: str, **variables: str) -> None:
        environment = {key: value for key, value in os.environ.items() if key not in STEERING}
        command = [framework_python(f"keras-{backend}-cpu"), "-m", "payloads.keras", "--backend", backend]
        done = subprocess.run(
            [*command, "--out", str(tmp_path), *options], capture_output=True, text=True, timeout=280,
            env={**environment, "PYTHONPATH": str(PACKAGE), "OMP_NUM_THREADS": "2", **variables},
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        device = options[options.index("--device") + 1]
        asked = {"framework": "keras", "device": device, "where": "host", "where_why": "x", "image_id": None,
                 "recipe": None}  # fmt: skip
        ran: dict[str, Any] = {"exit_code": 0, "signal": None, "oom_killed": False, "last_lines": []}
        (tmp_path / "asked.json").write_text(json.dumps(asked))
        (tmp_path / "ran.json").write_text(json.dumps({**ran, "image_id": None, "recipe": None}))

    return run


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def parts(folder: Path) -> list[tuple[str, int | None]]:
    return [(part["name"], part["exit_code"]) for part in read(folder / "run.json")["parts"]]


@pytest.mark.parametrize("backend", KINDS)
def test_a_run_on_the_cpu(payload: Payload, tmp_path: Path, backend: str) -> None:
    payload(backend, "--device", "cpu", "--limit", "400", "--epochs", "2", "--batch-size", "32", "--seed", "3",
            "--validation-split", "0.2")  # fmt: skip
    assert parts(tmp_path) == [("probe-strict", 0), ("train", 0)]
    run, placement = WITNESSES[Run](tmp_path), WITNESSES[Placement](tmp_path)
    training, kernels = WITNESSES[Training](tmp_path), WITNESSES[Kernels](tmp_path)
    assert (run.frameworks, run.devices_seen, run.forced) == (("keras", backend), ("CPU:0",), None)
    assert (placement.refused, placement.unread) == (None, 0)
    assert {op.device for op in placement.ops if op.op.startswith(CONVOLUTIONS[backend])} == {"CPU:0"}
    assert (training.recipe, training.epochs_asked, training.samples) == ("fast", 2, 320)
    assert [epoch.steps for epoch in training.history] == [10, 10]
    first, last = (epoch.loss for epoch in training.history)
    assert first is not None
    assert last is not None
    assert last < first
    assert [(share.device, share.samples) for share in training.shares] == [("CPU:0", 640)]
    assert training.weights_bytes == 4 * 122_570
    assert (kernels.devices, kernels.blind) == ((), None)
    assert kernels.host_ops > 0
    probe = read(tmp_path / "probe.json")
    assert (probe["backend"], probe["placement"]["kind"]) == (backend, KINDS[backend])
    assert probe["framework_version"] != probe["backend_version"]
    assert (probe["steps"], len(probe["losses"])) == (16, 16 + probe["eager_steps"])


@pytest.mark.parametrize("backend", KINDS)
@pytest.mark.skipif(GPU_HERE, reason="not run: this machine has a GPU")
def test_a_gpu_that_is_not_there_is_refused_and_every_part_ends_well(
    payload: Payload, tmp_path: Path, backend: str
) -> None:
    payload(backend, "--device", "gpu", "--limit", "640", "--epochs", "2", "--batch-size", "32")
    assert parts(tmp_path) == [
        ("probe-strict", 0), ("probe-soft", 0), ("control", 0), ("control-train", 0), ("train", 0),
    ]  # fmt: skip
    strict, probe, control = (read(tmp_path / f"{stem}.json") for stem in ("strict", "probe", "control"))
    assert strict["refused"]
    assert (strict["steps"], strict["placement"]) == (0, {"kind": KINDS[backend], "file": None})
    for soft in (probe, control):
        assert (soft["strict"], soft["refused"], soft["devices"]) == (False, None, ["CPU:0"])
    assert probe["losses"] == control["losses"]  # the same seed
    assert WITNESSES[Placement](tmp_path).refused == strict["refused"]
    short = read(tmp_path / "control-train.json")
    assert [epoch["steps"] for epoch in short["history"]] == [20, 10]  # 30 in all
    assert (short["test_accuracy"], short["history"][1]["val_loss"]) == (None, None)
    assert read(tmp_path / "train.json")["test_accuracy"] is not None


def test_the_tutorial_is_keras_own_fit_and_its_last_batch_is_smaller(payload: Payload, tmp_path: Path) -> None:
    payload("torch", "--device", "cpu", "--limit", "100", "--epochs", "1", "--recipe", "tutorial")
    train = read(tmp_path / "train.json")
    assert (train["precision"], train["batch_size"]) == ("float32", 32)
    assert [epoch["steps"] for epoch in train["history"]] == [4]
    assert train["shares"] == [{"device": "CPU:0", "samples": 100}]
    kernels = WITNESSES[Kernels](tmp_path)
    assert (kernels.source, kernels.devices) == ("torch.profiler", ())
    assert "aten::mm" in {op.name for op in kernels.host_longest}


def test_a_variable_that_forces_the_cpu_is_named(payload: Payload, tmp_path: Path) -> None:
    payload("torch", "--device", "gpu", "--limit", "64", "--epochs", "1", "--no-control", KERAS_TORCH_DEVICE="cpu")
    assert read(tmp_path / "strict.json")["refused"]
    assert read(tmp_path / "probe.json")["forced"] == "KERAS_TORCH_DEVICE=cpu"
    assert WITNESSES[Run](tmp_path).forced == "KERAS_TORCH_DEVICE=cpu"


def test_several_devices_are_refused_in_a_sentence(framework_python: Callable[[str], str], tmp_path: Path) -> None:
    command = [framework_python("keras-torch-cpu"), "-m", "payloads.keras", "--out", str(tmp_path), "--devices", "2"]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(PACKAGE)}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert done.stderr.startswith("payloads.keras trains on one device")
    assert not list(tmp_path.iterdir())
