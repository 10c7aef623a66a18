"""GPUs that NVML finds ill, and healthy ones of every kind."""

from __future__ import annotations

from tests.machines.parts import Described

MACHINES: dict[str, Described] = {}
