"""The JAX payload under a real JAX, on this machine's CPU. GPUCHECK_PYTHON may name another interpreter that has it."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PACKAGE = Path(__file__).parents[1] / "gpucheck"
pytestmark = [pytest.mark.tensorflow, pytest.mark.timeout(600)]
GPU_HERE = Path("/proc/driver/nvidia").exists() or Path("/dev/dxg").exists()
PARAMETERS = 122_570

Payload = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="session")
def jax_python(framework_python: Callable[[str], str]) -> str:
    return framework_python("jax-cpu")


@pytest.fixture
def payload(jax_python: str) -> Payload:
    """A function (folder, options...) that starts the payload."""

    def start(folder: Path, *options: str) -> subprocess.Popen[str]:
        environment = {key: value for key, value in os.environ.items() if key not in ("XLA_FLAGS", "JAX_PLATFORMS")}
        command = [jax_python, "-m", "payloads.jax", "--out", str(folder), *options]
        return subprocess.Popen(
            command, env={**environment, "PYTHONPATH": str(PACKAGE)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip

    return start


def ended(child: subprocess.Popen[str]) -> str:
    out, err = child.communicate(timeout=280)
    assert err == ""
    return out


def read(path: Path) -> Any:
    return json.loads(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_text())


def parts(folder: Path) -> list[tuple[str, int | None]]:
    return [(part["name"], part["exit_code"]) for part in read(folder / "run.json")["parts"]]


def test_a_run_on_the_cpu(payload: Payload, tmp_path: Path) -> None:
    ended(payload(tmp_path, "--device", "cpu", "--limit", "500", "--epochs", "2", "--batch-size", "32", "--seed", "3",
                  "--validation-split", "0.2"))  # fmt: skip
    assert parts(tmp_path) == [("probe-strict", 0), ("train", 0)]
    probe = read(tmp_path / "probe.json")
    assert (probe["strict"], probe["refused"], probe["devices"]) == (True, None, ["CPU:0"])
    assert (probe["steps"], len(probe["losses"]), probe["eager_steps"], probe["batch_size"]) == (16, 16, 0, 32)
    assert probe["placement"] == {"kind": "executables", "file": "probe.executables.json.gz"}
    kept = read(tmp_path / "probe.executables.json.gz")
    (step,) = [each for each in kept["executables"] if "stepped" in each["name"]]
    assert (step["platform"], step["devices"], step["cut"]) == ("cpu", ["CPU:0"], False)
    assert all(f" {op}(" in step["hlo"] for op in ("convolution", "dot"))
    (held,) = kept["arrays"]
    assert held["device"] == "CPU:0"
    assert held["bytes"] >= 3 * 4 * PARAMETERS  # the weights and Adam's two moments
    train = read(tmp_path / "train.json")
    assert train["weights_bytes"] == 4 * PARAMETERS
    assert [epoch["steps"] for epoch in train["history"]] == [13, 13]  # 400 of the 500 are trained on
    assert train["history"][1]["loss"] < train["history"][0]["loss"]
    assert all(0 <= epoch["val_accuracy"] <= 1 for epoch in train["history"])
    assert (train["samples"], train["batch_size"], train["precision"]) == (400, 32, "float32")
    assert train["shares"] == [{"device": "CPU:0", "samples": 800}]
    assert sum(map(sum, train["confusion"])) == 500
    assert train["gpu_memory_peak_bytes"] == []
    assert train["step_seconds"] > 0
    profile = train["profile"]
    assert (profile["source"], profile["file"], profile["blind"]) == ("XPlane", "train.xplane.pb.gz", None)
    assert profile["steps"] == 7  # from the middle of an epoch of 13 to its end
    assert b"/host:CPU" in gzip.decompress((tmp_path / "train.xplane.pb.gz").read_bytes())
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {*(f"{part}.{end}" for part in ("probe", "train") for end in ("out", "err", "json")), "run.json",
                    "probe.executables.json.gz", "train.xplane.pb.gz"}  # fmt: skip


@pytest.mark.skipif(GPU_HERE, reason="not run: this machine has a GPU")
def test_a_gpu_that_is_not_there_is_refused_and_every_part_ends_well(payload: Payload, tmp_path: Path) -> None:
    ended(payload(tmp_path, "--device", "gpu", "--limit", "512", "--epochs", "1", "--batch-size", "64"))
    assert parts(tmp_path) == [
        ("probe-strict", 0), ("probe-soft", 0), ("control", 0), ("control-train", 0), ("train", 0),
    ]  # fmt: skip
    strict, probe, control = (read(tmp_path / f"{stem}.json") for stem in ("strict", "probe", "control"))
    assert "backend" in strict["refused"]
    assert (strict["steps"], strict["placement"]["file"]) == (0, None)
    for soft in (probe, control):
        assert (soft["device"], soft["strict"], soft["refused"], soft["devices"]) == ("gpu", False, None, ["CPU:0"])
        kept = read(tmp_path / soft["placement"]["file"])
        assert {device for each in kept["executables"] for device in each["devices"]} == {"CPU:0"}
    assert probe["losses"] == control["losses"]  # the same seed
    short = read(tmp_path / "control-train.json")
    assert [epoch["steps"] for epoch in short["history"]] == [8]  # of 30, in the one epoch
    assert (short["test_accuracy"], short["confusion"]) == (None, None)
    assert read(tmp_path / "train.json")["test_accuracy"] is not None


def test_two_devices_share_each_batch_and_train_the_same(payload: Payload, tmp_path: Path) -> None:
    options = ("--device", "cpu", "--limit", "200", "--epochs", "1", "--batch-size", "33", "--no-profile")
    for count in "12":
        ended(payload(tmp_path / count, *options, "--devices", count))
    one, two = (read(tmp_path / count / "train.json") for count in "12")
    # Each batch of 33 is 17 and 16; the last one of 2 images lies on the first device alone.
    assert two["shares"] == [{"device": "CPU:0", "samples": 6 * 17 + 2}, {"device": "CPU:1", "samples": 6 * 16}]
    assert two["devices"] == ["CPU:0", "CPU:1"]
    assert two["profile"] is None
    assert two["history"][0]["loss"] == pytest.approx(one["history"][0]["loss"], rel=1e-3)
    assert two["test_loss"] == pytest.approx(one["test_loss"], rel=1e-3)


def test_the_same_seed_gives_the_same_run_and_another_seed_another(payload: Payload, tmp_path: Path) -> None:
    options = ("--device", "cpu", "--limit", "256", "--epochs", "1", "--batch-size", "64", "--recipe", "tutorial")
    for name, seed in (("a", "5"), ("b", "5"), ("c", "6")):
        ended(payload(tmp_path / name, *options, "--seed", seed))
    first, again, other = (read(tmp_path / name / "train.json") for name in "abc")
    assert first["recipe"] == "tutorial"
    assert first["deterministic"] is None
    assert first["test_loss"] == again["test_loss"]
    assert first["confusion"] == again["confusion"]
    assert first["test_loss"] != other["test_loss"]


def test_a_killed_training_leaves_no_report(payload: Payload, tmp_path: Path) -> None:
    child = payload(tmp_path, "--device", "cpu", "--limit", "2048", "--epochs", "500")
    assert child.stdout is not None
    for line in child.stdout:
        if line.startswith("train: epoch"):
            break
    children = Path(f"/proc/{child.pid}/task/{child.pid}/children")
    os.kill(int(children.read_text().split()[0]), signal.SIGKILL)
    ended(child)
    assert child.returncode == 1
    assert read(tmp_path / "run.json")["parts"][-1]["signal"] == signal.SIGKILL
    assert not (tmp_path / "train.json").exists()


LOOPED = """
import jax, numpy as np
from payloads import jax_cnn, jax_feed, recipe
chosen = recipe.RECIPES["fast", "gpu"]
on = jax_feed.Devices(jax.local_devices())
random = np.random.default_rng(0)
images = jax.device_put((random.integers(0, 256, (20, 32, 32, 3), np.uint8), random.integers(0, 10, 20)), on.everywhere)
ends = []
for precision, calls, length in (("float32", 5, 1), ("float32", 2, 3), ("bfloat16", 2, 3)):  # the sixth step is none
    run = jax_cnn.trainer(chosen, precision, on.split(0))
    state = jax.device_put(jax_cnn.begin(0), on.everywhere)
    plan = jax_feed.planned(on, recipe.order(0, 0, 20, chosen), recipe.rates(chosen, 5), (calls, length, 4))
    for number in range(calls):
        state, loss = run(state, *images, plan, number)
    assert int(state.step) == 5 and float(state.samples) == 20, (precision, state.step, state.samples)
    ends.append(state)
alone, looped, low = ends
before = jax.tree.leaves(jax_cnn.begin(0).weights)
for old, one, three, short in zip(before, *(jax.tree.leaves(end.weights) for end in ends), strict=True):
    assert np.allclose(one, three, atol=1e-4), abs(one - three).max()
    assert not np.allclose(one, old, atol=1e-4)
    assert short.dtype == np.float32
assert float(alone.loss) != float(low.loss)
assert np.isclose(float(alone.loss), float(low.loss), rtol=0.05), (alone.loss, low.loss)
assert [jax_feed.together(steps) for steps in (391, 98, 97, 30, 8, 1)] == [17, 14, 14, 15, 4, 1]
"""


def test_steps_in_a_loop_train_as_steps_by_themselves(jax_python: str) -> None:
    """The loop and bfloat16 are what a GPU is given; on the CPU only this test runs them."""
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE)}
    done = subprocess.run([jax_python, "-c", LOOPED], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
