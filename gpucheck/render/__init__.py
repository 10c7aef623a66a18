"""Reports to pages: `render(reports) -> str`, one module a format. A renderer never judges and never exits."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterable, Sequence
from typing import cast

from gpucheck import extras
from gpucheck.model import Failure, Report

Render = Callable[[Sequence[Report]], str]
STREAMS = ("html", "markdown")  # they keep of a report only what they show of it
FORMATS = ("terminal", "json", "junit", "sarif", "prometheus", "github", "html", "markdown")

PACKAGES = {
    "junit": (("junitparser",), "formats"), "prometheus": (("prometheus_client",), "formats"),
    "html": (("jinja2", "matplotlib", "seaborn"), "report"),
}  # fmt: skip


def check(name: str) -> None:
    """Raises Failure where a format's packages are not here: before an hour's run, not after it."""
    packages, extra = PACKAGES.get(name, ((), ""))
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise Failure(f"the format {name} needs the package {package}", extras.tip(extra))


def renderer(name: str) -> Render:
    """The renderer of that format; imported only when it is asked for."""
    return cast("Render", importlib.import_module(f"gpucheck.render.{name}").render)


def streaming(name: str) -> Callable[[Iterable[Report]], str]:
    """The same for reports that come one by one, of which there may be very many."""
    render = renderer(name)
    return cast("Callable[[Iterable[Report]], str]", render) if name in STREAMS else lambda all_: render(list(all_))
