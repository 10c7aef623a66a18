"""PyTorch's execution trace: literals for the devices of an op, recorded traces for the counts."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gpucheck.host import CannotLook
from gpucheck.witnesses import execution_trace
from gpucheck.witnesses.evidence import chunks
from gpucheck.witnesses.execution_trace import parse

TRACES = Path(__file__).with_name("samples") / "traces"
RECORDED, GPU = "torch2.13.0.trace.json.gz", "derived-torch-gpu.trace.json.gz"
CUDA, CUDA1, CPU = ([1, 2, 0, 320, 4, device] for device in ("cuda:0", "cuda:1", "cpu"))
SHAPE, NUMBER = [32, 10], list[int]()


def side(*tensors: tuple[list[Any], list[int]]) -> dict[str, Any]:
    return {
        "values": [value for value, _ in tensors], "shapes": [shape for _, shape in tensors],
        "types": ["Tensor(float)"] * len(tensors), "strides": [[] for _ in tensors],
    }  # fmt: skip


def node(name: str = "aten::mm", inputs: Any = None, outputs: Any = None, **attrs: str) -> dict[str, Any]:
    rows = [{"name": key, "type": "string", "value": value} for key, value in attrs.items()]
    return {
        "id": 7,
        "name": name,
        "ctrl_deps": 1,
        "inputs": inputs or side(),
        "outputs": outputs or side(),
        "attrs": rows,
    }


def trace(*nodes: dict[str, Any]) -> str:
    return json.dumps({"schema": "1.1.1-chakra.0.0.4", "nodes": nodes, "finish_ts": 7})


def counts(*nodes: dict[str, Any]) -> dict[tuple[str, str], int]:
    return {(op.op, op.device): op.count for op in parse([trace(*nodes)]).ops}


@pytest.mark.parametrize(
    ("inputs", "outputs", "devices"),
    [
        (side((CUDA, SHAPE), (CUDA, SHAPE)), side((CUDA, SHAPE)), {"GPU:0"}),
        (side((CUDA1, SHAPE)), side(), {"GPU:1"}),
        (side(), side((CPU, SHAPE)), {"CPU:0"}),  # aten::empty has no tensor to start from
        (side((CPU, SHAPE)), side((CUDA, SHAPE)), {"CPU:0", "GPU:0"}),  # a copy
        (side((CUDA, SHAPE), (CPU, NUMBER)), side((CUDA, SHAPE)), {"GPU:0"}),  # x * tensor(2.0)
        (side((CPU, NUMBER), (CPU, NUMBER)), side((CPU, NUMBER)), {"CPU:0"}),  # Adam's step
        (side((CPU, NUMBER), (CUDA, NUMBER)), side((CPU, NUMBER)), {"CPU:0", "GPU:0"}),  # copy_ of a loss
        (side((CPU, NUMBER)), side(), {"CPU:0"}),
        (side(([1, 2, 0, 0, 4, "meta"], SHAPE), ([141, 0, 0, 0, 0, ""], NUMBER)), side(), set()),
        (side(([1, 2, 0, 9, 4, "cuda"], SHAPE)), side(), {"GPU:0"}),
        (side(([1, 2, 0, 9, 4, "mps:0"], SHAPE)), side(), {"MPS:0"}),
    ],
)
def test_the_devices_of_an_op(inputs: Any, outputs: Any, devices: set[str]) -> None:
    assert execution_trace.devices(node("aten::x", inputs, outputs)) == devices
    assert counts(node("aten::x", inputs, outputs)) == {("aten::x", device): 1 for device in devices}


def test_lists_of_tensors() -> None:
    inputs = {
        "values": [[CUDA, CUDA], [[32, 32], 6]], "shapes": [[SHAPE, SHAPE], [[], []]], "strides": [[], []],
        "types": ["GenericList[Tensor(float),Tensor(float)]", "GenericList[Int,Int]"],
    }  # fmt: skip
    assert counts(node("aten::_foreach_add_", inputs)) == {("aten::_foreach_add_", "GPU:0"): 1}


def test_only_ops_count() -> None:
    on = side((CUDA, SHAPE))
    names = ["autograd::engine::evaluate_function: AddmmBackward0", "AddmmBackward0", "Optimizer.step#Adam.step"]
    assert counts(*(node(name, on) for name in names)) == {}
    assert counts(node("triton_poi_fused_relu_0", on, kernel_backend="triton")) == {
        ("triton_poi_fused_relu_0", "GPU:0"): 1
    }
    assert counts(node("mylib::my_op.out", on)) == {("mylib::my_op.out", "GPU:0"): 1}


@pytest.mark.parametrize(
    "broken",
    [
        {"name": 7}, {"inputs": []}, {"inputs": {"values": [CUDA]}}, {"inputs": side((CUDA, SHAPE)) | {"types": []}},
        {"inputs": side(([1, 2, 0, 9, 4, "cuda:x"], SHAPE))}, {"attrs": [7], "name": "x"},
        {"inputs": side(([CUDA], SHAPE)) | {"shapes": [None]}},
    ],
)  # fmt: skip
def test_a_node_of_another_form_is_counted(broken: dict[str, Any]) -> None:
    found = parse([trace(node(inputs=side((CUDA, SHAPE))), {**node(), **broken})])
    assert (found.lines, found.unread) == (1, 1)


def test_the_recorded_trace_is_read_whole() -> None:
    found = parse(chunks(TRACES, RECORDED))
    document = json.loads(gzip.decompress((TRACES / RECORDED).read_bytes()))
    convolutions = [one for one in document["nodes"] if one["name"] == "aten::convolution"]
    assert len(convolutions) == 4  # two layers, two steps
    assert found.unread == 0
    assert {op.device for op in found.ops} == {"CPU:0"}
    assert {op.mode for op in found.ops} == {"dispatch"}
    names = {op.op: op.count for op in found.ops}
    for name in ("conv2d", "convolution", "_convolution", "mkldnn_convolution", "convolution_backward"):
        assert names[f"aten::{name}"] == 4
    assert names["aten::addmm"] == 2


def test_the_derived_trace_of_a_gpu() -> None:
    found = parse(chunks(TRACES, GPU))
    assert found.unread == 0
    assert {(op.op, op.count) for op in found.ops if op.device == "CPU:0"} == {("aten::copy_", 1)}
    assert {op.count for op in found.ops if op.op == "aten::cudnn_convolution" and op.device == "GPU:0"} == {4}


def test_a_torn_trace_loses_what_is_torn_and_says_so() -> None:
    text = "".join(chunks(TRACES, RECORDED))
    whole = parse([text])
    middle = text.index('"aten::convolution_backward"')
    torn = parse([text[:middle] + text[middle + 300 :]])
    assert torn.unread == 1
    assert torn.lines == whole.lines - 1
    assert parse([text[: len(text) // 2]]).unread == 1
    assert parse([text.replace("},\n      {", "}\n      {")]) == whole  # commas that are missing
    assert parse([text.replace("},\n      {", "},,\n      {")]) == whole


def test_memory_does_not_grow_with_the_trace() -> None:
    def text() -> Iterator[str]:
        yield '{"nodes": ['
        for number in range(5_000):
            yield json.dumps(node(f"aten::op{number % 50}", side((CUDA, SHAPE)))) + ","
        yield json.dumps(node()) + "]}"

    tracemalloc.start()
    found = parse(text())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (found.lines, found.unread) == (5_000, 0)
    assert peak < 1_000_000


def test_more_ops_than_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution_trace, "_MOST_OPS", 10)
    with pytest.raises(CannotLook, match="more than 10 ops"):
        counts(*(node(f"aten::op{number}", side((CUDA, SHAPE))) for number in range(11)))
