"""What TensorFlow itself can tell of a run: its placement log, which it writes to stdout and stderr, and a profiler's
window as an XPlane file. TensorFlow 2.13 and newer.
"""

from __future__ import annotations

import ctypes
import gzip
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FRAMEWORK = "tensorflow"
SOURCE = "XPlane"
# TensorFlow opens the first, of the CUDA it was built for, else the second (tsl's dso_loader.cc). It finds NVIDIA's
# wheel (nvidia/cuda_cupti/lib) by its own RUNPATH, which does not count when Python asks.
CUPTI = ("libcupti.so.12", "libcupti.so")
START = "tensorflow.python.profiler.profiler_v2"  # the module that has it
_lock = threading.Lock()


def ready() -> bool:
    """The program has made TensorFlow's eager context, so that asking for devices changes nothing any more."""
    context = getattr(sys.modules.get("tensorflow.python.eager.context"), "_context", None)
    return bool(getattr(context, "_initialized", False)) and hasattr(sys.modules.get("tensorflow"), "profiler")


def devices() -> list[str]:
    if not ready():
        return []
    return [device_name(device.name) for device in sys.modules["tensorflow"].config.list_logical_devices()]


def device_name(name: str) -> str:
    """/job:localhost/replica:0/task:0/device:GPU:0 is GPU:0."""
    return ":".join(name.split(":")[-2:])


def on_import(tf: Any) -> bool:
    """Switch the placement log on; to be called when `import tensorflow` is over. False: too late for this process.

    Once a context exists the switch is accepted and does nothing. Whatever TF_CPP_MIN_LOG_LEVEL is, the placer still
    writes to stdout; the line of each eager dispatch goes to stderr only and is silenced by 1 and higher.
    """
    late = ready()
    tf.debugging.set_log_device_placement(True)
    return not late


def start(folder: Path, stem: str, placement: bool = True, kernels: bool = True) -> dict[str, Any]:  # noqa: ARG001
    handle: dict[str, Any] = {
        "folder": Path(folder), "stem": stem, "traces": None, "told": None, "theirs": None,
        "began": time.monotonic(), "error": None,
    }  # fmt: skip
    if not kernels:
        return handle
    try:
        profiler = sys.modules["tensorflow"].profiler.experimental
        handle["traces"] = tempfile.mkdtemp(prefix=".traces-", dir=folder)  # what a killed process leaves is there too
        # Without options: host_tracer_level 2, python_tracer_level 0, device_tracer_level 1. TensorFlow 2.21 takes
        # none of them when they are given, and says so on stderr.
        profiler.start(handle["traces"])
        handle["began"] = time.monotonic()
        handle["theirs"] = profiler.start
        _replace_start(_giving_way(handle))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the observed program that must go on
        handle["error"] = f"{type(error).__name__}: {error}"
    return handle


def stop(handle: dict[str, Any]) -> dict[str, Any]:
    """The first call ends the window; a program that starts a profiler of its own has ended it before."""
    with _lock:
        if handle["told"] is None:
            handle["told"] = _stopped(handle)
    told: dict[str, Any] = handle["told"]
    return told


def final(folder: Path, stem: str) -> dict[str, Any] | None:  # noqa: ARG001 - the placement log is no file of ours
    return None


def _replace_start(start: Callable[..., Any]) -> None:
    """Where programs look for it, and where tf.profiler.experimental.Profile does."""
    modules: list[Any] = [sys.modules["tensorflow"].profiler.experimental, sys.modules[START]]
    for module in modules:
        module.start = start


def _giving_way(handle: dict[str, Any]) -> Callable[..., Any]:
    """tf.profiler.experimental.start while our window is open: there can be one profiler, and it is the program's."""

    def start(*arguments: Any, **named: Any) -> Any:
        stop(handle)
        return handle["theirs"](*arguments, **named)

    return start


def _stopped(handle: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "seconds": time.monotonic() - handle["began"], "source": SOURCE, "kernels": None, "placement": None,
        "blind": None, "error": handle["error"],
    }  # fmt: skip
    try:
        if handle["theirs"]:
            _replace_start(handle["theirs"])
            sys.modules["tensorflow"].profiler.experimental.stop()
            told["seconds"] = time.monotonic() - handle["began"]
            told["kernels"] = _packed(handle)
            told["blind"] = _blind()
    except Exception as error:  # noqa: BLE001 - as above
        told["error"] = f"{type(error).__name__}: {error}"
    finally:
        shutil.rmtree(handle["traces"] or "", ignore_errors=True)
    return told


def _packed(handle: dict[str, Any]) -> str | None:
    """Whole or not at all. Older versions write more beside the XPlane file, made from it."""
    found = sorted(Path(handle["traces"]).glob("plugins/profile/*/*.xplane.pb"))
    if not found:
        return None
    name = f"{handle['stem']}.xplane.pb.gz"
    fresh = handle["folder"] / f"{name}.part"
    with gzip.open(fresh, "wb", compresslevel=6) as file:
        file.write(found[-1].read_bytes())
    os.replace(fresh, handle["folder"] / name)
    return name


def _blind() -> str | None:
    """CUPTI is what sees kernels. TensorFlow opens it when a profiler first starts, so it is mapped after that."""
    if not any(name.startswith("GPU:") for name in devices()):
        return None
    if "libcupti" in Path("/proc/self/maps").read_text():
        return None
    errors = []
    for name in CUPTI:
        try:
            ctypes.CDLL(name)
        except OSError as error:
            errors.append(str(error))
    if len(errors) < len(CUPTI):
        return "libcupti was not loaded by the profiler"
    return f"libcupti cannot be loaded: {'; '.join(errors)}"
