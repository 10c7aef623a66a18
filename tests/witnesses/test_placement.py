"""probe.json and what it names: the placement of every framework, whole and torn."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from gpucheck.facts import PlacedOp
from gpucheck.host import CannotLook
from gpucheck.witnesses import placement

TRACES = Path(__file__).with_name("samples") / "traces"
GPU = "/job:localhost/replica:0/task:0/device:GPU:0"
EAGER = "I0000 00:00:1795226952.762323    3694 execute.cc:1775] "

# --- TensorFlow ---

PROBE = {
    "strict": True, "refused": None,
    "registry": {"gpu_build": True, "gpu": ["Conv2D", "MatMul", "Shape"], "host_memory": ["Shape", "Size"]},
}  # fmt: skip


def leave(folder: Path, probe: object = PROBE, out: str = f"a: (Conv2D): {GPU}\nb: (Shape): {GPU}\n") -> None:
    (folder / "probe.json").write_text(json.dumps(probe))
    (folder / "probe.out").write_text(out)
    (folder / "probe.err").write_text(f"{EAGER}Executing op Conv2D in device {GPU}\n")


def test_the_probes_evidence(tmp_path: Path) -> None:
    leave(tmp_path)
    found = placement.look(tmp_path)
    assert (found.lines, found.unread, found.strict, found.refused) == (3, 0, True, None)
    assert found.gpu_kernels == ("Conv2D", "Shape")
    assert found.host_memory == ("Shape",)


def test_a_gzipped_log_is_the_same_log(tmp_path: Path) -> None:
    leave(tmp_path)
    plain = placement.look(tmp_path)
    for name in ("probe.out", "probe.err"):
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress((tmp_path / name).read_bytes()))
        (tmp_path / name).unlink()
    assert placement.look(tmp_path) == plain


def test_strict_placement_refused(tmp_path: Path) -> None:
    registry = {"gpu_build": False, "gpu": None, "host_memory": None}
    leave(tmp_path, {"strict": False, "refused": None, "registry": registry})
    (tmp_path / "strict.json").write_text(json.dumps({"refused": "Unable to find any devices for spec /device:GPU:0"}))
    found = placement.look(tmp_path)
    assert not found.strict
    assert found.refused is not None
    assert "GPU:0" in found.refused
    assert found.gpu_kernels is None


def test_an_empty_log_is_zero_lines_and_no_reason_to_stop(tmp_path: Path) -> None:
    leave(tmp_path, out="")
    (tmp_path / "probe.err").write_text("")
    assert placement.look(tmp_path).lines == 0


@pytest.mark.parametrize("name", ["probe.json", "probe.out", "probe.err"])
def test_missing_evidence_cannot_be_looked_at(tmp_path: Path, name: str) -> None:
    leave(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(CannotLook, match=name):
        placement.look(tmp_path)


@pytest.mark.parametrize(
    "torn",
    ['{"strict": tr', "[]", "{}", json.dumps({**PROBE, "strict": 1}), json.dumps({**PROBE, "registry": []}),
     json.dumps({**PROBE, "schema": 2}), json.dumps({**PROBE, "registry": {"gpu_build": True, "gpu": [1]}})],
)  # fmt: skip
def test_torn_evidence_cannot_be_looked_at(tmp_path: Path, torn: str) -> None:
    leave(tmp_path)
    (tmp_path / "probe.json").write_text(torn)
    with pytest.raises(CannotLook, match=r"probe\.json"):
        placement.look(tmp_path)


def test_a_torn_gzip_cannot_be_looked_at(tmp_path: Path) -> None:
    leave(tmp_path)
    whole = gzip.compress((tmp_path / "probe.out").read_bytes())
    (tmp_path / "probe.out").unlink()
    (tmp_path / "probe.out.gz").write_bytes(whole[:-6])
    with pytest.raises(CannotLook, match=r"probe\.out"):
        placement.look(tmp_path)


@pytest.mark.parametrize(("strict", "refused", "found"), [(None, None, None), (True, None, True), (False, None, False)])
def test_a_framework_without_strict_placement(tmp_path: Path, strict: object, refused: object, found: object) -> None:
    leave(tmp_path, {**PROBE, "strict": strict, "refused": refused})
    assert placement.look(tmp_path).strict is found


def test_a_kind_that_is_not_known(tmp_path: Path) -> None:
    leave(tmp_path, {**PROBE, "placement": {"kind": "oracle", "file": None}})
    with pytest.raises(CannotLook, match="'oracle' as kind"):
        placement.look(tmp_path)


# --- the others ---

BOOSTER = {
    "strict": None, "refused": None, "gpu_build": True, "placement": {"kind": "configured", "file": None},
    "ops": [{"op": "tree growing", "device": "GPU:0", "count": 16, "mode": "configured"}],
}  # fmt: skip


def traced(folder: Path, kind: str, sample: str, **change: Any) -> dict[str, Any]:
    """Leave a probe of that kind with a sample as its file."""
    probe = {
        "strict": True,
        "refused": None,
        "gpu_build": True,
        "placement": {"kind": kind, "file": "probe.gz"},
        **change,
    }
    leave(folder, probe, out="")
    (folder / "probe.err").write_text("")
    shutil.copy(TRACES / sample, folder / "probe.gz")
    return probe


@pytest.mark.parametrize(
    ("kind", "sample", "lines", "unread", "op", "mode"),
    [
        ("execution-trace", "derived-torch-gpu.trace.json.gz", 556, 0, "aten::convolution", "dispatch"),
        ("executables", "derived-jax-gpu.executables.json.gz", 29, 1, "convolution", "compiled"),
    ],
)
def test_the_evidence_of_other_frameworks(
    tmp_path: Path, kind: str, sample: str, lines: int, unread: int, op: str, mode: str
) -> None:
    traced(tmp_path, kind, sample)
    found = placement.look(tmp_path)
    assert (found.lines, found.unread, found.strict, found.reasons) == (lines, unread, True, ())
    assert (op, "GPU:0", mode) in {(one.op, one.device, one.mode) for one in found.ops}
    assert found.gpu_kernels is not None
    assert op in found.gpu_kernels
    assert found.host_memory == ()


def test_a_wheel_without_gpu_kernels(tmp_path: Path) -> None:
    traced(tmp_path, "execution-trace", "torch2.13.0.trace.json.gz", gpu_build=False)
    found = placement.look(tmp_path)
    assert found.gpu_kernels is None
    traced(tmp_path, "execution-trace", "torch2.13.0.trace.json.gz")
    assert placement.look(tmp_path).gpu_kernels == ()  # none of its ops was on a GPU


@pytest.mark.parametrize("file", [None, "../probe.gz", "other.gz", 7])
def test_a_trace_that_is_not_there(tmp_path: Path, file: object) -> None:
    probe = traced(tmp_path, "execution-trace", "torch2.13.0.trace.json.gz")
    (tmp_path / "probe.json").write_text(json.dumps({**probe, "placement": {"kind": "execution-trace", "file": file}}))
    with pytest.raises(CannotLook, match=r"execution-trace|file|other\.gz"):
        placement.look(tmp_path)


def test_a_booster_says_where_it_grows_its_trees(tmp_path: Path) -> None:
    leave(tmp_path, BOOSTER)
    found = placement.look(tmp_path)
    assert found.ops == (PlacedOp(op="tree growing", device="GPU:0", count=16, mode="configured"),)
    assert (found.lines, found.unread, found.strict, found.gpu_kernels) == (1, 0, None, ("tree growing",))


@pytest.mark.parametrize(
    ("before", "line"),
    [
        ("WARNING:jax._src.xla_bridge:", "An NVIDIA GPU may be present on this machine, but a CUDA-enabled jaxlib is"),
        ("/x/torch/cuda/__init__.py:180: UserWarning: ", "CUDA initialization: Found no NVIDIA driver on your system."),
        ("[12:00:00] WARNING: context.cc:204: ", "Device is changed from GPU to CPU as we couldn't find any available"),
        ("Epoch 1/3", None),
        ("I0000 00:00:1 2 cudart_stub.cc:31] Could not find cuda drivers on your machine", None),  # of TensorFlow
    ],
)
def test_what_the_framework_said_about_the_gpu(tmp_path: Path, before: str, line: str | None) -> None:
    traced(tmp_path, "execution-trace", "torch2.13.0.trace.json.gz")
    said = f"{before}{line or ''}\n"
    (tmp_path / "probe.err").write_text(f"{said}{said}{'CUDA_ERROR_' * 9999}\n")
    assert placement.look(tmp_path).reasons == ((line,) if line else ())
