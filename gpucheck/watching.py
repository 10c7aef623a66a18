"""Observes this process for a while, as `gpucheck prove` does a command: by the hook in it, and by NVML beside it.

Python processes that it starts meanwhile are observed too. At the end nothing of all that is left.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from gpucheck import proving, sampling

NAME = "_gpucheck_hook"  # by which payloads/hook/sitecustomize.py knows itself too
VARIABLES = ("PYTHONPATH", "GPUCHECK_PROVE")


@contextmanager
def watched(evidence: Path) -> Iterator[None]:
    """What was seen during the block lies in `evidence` after it; where nothing could be seen, the reason."""
    session = _session()
    wanted = proving.observed(dict(os.environ), str(proving.PAYLOADS.parent), str(evidence))
    stack = ExitStack()
    try:
        watch = stack.enter_context(sampling.watching(evidence))
        watch.follow(pid=os.getpid(), mark=f"GPUCHECK_PROVE={evidence}")
        stack.enter_context(_environment({name: wanted[name] for name in VARIABLES}))
        if session.begin(str(evidence)):
            stack.callback(session.end)
        yield
    finally:
        with _undisturbed():
            stack.close()


def _session() -> Any:
    """payloads/hook/session.py, of the hook that may be in this process already."""
    if NAME not in sys.modules:
        package = sys.modules[NAME] = ModuleType(NAME)
        package.__path__ = [str(proving.PAYLOADS / "hook")]
    return importlib.import_module(f"{NAME}.session")


@contextmanager
def _environment(wanted: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if os.environ.get(name) != wanted[name]:  # the block has set its own
                continue
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _undisturbed() -> Iterator[None]:
    """One Ctrl-C is enough: a second would interrupt the tidying up."""
    if threading.current_thread() is not threading.main_thread():  # signals come to the main thread alone
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before or signal.default_int_handler)
