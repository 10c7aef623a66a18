"""PyTorch's execution trace: each op that the dispatcher ran, with the devices of its tensors. PyTorch 2.5 to 2.13.

ExecutionTraceObserver writes a node for each op, and one for each op that it calls in turn (aten::conv2d,
aten::convolution, aten::_convolution, aten::cudnn_convolution): all are kept, each by its own name. A tensor is
[id, storage id, offset, elements, bytes of an element, device] (torch/csrc/profiler/standalone/
execution_trace_observer.cpp, schema 1.1.0-chakra.0.0.4 and 1.1.1). An op of two devices, as aten::copy_ is, counts on
each. A compiled Triton kernel is a node without "::" that names its kernel_backend.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from gpucheck.host import CannotLook
from gpucheck.witnesses.evidence import Placed, placed
from gpucheck.witnesses.objects import Objects

_NODE = re.compile(r'\{\s{0,64}"id"\s{0,8}:\s{0,8}\d{1,20}\s{0,8},\s{0,8}"name"\s{0,8}:')
_OP = re.compile(r"\w+::[\w.]+")  # not "autograd::engine::evaluate_function: ReluBackward0", which is no op
_DEVICE = re.compile(r"([a-z]+)(?::(\d{1,4}))?")
_NO_DEVICE = ("meta", "")  # a shape without memory; a tensor that is undefined
_DEEPEST = 8  # lists in lists of tensors
_MOST_OPS = 100_000  # different ones; PyTorch has some 3,000


def parse(text: Iterable[str]) -> Placed:
    """The trace in pieces of text. Memory grows with the number of different ops, not of nodes.

    Raises CannotLook where there are more of them than a program has.
    """
    counts: Counter[tuple[str, str]] = Counter()
    nodes = Objects(start=_NODE, before='"nodes"')
    lines = unread = 0
    for node in nodes.read(text):
        try:
            if name := _name(node):
                found = devices(node)
                counts.update((name, device) for device in found)
                lines += bool(found)
        except (KeyError, TypeError, ValueError, AttributeError):
            unread += 1
        if len(counts) > _MOST_OPS:
            raise CannotLook(f"the execution trace names more than {_MOST_OPS} ops")
    return Placed(placed(counts, "dispatch"), lines, unread + nodes.torn)


def devices(node: dict[str, Any]) -> set[str]:
    """Of the tensors of one node. A single number of the CPU (`x * 2`, Adam's step) may stand beside a GPU's tensors:
    the op then ran on the GPU. Raises KeyError, TypeError or ValueError where the node is of no known form."""
    inputs, outputs = list(_tensors(node["inputs"])), list(_tensors(node["outputs"]))
    found = {device for device, number in inputs if not (number and device.startswith("CPU:"))}
    return found | {device for device, _ in outputs} or {device for device, _ in inputs}


def _name(node: dict[str, Any]) -> str | None:
    name = node["name"]
    if _OP.fullmatch(name):
        return str(name)
    backend = any(attr["name"] == "kernel_backend" and attr["value"] for attr in node.get("attrs", ()))
    return str(name) if backend else None


def _tensors(side: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    """(device, whether it is a single number) of each tensor of a node's inputs or outputs."""
    for value, shape, kind in zip(side["values"], side["shapes"], side["types"], strict=True):
        if "Tensor" in kind:
            yield from _inside(value, shape, _DEEPEST)


def _inside(value: Any, shape: Any, deep: int) -> Iterator[tuple[str, bool]]:
    if not isinstance(value, list) or not deep:
        return  # "<None>", or a list that was too long to be written
    if len(value) == 6 and isinstance(value[5], str) and all(type(number) is int for number in value[:5]):
        if value[5] not in _NO_DEVICE:
            yield _device(value[5]), shape == []
    else:
        for index, inner in enumerate(value):
            yield from _inside(inner, shape[index] if index < len(shape) else None, deep - 1)


def _device(name: str) -> str:
    match = _DEVICE.fullmatch(name)
    if match is None:
        raise ValueError(name)
    return f"{'GPU' if match[1] in ('cuda', 'hip') else match[1].upper()}:{int(match[2] or 0)}"
