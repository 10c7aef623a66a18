"""Container engines, the NVIDIA Container Toolkit and CDI."""

from __future__ import annotations

from tests.machines.parts import Described

MACHINES: dict[str, Described] = {}
