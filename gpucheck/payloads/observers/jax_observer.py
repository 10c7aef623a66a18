"""What JAX itself can tell of a run: the executables that it compiled, with their devices, and a profiler's window."""

from __future__ import annotations

import ctypes
import gzip
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

FRAMEWORK = "jax"
SOURCE = "XPlane"
LONGEST = 4_000_000  # characters of one executable's text
MOST = 32_000_000  # of all of them; those after it are named, and cut to nothing
GPUS = ("gpu", "cuda", "rocm")  # JAX names its platform gpu or by its maker; XPlane's planes are /device:GPU:0
_earlier: set[Any] = set()  # the executables that were there before we were: what ran of them is not known
CUPTI = ("libcupti.so.13", "libcupti.so.12")  # in the wheels' nvidia/cu13/lib and nvidia/cuda_cupti/lib


def begin() -> None:
    """In a process that may have worked already."""
    _earlier.update(executable for backend in _backends() for executable in backend.live_executables())


def ready() -> bool:
    """JAX's backends run: the program has asked for a device or an array."""
    return bool(_backends())


def devices() -> list[str]:
    return [device_name(device) for backend in _backends() for device in backend.local_devices()]


def device_name(device: Any) -> str:
    """GPU:0, CPU:0: numbered as this process sees them, as the profiler does."""
    number = getattr(device, "local_hardware_id", None)
    platform = "GPU" if device.platform in GPUS else device.platform.upper()
    return f"{platform}:{device.id if number is None else number}"


def start(folder: Path, stem: str, placement: bool = True, kernels: bool = True) -> dict[str, Any]:
    handle: dict[str, Any] = {
        "folder": Path(folder).absolute(), "stem": stem, "placement": placement, "traces": None, "error": None,
    }  # fmt: skip
    if kernels:
        try:
            handle["traces"] = tempfile.mkdtemp(prefix=f".{stem}-", dir=handle["folder"])
            sys.modules["jax"].profiler.start_trace(handle["traces"], **_options())
        except Exception as error:  # noqa: BLE001 - the observed program must go on, whatever JAX says
            handle["error"] = f"{type(error).__name__}: {error}"
    handle["began"] = time.monotonic()
    return handle


def stop(handle: dict[str, Any]) -> dict[str, Any]:
    told = _told(seconds=time.monotonic() - handle["began"], error=handle["error"])
    try:
        if handle["traces"] and not handle["error"]:
            sys.modules["jax"].profiler.stop_trace()
            told |= {"kernels": _packed(handle), "blind": _blind()}
        if handle["placement"]:
            told["placement"] = _dumped(live(), handle["folder"], handle["stem"])
    except Exception as error:  # noqa: BLE001 - as above
        told["error"] = f"{type(error).__name__}: {error}"
    finally:
        shutil.rmtree(handle["traces"] or "", ignore_errors=True)
    return told


def final(folder: Path, stem: str) -> dict[str, Any] | None:
    """The executables that live now; None where JAX never started, or has ended: its own end lets go of them."""
    try:
        return _told(placement=_dumped(live(), Path(folder), stem)) if _backends() else None
    except Exception as error:  # noqa: BLE001 - as above
        return _told(error=f"{type(error).__name__}: {error}")
    finally:
        _earlier.clear()


def live() -> dict[str, Any]:
    """The live executables and arrays of all backends. What the program let go of is not among them."""
    executables: list[dict[str, Any]] = []
    arrays: dict[str, list[int]] = {}
    room = MOST
    for backend in _backends():
        for executable in backend.live_executables():
            if executable in _earlier:
                continue
            executables.append(_described(executable, backend.platform, min(LONGEST, room)))
            room -= len(executables[-1]["hlo"])
        for array in backend.live_arrays():
            try:
                held = [(device_name(shard.device), shard.data.nbytes) for shard in array.addressable_shards]
            except RuntimeError:  # the program has just deleted or donated it
                continue
            for name, size in held:
                count, total = arrays.get(name, [0, 0])
                arrays[name] = [count + 1, total + size]
    rows = [{"device": name, "arrays": count, "bytes": total} for name, (count, total) in sorted(arrays.items())]
    return {"executables": executables, "arrays": rows}


def _described(executable: Any, platform: str, room: int) -> dict[str, Any]:
    names = [device_name(device) for device in executable.local_devices()]
    about = {"name": "", "platform": platform, "devices": names, "hlo": "", "cut": True}
    if room <= 0:
        return about
    try:
        modules = executable.hlo_modules()
        text = "\n\n".join(module.to_string() for module in modules)
    except Exception as error:  # noqa: BLE001 - one that cannot be shown hides no other
        return {**about, "error": f"{type(error).__name__}: {error}"}
    return {**about, "name": modules[0].name if modules else "", "hlo": text[:room], "cut": len(text) > room}


def _backends() -> list[Any]:
    """Those that run. Asking for more would start them."""
    bridge: Any = sys.modules.get("jax._src.xla_bridge")
    started = getattr(bridge, "backends_are_initialized", None)  # missing while JAX is being imported
    return list(bridge.backends().values()) if started and started() else []


def _options() -> dict[str, Any]:
    """A small trace that has XLA's thunks, which bear the ops' names on the CPU, and no Python calls."""
    maker = getattr(sys.modules["jax"].profiler, "ProfileOptions", None)
    if maker is None:  # an older JAX has no choice
        return {}
    options = maker()
    options.host_tracer_level, options.python_tracer_level, options.enable_hlo_proto = 2, 0, False
    return {"profiler_options": options}


def _told(**values: Any) -> dict[str, Any]:
    nothing = {"seconds": 0.0, "source": SOURCE, "kernels": None, "placement": None, "blind": None, "error": None}
    return {**nothing, **values}


def _packed(handle: dict[str, Any]) -> str:
    traces = sorted(Path(handle["traces"]).glob("plugins/profile/*/*.xplane.pb"))
    if not traces:
        raise FileNotFoundError("the profiler wrote no xplane.pb")
    return _gzipped(handle["folder"] / f"{handle['stem']}.xplane.pb.gz", traces[-1].read_bytes())


def _dumped(document: dict[str, Any], folder: Path, stem: str) -> str:
    return _gzipped(folder / f"{stem}.executables.json.gz", json.dumps(document).encode())


def _gzipped(path: Path, content: bytes) -> str:
    """Whole or not at all. Returns the file's name."""
    fresh = path.with_name(f"{path.name}.part")
    with gzip.open(fresh, "wb", compresslevel=6) as file:
        file.write(content)
    os.replace(fresh, path)
    return path.name


def _blind() -> str | None:
    """CUPTI is what sees a GPU's kernels. It is a shared library, so it is mapped if the profiler could use it."""
    if not any(name.startswith("GPU:") for name in devices()):
        return None
    if "libcupti" in Path("/proc/self/maps").read_text(errors="replace"):
        return None
    errors = []
    for name in CUPTI:
        try:
            ctypes.CDLL(name)
        except OSError as error:
            errors.append(str(error))
    why = f"cannot be loaded: {'; '.join(errors)}" if len(errors) == len(CUPTI) else "was not loaded"
    return f"the profiler could not have seen a GPU's kernels: libcupti {why}"
