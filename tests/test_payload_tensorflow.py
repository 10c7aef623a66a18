"""The TensorFlow payload under a real TensorFlow, and what the witnesses read from its evidence.

GPUCHECK_TF_PYTHON may name another interpreter than that of the locked environment: TensorFlow 2.13 or newer.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gpucheck import compat
from gpucheck.facts import Control, Kernels, Placement, Run, Training
from gpucheck.host import CannotLook
from gpucheck.witnesses import WITNESSES

PACKAGE = Path(__file__).parents[1] / "gpucheck"
pytestmark = [pytest.mark.tensorflow, pytest.mark.timeout(600)]
CNN = (
    "Conv2D", "Conv2DBackpropFilter", "Conv2DBackpropInput", "MatMul", "BiasAddGrad", "MaxPool", "MaxPoolGrad", "Relu",
    "ReluGrad",
)  # fmt: skip
GPU_HERE = Path("/proc/driver/nvidia").exists()


Payload = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def payload(tensorflow_python: str) -> Payload:
    """A function (folder, options...) that starts the payload."""

    def start(folder: Path, *options: str) -> subprocess.Popen[str]:
        environment = {**os.environ, "PYTHONPATH": str(PACKAGE), "TF_CPP_MIN_LOG_LEVEL": "3"}  # as many scripts set it
        command = [tensorflow_python, "-m", "payloads.tensorflow", "--out", str(folder), *options]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return start


def ended(folder: Path, child: subprocess.Popen[str], device: str) -> None:
    """Wait for the payload and leave what gpucheck itself would write beside its evidence."""
    _, err = child.communicate(timeout=280)
    assert err == ""
    asked = {"framework": "tensorflow", "device": device, "where": "host", "where_why": "x",
             "image_id": None, "recipe": None}  # fmt: skip
    code = child.returncode
    (folder / "asked.json").write_text(json.dumps(asked))
    ran: dict[str, object] = {
        "exit_code": code,
        "signal": None,
        "oom_killed": False,
        "last_lines": [],
        "image_id": None,
        "recipe": None,
    }
    (folder / "ran.json").write_text(json.dumps(ran))


def _plain(name: str) -> str:
    """_MklNativeConv2D:... is Conv2D, whichever build of TensorFlow names it."""
    return re.sub(r"^_(?:Mkl(?:Native)?)?(?:Fused)?|:.*", "", name)


def look(folder: Path) -> tuple[Run, Placement, Training]:
    return WITNESSES[Run](folder), WITNESSES[Placement](folder), WITNESSES[Training](folder)


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def test_a_run_on_the_cpu(payload: Payload, tmp_path: Path) -> None:
    child = payload(tmp_path, "--device", "cpu", "--limit", "512", "--epochs", "2", "--batch-size", "64", "--seed", "3",
                    "--validation-split", "0.2")  # fmt: skip
    ended(tmp_path, child, "cpu")
    run, placement, training = look(tmp_path)
    assert [(part.name, part.exit_code) for part in run.parts] == [("probe-strict", 0), ("train", 0)]
    assert (placement.strict, placement.refused, placement.unread) == (True, None, 0)
    assert set(CNN) <= set(compat.load().heavy_ops("tensorflow"))
    for kind in CNN:
        for mode in ("graph", "eager"):
            assert {op.device for op in placement.ops if (op.op, op.mode) == (kind, mode)} == {"CPU:0"}, (kind, mode)
    steps = [op.count for op in placement.ops if op.op == "__inference_pinned"]
    assert steps == [16]
    assert (training.recipe, training.deterministic) == ("fast", None)
    assert (training.batch_size, training.samples, training.seed, training.real) == (64, 409, 3, False)
    assert [epoch.steps for epoch in training.history] == [7, 7]  # 409 of the 512 are trained on
    assert [(share.device, share.samples) for share in training.shares] == [("CPU:0", 2 * 7 * 64)]
    assert training.weights_bytes == 4 * 122_570
    assert "CPU:0" in run.devices_seen
    kernels = WITNESSES[Kernels](tmp_path)
    assert (kernels.devices, kernels.blind) == ((), None)
    assert {"Conv2D", "MatMul"} <= {_plain(op.name) for op in kernels.host_longest}
    assert sum(map(sum, read(tmp_path / "train.json")["confusion"])) == 512  # of the test images


@pytest.mark.skipif(GPU_HERE, reason="not run: this machine has a GPU")
def test_a_gpu_that_is_not_there_is_refused_and_the_log_says_where_the_ops_went(
    payload: Payload, tmp_path: Path
) -> None:
    ended(
        tmp_path, payload(tmp_path, "--device", "gpu", "--limit", "1024", "--epochs", "1", "--batch-size", "16"), "gpu"
    )
    run, placement, training = look(tmp_path)
    assert [(part.name, part.exit_code) for part in run.parts] == [
        ("probe-strict", 0), ("probe-soft", 0), ("control", 0), ("control-train", 0), ("train", 0),
    ]  # fmt: skip
    assert not placement.strict
    assert placement.refused is not None
    assert "GPU:0" in placement.refused
    assert placement.unread == 0
    assert {op.device for op in placement.ops} == {"CPU:0"}
    assert {"Conv2D", "MatMul", "ReluGrad"} <= {op.op for op in placement.ops}
    assert len(training.history) == 1
    control = WITNESSES[Control](tmp_path)
    assert {op.op for op in control.ops} == {op.op for op in placement.ops}
    assert (control.devices_seen, control.kernels) == (("CPU:0",), ())
    short = read(tmp_path / "control-train.json")
    assert [epoch["steps"] for epoch in short["history"]] == [30]
    assert (short["test_accuracy"], short["confusion"]) == (None, None)


def test_a_killed_training_leaves_no_report(payload: Payload, tmp_path: Path) -> None:
    child = payload(tmp_path, "--device", "cpu", "--limit", "2048", "--epochs", "500")
    assert child.stdout is not None
    for line in child.stdout:
        if line.startswith("train: epoch"):
            break
    children = Path(f"/proc/{child.pid}/task/{child.pid}/children")
    os.kill(int(children.read_text().split()[0]), signal.SIGKILL)
    ended(tmp_path, child, "cpu")
    assert child.returncode == 1
    assert WITNESSES[Run](tmp_path).parts[-1].signal == signal.SIGKILL
    with pytest.raises(CannotLook, match=r"train\.json"):
        WITNESSES[Training](tmp_path)
