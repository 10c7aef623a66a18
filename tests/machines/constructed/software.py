"""Frameworks, libraries that shadow others, and variables."""

from __future__ import annotations

from tests.machines.parts import Described

MACHINES: dict[str, Described] = {}
