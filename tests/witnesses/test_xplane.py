"""Profiles: literals made with our own few fields, recorded ones of the CPU, a derived one of two GPUs."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gpucheck.host import CannotLook
from gpucheck.witnesses import xplane
from gpucheck.witnesses.tally import Profile
from gpucheck.witnesses.xplane import messages, parse

TRACES = Path(__file__).with_name("samples") / "traces"
FIELDS = """
import json, sys
from tensorflow.tsl.profiler.protobuf import xplane_pb2
names = {"Entry": xplane_pb2.XPlane.DESCRIPTOR.fields_by_name["event_metadata"].message_type}
found = {}
for name in sys.argv[1:]:
    kind = names.get(name) or getattr(xplane_pb2, name).DESCRIPTOR
    found[name] = {f.name: [f.number, "int64" if f.cpp_type == f.CPPTYPE_INT64 else "bytes"] for f in kind.fields}
print(json.dumps(found))
"""
PEAK = """
import sys
from pathlib import Path
from gpucheck.host import CannotLook
from gpucheck.witnesses import xplane
try:
    print({device: kernels.count for device, kernels in xplane.parse(Path(sys.argv[1]).read_bytes()).kernels.items()})
except CannotLook as error:
    print(error)
status = Path("/proc/self/status").read_text()
print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")))
"""
PS = 10**12


def profile(name: str) -> bytes:
    return gzip.decompress((TRACES / name).read_bytes())


def message(kind: str, **fields: Any) -> bytes:
    content: bytes = messages()[kind](**fields).SerializeToString()
    return content


def metadata(kind: str, *names: str) -> list[bytes]:
    return [
        message("Entry", key=number, value=message(kind, id=number, name=name.encode()))
        for number, name in enumerate(names, 1)
    ]


def plane(name: str, line: str, *events: bytes, stats: tuple[str, ...] = ("kernel_details", "memcpy_details")) -> bytes:
    return message("XSpace", planes=[message(
        "XPlane", name=name.encode(), lines=[message("XLine", name=line.encode(), events=events)],
        event_metadata=metadata("XEventMetadata", "gemm", "MemcpyH2D", "CudaGraphExec:3"),
        stat_metadata=metadata("XStatMetadata", *stats),
    )])  # fmt: skip


def event(name: int, *stats: int, **more: int) -> bytes:
    told = [message("XStat", metadata_id=number) for number in stats]
    return message("XEvent", metadata_id=name, duration_ps=PS, stats=told, **more)


def kernels(found: Profile) -> dict[str, dict[str, tuple[int, float]]]:
    return {device: tally.names for device, tally in found.kernels.items()}


STREAM = "Stream #13(Compute,MemcpyH2D)"


@pytest.mark.parametrize(
    ("where", "line", "one", "found"),
    [
        ("/device:GPU:0", STREAM, event(1, 1), {"GPU:0": {"gemm": (1, 1.0)}}),
        ("/device:GPU:11", "Stream #7", event(1, 2, 1), {"GPU:11": {"gemm": (1, 1.0)}}),
        ("/device:GPU:0 (NVIDIA H100)", STREAM, event(1, 1), {"GPU:0": {"gemm": (1, 1.0)}}),
        ("/device:GPU:0", STREAM, event(1, 1, num_occurrences=5), {"GPU:0": {"gemm": (5, 1.0)}}),
        ("/device:GPU:0", STREAM, event(3), {"GPU:0": {"CudaGraphExec:3": (1, 1.0)}}),
        ("/device:GPU:0", STREAM, event(9, 1), {"GPU:0": {"(no name)": (1, 1.0)}}),
        ("/device:GPU:0", STREAM, event(2, 2), {}),  # a copy
        ("/device:GPU:0", STREAM, event(1), {}),
        ("/device:GPU:0", "XLA Ops", event(1, 1), {}),  # repeats what is on a stream
        ("/device:GPU:0", "Steps", event(3), {}),
        ("/device:TPU:0", STREAM, event(1, 1), {}),
        ("/host:CUPTI", STREAM, event(1, 1), {}),
        ("/host:CPU", STREAM, event(1, 1), {}),
    ],
)
def test_what_a_kernel_is(where: str, line: str, one: bytes, found: object) -> None:
    assert kernels(parse(plane(where, line, one))) == found


def test_the_hosts_ops() -> None:
    names = (
        "model/conv/Conv2D:_MklNativeConv2D",
        "dot.3",
        "$queue.py:171 get",
        "end: dot.3",
        "Iterator::Zip",
        "x: Add",
    )
    space = message("XSpace", planes=[message(
        "XPlane", name=b"/host:CPU", event_metadata=metadata("XEventMetadata", *names),
        stat_metadata=metadata("XStatMetadata", "hlo_op"),
        lines=[message("XLine", name=b"tf_Compute", events=[event(number + 1, 1) for number in range(2)]),
               message("XLine", name=b"python", events=[event(number + 1) for number in range(6)]),
               message("XLine", name=b"marks", events=[message("XEvent", metadata_id=1)])],
    )])  # fmt: skip
    found = parse(space)
    assert found.host.names == {"Conv2D": (2, 2.0), "dot": (1, 1.0)}
    assert found.host_events == 6  # not the Python frame, the mark, nor what took no time


@pytest.mark.parametrize(
    ("name", "ops"),
    [
        ("tf2.21.0.xplane.pb.gz", {"Conv2D": 4, "Conv2DBackpropInput": 2, "MaxPool": 2, "MaxPoolGrad": 2}),
        ("jax0.10.2.xplane.pb.gz", {"convolution-base-dilated": 6}),  # the inputs' gradients of two layers, three steps
    ],
)
def test_recorded_profiles_of_the_cpu(name: str, ops: dict[str, int]) -> None:
    found = parse(profile(name))
    assert (found.kernels, found.complaints) == ({}, [])
    assert found.host_events >= found.host.count > 100
    assert {op: found.host.names[op][0] for op in ops} == ops


def test_the_derived_profile_of_two_gpus() -> None:
    found = parse(profile("derived-gpu.xplane.pb.gz"))
    assert list(found.kernels) == ["GPU:0"]  # the other one only copied
    assert found.kernels["GPU:0"].count == 13  # 12 kernels and a graph; what the derived lines repeat is left out
    assert found.kernels["GPU:0"].seconds == pytest.approx((12 * 4 + 6) / 1e6)
    assert found.complaints == ["Detected GPU events dropped on derived: 3 events"]


@pytest.mark.parametrize(
    "content",
    [b"\xff", b"\x0a\x05abc", profile("tf2.21.0.xplane.pb.gz")[:-7], profile("tf2.21.0.xplane.pb.gz")[1:], b"{}"],
)
def test_a_torn_profile_cannot_be_looked_at(content: bytes) -> None:
    with pytest.raises(CannotLook, match="no whole XSpace"):
        parse(content)


def test_names_that_are_no_text() -> None:
    space = plane("/device:GPU:0", STREAM, event(1, 1)).replace(b"gemm", b"g\xff\xfem")
    assert list(kernels(parse(space))["GPU:0"]) == ["g��m"]


def test_more_parts_than_a_profile_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xplane, "MOST_PARTS", 100)
    parse(plane("/device:GPU:0", STREAM, *[event(1, 1)] * 40))
    with pytest.raises(CannotLook, match="more than 100 parts"):
        parse(plane("/device:GPU:0", STREAM, *[event(1, 1)] * 60))


def peak(content: bytes, folder: Path) -> tuple[str, float]:
    """(what a process of its own said when it parsed that, its peak memory by the content's size)."""
    (folder / "content").write_bytes(content)
    command = [sys.executable, "-c", PEAK, str(folder / "content")]
    said, kib = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return said, int(kib) * 1024 / len(content)


def test_a_large_profile_costs_a_few_times_its_size(tmp_path: Path) -> None:
    one = event(1, *[3] * 11, 1)  # with as many stats as CUPTI's collector gives it
    said, times = peak(plane("/device:GPU:0", STREAM, *[one] * (50_000_000 // len(one))), tmp_path)
    assert said == f"{{'GPU:0': {50_000_000 // len(one)}}}"
    assert times < 8


@pytest.mark.parametrize("part", [b"\x0a\x00", b"\x12\x00"])  # planes, errors
def test_a_profile_of_nothing_but_empty_parts_costs_bounded_memory(tmp_path: Path, part: bytes) -> None:
    said, times = peak(part * (xplane.MOST_BYTES // len(part)), tmp_path)
    assert said == "{}" or "parts" in said
    assert times < 25


@pytest.mark.tensorflow
def test_the_schema_is_tensorflows_own(tensorflow_python: str) -> None:
    told = subprocess.run(
        [tensorflow_python, "-c", FIELDS, *xplane.SCHEMA], capture_output=True, text=True, check=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )  # fmt: skip
    theirs = json.loads(told.stdout)
    for name, fields in xplane.SCHEMA.items():
        for label, (number, kind) in fields.items():
            assert theirs[name][label] == [number, kind.removesuffix("*")], (name, label)


@pytest.mark.tensorflow
def test_the_derived_samples_are_up_to_date(tensorflow_python: str, tmp_path: Path) -> None:
    subprocess.run([tensorflow_python, str(TRACES / "derive.py"), str(tmp_path)], check=True, capture_output=True)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == sorted(path.name for path in TRACES.glob("derived-*"))
    for name in names:
        assert gzip.decompress((tmp_path / name).read_bytes()) == profile(name), f"run {TRACES / 'derive.py'}"
