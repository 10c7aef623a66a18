"""train.json's profile and what it names: windows of every framework, one or several."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from gpucheck.host import CannotLook
from gpucheck.witnesses import profiler
from gpucheck.witnesses.profiler import Window

TRACES = Path(__file__).with_name("samples") / "traces"
XPLANE, KINETO = "train.xplane.pb.gz", "train.kineto.json.gz"
SAMPLES = {
    XPLANE: "derived-gpu.xplane.pb.gz", KINETO: "derived-torch-gpu.kineto.json.gz",
    "cpu.xplane.pb.gz": "tf2.21.0.xplane.pb.gz",
}  # fmt: skip
PROFILE = {"source": "XPlane", "file": XPLANE, "seconds": 0.25, "steps": 10, "blind": None}


def leave(folder: Path, profile: object = PROFILE, framework: str = "tensorflow") -> Path:
    (folder / "asked.json").write_text(json.dumps({"schema": 1, "framework": framework}))
    (folder / "train.json").write_text(json.dumps({} if profile == "missing" else {"profile": profile}))
    for name, sample in SAMPLES.items():
        shutil.copy(TRACES / sample, folder / name)
    return folder


def test_the_trainings_window(tmp_path: Path) -> None:
    found = profiler.look(leave(tmp_path))
    assert (found.source, found.windows, found.seconds, found.blind) == ("XPlane", 1, 0.25, None)
    assert [(gpu.device, gpu.kernels) for gpu in found.devices] == [("GPU:0", 13)]
    assert found.devices[0].longest[0].name == "ampere_sgemm_32x32_sliced1x4_tn"
    assert [kernel.seconds for kernel in found.devices[0].longest] == sorted(
        (kernel.seconds for kernel in found.devices[0].longest), reverse=True
    )
    assert found.errors == ("Detected GPU events dropped on derived: 3 events",)
    found = profiler.look(leave(tmp_path, {**PROFILE, "file": KINETO}, "pytorch"))
    assert found.source == "torch.profiler"
    assert {gpu.device: gpu.kernels for gpu in found.devices} == {"GPU:0": 20, "GPU:1": 20}


def test_the_windows_of_several_ranks(tmp_path: Path) -> None:
    profile = {**PROFILE, "file": KINETO, "files": [KINETO, XPLANE]}
    found = profiler.look(leave(tmp_path, profile, "pytorch"))
    assert (found.windows, {gpu.device: gpu.kernels for gpu in found.devices}) == (2, {"GPU:0": 33, "GPU:1": 20})
    with pytest.raises(CannotLook, match="as files"):
        profiler.look(leave(tmp_path, {**profile, "files": [KINETO, "../x.xplane.pb"]}, "pytorch"))


def test_a_window_on_the_cpu(tmp_path: Path) -> None:
    found = profiler.look(leave(tmp_path, {**PROFILE, "file": "cpu.xplane.pb.gz", "blind": "no libcupti"}))
    assert (found.devices, found.blind) == ((), "no libcupti")
    assert found.host_ops > 100
    assert found.host_longest[0].name.startswith("Conv2DBackprop")


def test_a_profiler_whose_cupti_did_not_start_is_blind(tmp_path: Path) -> None:
    leave(tmp_path)
    for devices, file, blind in (
        (["CPU:0", "GPU:0"], "cpu.xplane.pb.gz", profiler.NO_PLANE),
        (["CPU:0"], "cpu.xplane.pb.gz", None),
        (["CPU:0", "GPU:0"], XPLANE, None),
    ):
        train = {"devices": devices, "profile": {**PROFILE, "file": file}}
        (tmp_path / "train.json").write_text(json.dumps(train))
        assert profiler.look(tmp_path).blind == blind


@pytest.mark.parametrize(
    ("profile", "framework", "reason"),
    [
        ("missing", "tensorflow", "older"),
        (None, "tensorflow", "the profiler was off"),
        (None, "xgboost", "no profiler of its own"),
        ({**PROFILE, "file": None, "error": "CUPTI_ERROR_INSUFFICIENT_PRIVILEGES"}, "jax", "INSUFFICIENT_PRIVILEGES"),
        ({**PROFILE, "file": None}, "jax", "did not say why"),
        ({**PROFILE, "file": "gone.xplane.pb.gz"}, "jax", r"left no gone\.xplane"),
        ({**PROFILE, "file": "../train.xplane.pb.gz"}, "jax", "as file"),
        ({**PROFILE, "file": "train.json"}, "jax", "no trace of a known kind"),
        ({**PROFILE, "seconds": -1}, "jax", "as seconds"),
        ({**PROFILE, "seconds": None}, "jax", "seconds"),
        ({**PROFILE, "blind": 7}, "jax", "blind"),
        ([], "jax", "profile"),
    ],
)
def test_where_there_is_no_window(tmp_path: Path, profile: object, framework: str, reason: str) -> None:
    with pytest.raises(CannotLook, match=reason):
        profiler.look(leave(tmp_path, profile, framework))


@pytest.mark.parametrize("name", [XPLANE, KINETO])
def test_a_torn_trace(tmp_path: Path, name: str) -> None:
    leave(tmp_path, {**PROFILE, "file": name})
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CannotLook, match="cannot be read"):
        profiler.look(tmp_path)


def test_several_windows_of_several_processes(tmp_path: Path) -> None:
    leave(tmp_path)
    windows = [Window(XPLANE, 0.5, None), Window(KINETO, 1.0, None), Window("cpu.xplane.pb.gz", 0.25, "no libcupti")]
    found = profiler.add_up(tmp_path, windows)
    assert (found.source, found.windows, found.seconds) == ("XPlane and torch.profiler", 3, 1.75)
    assert {gpu.device: gpu.kernels for gpu in found.devices} == {"GPU:0": 33, "GPU:1": 20}
    assert found.blind is None  # a GPU's kernels were seen
    (tmp_path / "torn.xplane.pb.gz").write_bytes(gzip.compress(b"\xff"))
    found = profiler.add_up(tmp_path, [Window("torn.xplane.pb.gz", 9.0, "x"), Window("cpu.xplane.pb.gz", 0.25, None)])
    assert (found.windows, found.seconds, found.blind) == (1, 0.25, None)
    assert found.errors == ("torn.xplane.pb.gz: the profile is torn: it is no whole XSpace",)
    with pytest.raises(CannotLook, match="torn"):
        profiler.add_up(tmp_path, [Window("torn.xplane.pb.gz", 9.0, None)])
    with pytest.raises(CannotLook, match="never on"):
        profiler.add_up(tmp_path, [])


def test_gpus_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    events: list[dict[str, Any]] = [
        {"ph": "X", "cat": "kernel", "name": "k", "dur": 1, "args": {"device": number}} for number in (10, 2, 0)
    ]
    (tmp_path / "x.kineto.json").write_text(json.dumps({"traceEvents": events}))
    found = profiler.add_up(tmp_path, [Window("x.kineto.json", 1.0, None)])
    assert [gpu.device for gpu in found.devices] == ["GPU:0", "GPU:2", "GPU:10"]
