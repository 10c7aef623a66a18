"""The driver, its kernel module and the kernel: what is wrong with them, and healthy counterparts."""

from __future__ import annotations

from tests.machines.parts import Described

MACHINES: dict[str, Described] = {}
