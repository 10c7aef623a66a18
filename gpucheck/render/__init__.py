"""Reports to pages: `render(reports) -> str`, one module a format. A renderer never judges and never exits."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import cast

from gpucheck.model import Report

Render = Callable[[Sequence[Report]], str]
FORMATS = ("terminal", "json", "junit", "sarif", "prometheus", "github")


def renderer(name: str) -> Render:
    """The renderer of that format; imported only when it is asked for."""
    return cast("Render", importlib.import_module(f"gpucheck.render.{name}").render)
