"""The child of bench.faults.nvml: for each line of stdin one reading of NVML, {"nvml": ..., "calls": [...]}."""

from __future__ import annotations

import json
import sys
from typing import Any

import pynvml  # type: ignore[import-untyped]

from gpucheck import codec
from gpucheck.probes.nvml.read import read


def main() -> None:
    called: dict[str, None] = {}
    look_up = pynvml._nvmlGetFunctionPointer

    def noted(name: str) -> Any:
        called[name] = None
        return look_up(name)

    pynvml._nvmlGetFunctionPointer = noted
    for _ in sys.stdin:
        called.clear()
        found = codec.dump(read())
        print(json.dumps({"nvml": found, "calls": list(called)}), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
