"""JAX's live executables: the instructions of each, by its own optimised HLO text, on each of its devices.

What XLA hands to a library is a custom call to it, and reads here as what the library does:
    %x = (f32[...], u8[0]{0}) custom-call(%a, %b), ..., custom_call_target="__cudnn$convForward"    convolution
The names are XLA's (xla/service/gpu/cublas_cudnn.cc; __onednn$ is xla/service/cpu/onednn_*.cc). Fused instructions
stand in a computation of their own, once, so each is counted where it is written.
"""

from __future__ import annotations

import re
from collections import Counter

from gpucheck.host import CannotLook
from gpucheck.witnesses.evidence import Document, Placed, placed

# The opcode is the first word before a bracket that follows the shape, and a shape has none: (f32[2]{0:T(8)}, u8[0]).
_INSTRUCTION = re.compile(r"\s*(?:ROOT )?%?[\w.\-]+ = \S.*? ([a-z][a-z0-9\-]*)\(")
_TARGET = re.compile(r'custom_call_target="([^"]*)"')
_LIBRARY = (
    (re.compile(r"__cudnn\$conv(?!Reorder)|__onednn\$convolution"), "convolution"),
    (re.compile(r"__cublas\$(?:gemm|lt\$(?:matmul|grouped))|__onednn\$matmul|__triton\w*gemm"), "dot"),
)
_MOST_OPS = 100_000  # different ones on different devices
_LONGEST_LINE = 1 << 20  # characters: a constant can be of any length, and its opcode stands in front


def parse(found: Document) -> Placed:
    """Raises CannotLook where it is no such document. An executable that was cut off, or of which no instruction
    can be read, is one that could not be read."""
    counts: Counter[tuple[str, str]] = Counter()
    lines = unread = 0
    for executable in found.each("executables"):
        opcodes = instructions(executable.get("hlo", str))
        devices = set(executable.texts("devices"))
        if len(counts) + len(devices) * len(opcodes) > _MOST_OPS:
            raise CannotLook(f"{found.name} names more than {_MOST_OPS} ops on devices")
        for device in devices:
            counts.update({(op, device): count for op, count in opcodes.items()})
        lines += opcodes.total()
        unread += executable.get("cut", bool) or not opcodes
    return Placed(placed(counts, "compiled"), lines, unread)


def instructions(hlo: str) -> Counter[str]:
    """How often each opcode stands in the text."""
    counts: Counter[str] = Counter()
    for line in hlo.splitlines():
        if match := _INSTRUCTION.match(line, 0, _LONGEST_LINE):
            counts[_library(line) if match[1] == "custom-call" else match[1]] += 1
    return counts


def _library(line: str) -> str:
    target = _TARGET.search(line)
    if target is None:
        return "custom-call"
    return next((op for names, op in _LIBRARY if names.match(target[1])), f"custom-call {target[1]}")
