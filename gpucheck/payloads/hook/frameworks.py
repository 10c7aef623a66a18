"""What follows the import of a framework: its version, its observer, and the thread that opens the windows."""

from __future__ import annotations

import atexit
import ctypes
import os
import sys
from collections.abc import Callable
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from . import boosters, forks, imports, marks, process, profilers
from .windows import WINDOWS

PAYLOADS = Path(__file__).parents[1]


def imported(name: str, folder: str, started: float) -> None:
    """In the thread that imports it, when that is done; a reload comes here again."""
    if not process.told:
        process.begin(folder, started)
        _at_the_start()
    if name in process.told["frameworks"]:
        return
    module = sys.modules[name]
    process.told["frameworks"][name] = str(getattr(module, "__version__", ""))
    if imports.FINDER.running:
        process.told["brought_by"][name] = imports.FINDER.running[-1]
    with process.charged("the variables"):
        process.told["variables"] = variables()
    with process.charged(f"the build of {name}"):
        process.told["gpu_builds"][name] = BUILDS[name](module) if name in BUILDS else None
    with process.charged(f"the import of {name}"):
        _watch(name, module)
    with process.charged("what this process tells"):
        forks.at_the_end(finish)
        process.write()


def at_work(name: str) -> None:
    """The framework has been initialised by the program: what is read then is what it found."""
    process.told["at_work"].append(name)
    with process.charged(f"{name} at work"):
        process.told["variables"] = variables()
        process.add_devices(WINDOWS.devices(name))
        if not any(device.startswith("GPU:") for device in process.told["devices"]):
            process.told["libraries"] = {library: _loads(library) for library in _parts().LIBRARIES}
        if name == "tensorflow":
            process.told["registry"] = loaded("tensorflow_kernels.py").registry(sys.modules["tensorflow"])


def at_work_already(name: str) -> bool:
    """Whether the program had initialised it before this moment."""
    found: list[bool] = []
    with process.guarded(f"{name} at work"):
        found += [bool(observed.observer.ready()) for observed in WINDOWS.observers if observed.name == name]
    return any(found)


def finish() -> None:
    """At the end of this process, before the frameworks' own ends: it is registered after theirs, so it runs first."""
    if process.told.get("ended", True):
        return
    WINDOWS.close()
    with process.charged("the end"):
        process.told["ended"] = True
        process.write()


def loaded(path: str) -> Any:
    """A module of the payloads by its file, under a private name."""
    name = f"_gpucheck_{Path(path).stem}"
    spec = spec_from_file_location(name, PAYLOADS / path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def variables() -> dict[str, str]:
    """Those that steer a framework, as they are now: a script may have set its own."""
    return {name: os.environ[name] for name in _parts().VARIABLES if name in os.environ}


def _parts() -> Any:
    """The payloads' own, which knows the names."""
    return sys.modules.get("_gpucheck_parts") or loaded("parts.py")


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _at_the_start() -> None:
    process.told.update(overhead_seconds=imports.FINDER.start_seconds, problems=imports.FINDER.problems)
    atexit.register(finish)
    forks.watch(finish)


def _watch(name: str, module: Any) -> None:
    if name == "xgboost":
        boosters.watch(module)
    if (PAYLOADS / "observers" / f"{name}_observer.py").exists():
        marks.mark(marks.SWITCHED_ON)
        observer = sys.modules.get(f"_gpucheck_{name}_observer") or loaded(f"observers/{name}_observer.py")
        if hasattr(observer, "begin"):
            observer.begin()
        if name == "tensorflow" and marks.log_stays_off():
            process.problem("tensorflow: its placement log stays off, for what is on in a process stays on in it")
        elif name == "tensorflow":
            observer.on_import(module)
            marks.heed(module)
        profilers.give_way(name)
        WINDOWS.observe(observer, at_work)


def _tensorflow(tf: Any) -> bool:
    return bool(tf.test.is_built_with_gpu_support())


def _torch(torch: Any) -> bool:
    return torch.version.cuda is not None or torch.version.hip is not None


def _jax(_jax: Any) -> bool:
    """JAX's own wheel has no GPU in it: a plugin brings it."""
    plugins = find_spec("jax_plugins")
    folders = list(plugins.submodule_search_locations or ()) if plugins else []
    names = [name for folder in folders if os.path.isdir(folder) for name in os.listdir(folder)]
    return any(name.startswith(("xla_cuda", "xla_rocm")) for name in names)


def _xgboost(xgboost: Any) -> bool:
    return bool(xgboost.build_info().get("USE_CUDA"))


BUILDS: dict[str, Callable[[Any], bool]] = {
    "tensorflow": _tensorflow, "torch": _torch, "jax": _jax, "xgboost": _xgboost,
}  # fmt: skip
