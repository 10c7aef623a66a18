"""torch.profiler's chrome trace: a literal for each kind of event, recorded and derived traces for the counts."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gpucheck.witnesses.evidence import chunks
from gpucheck.witnesses.kineto import parse
from gpucheck.witnesses.tally import Profile

TRACES = Path(__file__).with_name("samples") / "traces"
KERNEL: dict[str, Any] = {
    "ph": "X", "cat": "kernel", "name": "gemm", "pid": 0, "tid": 7, "ts": 4.5, "dur": 500000, "args": {"device": 0},
}  # fmt: skip


def trace(*events: dict[str, Any], **more: Any) -> str:
    return json.dumps({"schemaVersion": 1, "traceEvents": events, **more, "traceName": "x.json"})


def kernels(found: Profile) -> dict[str, dict[str, tuple[int, float]]]:
    return {device: tally.names for device, tally in found.kernels.items()}


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, {"GPU:0": {"gemm": (1, 0.5)}}),
        ({"args": {"device": 3, "stream": 7}}, {"GPU:3": {"gemm": (1, 0.5)}}),
        ({"cat": "gpu_memcpy", "name": "Memcpy HtoD (Pageable -> Device)"}, {}),
        ({"cat": "gpu_memset"}, {}),
        ({"cat": "gpu_user_annotation"}, {}),
        ({"cat": "cuda_runtime", "name": "cudaLaunchKernel"}, {}),
        ({"cat": "cpu_op", "name": "aten::mm"}, {}),
        ({"ph": "f", "cat": "ac2g"}, {}),
    ],
)
def test_what_a_kernel_is(change: dict[str, Any], found: object) -> None:
    seen = parse([trace({**KERNEL, **change})])
    assert (kernels(seen), seen.complaints) == (found, [])


def test_the_hosts_ops() -> None:
    names = ("aten::mm", "aten::mm", "autograd::engine::evaluate_function: AddmmBackward0", "AddmmBackward0")
    seen = parse([trace(*({**KERNEL, "cat": "cpu_op", "name": name} for name in names))])
    assert seen.host.names == {"aten::mm": (2, 1.0)}
    assert seen.host_events == 4


@pytest.mark.parametrize(
    "change",
    [
        {"dur": None}, {"dur": -1}, {"dur": "much"}, {"dur": 10**400}, {"args": {}}, {"args": 7},
        {"args": {"device": -1}}, {"args": {"device": "0"}}, {"args": {"device": True}}, {"name": 7},
    ],
)  # fmt: skip
def test_a_kernel_of_another_form_is_no_kernel(change: dict[str, Any]) -> None:
    seen = parse([trace(KERNEL, {**KERNEL, **change})])
    assert kernels(seen) == {"GPU:0": {"gemm": (1, 0.5)}}
    assert seen.complaints == ["pieces of the trace that could not be read: 1"]


def test_events_that_begin_with_their_name() -> None:
    last = {"name": 'Iteration "Start": x', "ph": "i", "s": "g", "ts": 1}
    assert (
        parse([trace({"ph": "M", "name": "process_name", "args": {"name": "python"}}, KERNEL, last)]).complaints == []
    )


def test_kinetos_own_complaints() -> None:
    assert parse([trace(KERNEL, ERROR=["CUPTI_ERROR_NOT_INITIALIZED"], WARNING=["slow"])]).complaints == [
        "CUPTI_ERROR_NOT_INITIALIZED"
    ]
    assert parse([trace(KERNEL, ERROR="x")]).complaints == parse([trace(KERNEL, ERROR=[7])]).complaints == []


def test_the_recorded_trace_of_the_cpu() -> None:
    name = "torch2.13.0.kineto.json.gz"
    seen = parse(chunks(TRACES, name))
    events = json.loads(gzip.decompress((TRACES / name).read_bytes()))["traceEvents"]
    assert seen.host_events == sum(event.get("cat") == "cpu_op" for event in events) > 600
    assert (seen.kernels, seen.complaints) == ({}, [])
    assert seen.host.names["aten::convolution"][0] == 4


def test_the_derived_trace_of_two_gpus() -> None:
    seen = parse(chunks(TRACES, "derived-torch-gpu.kineto.json.gz"))
    assert {device: tally.count for device, tally in seen.kernels.items()} == {"GPU:0": 20, "GPU:1": 20}
    assert seen.kernels["GPU:0"].seconds == pytest.approx(20 * 10.5e-6)
    assert seen.complaints == []


def test_a_torn_trace_is_read_as_far_as_it_goes() -> None:
    text = "".join(chunks(TRACES, "derived-torch-gpu.kineto.json.gz"))
    seen = parse([text[: text.rindex('"gpu_memset"')]])
    assert {device: tally.count for device, tally in seen.kernels.items()} == {"GPU:0": 20, "GPU:1": 20}
    assert seen.complaints == ["pieces of the trace that could not be read: 1"]
    assert parse(["[]"]).complaints == ["pieces of the trace that could not be read: 1"]


def test_memory_does_not_grow_with_the_trace() -> None:
    def text() -> Iterator[str]:
        yield '{"traceEvents": ['
        for number in range(12_000):
            yield json.dumps({**KERNEL, "name": f"kernel{number}"}) + ","
        yield json.dumps(KERNEL) + "]}"

    tracemalloc.start()
    seen = parse(text())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    tally = seen.kernels["GPU:0"]
    assert tally.count == 12_001
    assert len(tally.names) == 10_001  # so many names, and the others together
    assert peak < 5_000_000
