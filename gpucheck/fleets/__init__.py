"""The engines that already run a fleet: each moves and isolates the work, and none of it is ours."""

from __future__ import annotations

import importlib
from types import ModuleType

from gpucheck import extras
from gpucheck.model import Failure

FLEETS = ("slurm", "kubernetes", "ssh")
LAUNCHERS = {
    "ansible": ("Ansible", "playbook"),
    "ray": ("Ray", "script"),
    "skypilot": ("SkyPilot", "task"),
}  # rendered alone
WORLDS = ("slurm", "kubernetes")  # those that start one run over several nodes


def engine(name: str) -> ModuleType:
    """The module with this engine's `run(asked, say)`, as gpucheck.fleets.runs tells; of a launcher `render` alone.

    Raises Failure.
    """
    try:
        return importlib.import_module(f"gpucheck.fleets.{name}")
    except ModuleNotFoundError as missing:
        if (missing.name or "").startswith("gpucheck"):
            raise
        raise Failure(f"the engine {name} needs {missing.name}, which is not installed", extras.tip(name)) from missing
