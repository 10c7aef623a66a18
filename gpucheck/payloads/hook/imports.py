"""Notices when a framework has been imported, and leaves the import as it is."""

from __future__ import annotations

import sys
from time import perf_counter

TYPE_CHECKING = False  # not typing's: to import that takes longer than all the rest of the start
if TYPE_CHECKING:
    from typing import Any

WATCHED = frozenset(("tensorflow", "torch", "jax", "keras", "xgboost"))


class Finder:
    """On sys.meta_path. It finds nothing itself: it has the loader of a watched module tell when it is done."""

    def __init__(self) -> None:
        self.folder = ""
        self.started = 0.0  # the process, in Unix time
        self.start_seconds = 0.0  # that the hook's start took
        self.problems: list[str] = []
        self.running: list[str] = []  # imports of watched modules, the outermost first

    def watch(self, folder: str, started: float, began: float) -> None:
        """`began` is when the hook's start began, by perf_counter."""
        self.folder, self.started = folder, started
        sys.meta_path.insert(0, self)
        self.start_seconds = perf_counter() - began

    def unwatch(self) -> None:
        sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not self]

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name not in WATCHED:
            return None
        for finder in tuple(sys.meta_path):
            if finder is not self and hasattr(finder, "find_spec"):
                spec = finder.find_spec(name, path, target)
                if spec is not None:
                    self._listen(spec)
                    return spec
        return None

    def _listen(self, spec: Any) -> None:
        """By an attribute of this one loader, gone when it has run: loaders of every kind keep their class."""
        loader = spec.loader
        execute = getattr(loader, "exec_module", None)
        if execute is None:  # a namespace package: a folder without the framework in it
            return

        def exec_module(module: Any) -> None:
            loader.__dict__.pop("exec_module", None)
            self.running.append(spec.name)
            try:
                execute(module)
            finally:
                self.running.remove(spec.name)
            self._imported(spec.name)

        try:
            loader.exec_module = exec_module
        except (AttributeError, TypeError) as error:
            self.problems.append(f"the import of {spec.name} could not be watched: {error}")

    def _imported(self, name: str) -> None:
        try:
            from . import frameworks  # not before there is something to observe

            frameworks.imported(name, self.folder, self.started)
        except Exception as error:  # noqa: BLE001 - the import itself went well, and that is what counts
            self.problems.append(f"{name}: {type(error).__name__}: {error}")


FINDER = Finder()
