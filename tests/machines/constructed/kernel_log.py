"""Machines whose kernel log tells what is wrong."""

from __future__ import annotations

from tests.machines.parts import Described

MACHINES: dict[str, Described] = {}
