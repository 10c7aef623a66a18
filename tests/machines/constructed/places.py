"""Where gpucheck runs: containers, WSL2, Colab, Jetson, cloud machines."""

from __future__ import annotations

from tests.machines.parts import Described

MACHINES: dict[str, Described] = {}
