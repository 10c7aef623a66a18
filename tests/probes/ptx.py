"""As much of PTX as kernels.ptx uses, run one thread at a time: what the text says, on no GPU.

Semantics: docs.nvidia.com/cuda/parallel-thread-execution. An instruction that is not here is an error.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping

WIDTHS = {"u32": 32, "u64": 64, "b64": 64, "pred": 1}
SIMPLE: dict[str, Callable[[int, int], int]] = {
    "add": operator.add, "sub": operator.sub, "xor": operator.xor, "shl": operator.lshift, "shr": operator.rshift,
}  # fmt: skip
COMPARE: dict[str, Callable[[int, int], bool]] = {"ne": operator.ne, "ge": operator.ge}


class Kernel:
    def __init__(self, text: str, name: str) -> None:
        found = re.search(rf"\.entry {name}\((.*?)\)\s*\{{(.*?)\n\}}", text, re.DOTALL)
        assert found, name
        self.parameters = re.findall(r"\.param \.(\w+) (\w+)", found[1])
        self.widths: dict[str, int] = {}
        self.labels: dict[str, int] = {}
        self.code: list[tuple[str | None, list[str], list[str]]] = []
        for line in (line.partition("//")[0].strip() for line in found[2].splitlines()):
            if line.startswith(".reg"):
                kind, names = line.removeprefix(".reg .").rstrip(";").split(" ", 1)
                self.widths |= {register.strip(): WIDTHS[kind] for register in names.split(",")}
            elif line.endswith(":"):
                self.labels[line[:-1]] = len(self.code)
            elif line:
                guard, rest = re.fullmatch(r"(?:@(%\w+) )?(.*);", line).groups()  # type: ignore[union-attr]
                op, _, operands = rest.partition(" ")
                self.code.append((guard, op.split("."), [each.strip() for each in operands.split(",") if each]))

    def run(self, grid: tuple[int, int, int, int], arguments: Mapping[str, int], memory: dict[int, int]) -> None:
        """`grid` is blocks, threads of a block, this block, this thread. `memory` is 64-bit words by address."""
        special = dict(zip(("%nctaid.x", "%ntid.x", "%ctaid.x", "%tid.x"), grid, strict=True))
        registers: dict[str, int] = {}

        def value(text: str) -> int:
            return special[text] if text in special else registers[text] if text.startswith("%") else int(text, 0)

        def address(text: str) -> int:
            base, _, offset = text.strip("[]").partition("+")
            return value(base) + int(offset or 0)

        at = 0
        while True:
            guard, op, operands = self.code[at]
            at += 1
            if guard and not registers[guard]:
                continue
            if op[0] == "ret":
                return
            if op[0] == "bra":
                at = self.labels[operands[0]]
                continue
            if op[0] == "st":
                assert address(operands[0]) % 8 == 0
                memory[address(operands[0])] = value(operands[1])
                continue
            to, inputs = operands[0], operands[1:]
            if op[:2] == ["ld", "param"]:
                name = inputs[0].strip("[]")
                assert (op[2], name) in self.parameters
                result = arguments[name]
            elif op[:2] == ["ld", "global"]:
                result = memory[address(inputs[0])]
            elif op[0] in SIMPLE:
                assert self.widths[to] == WIDTHS[op[1]]
                result = SIMPLE[op[0]](*map(value, inputs))
            elif op[0] in ("mov", "cvt", "cvta"):
                result = value(inputs[0])
            elif op[:2] in (["mad", "lo"], ["mul", "wide"]):
                result = value(inputs[0]) * value(inputs[1]) + (value(inputs[2]) if op[0] == "mad" else 0)
            elif op[0] == "setp":
                result = COMPARE[op[1]](*map(value, inputs))
            elif op[0] == "selp":
                result = value(inputs[0]) if registers[inputs[2]] else value(inputs[1])
            else:
                raise NotImplementedError(".".join(op))
            registers[to] = result & 2 ** self.widths[to] - 1
