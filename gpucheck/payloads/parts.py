"""A payload's parent: starts each part as a child process, passes its progress on, and writes run.json."""

from __future__ import annotations

import argparse
import ctypes
import functools
import json
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

# The driver's two halves that a framework needs; TensorFlow 2.21 without NVML sees no GPU, and does not say so.
LIBRARIES = ("libcuda.so.1", "libnvidia-ml.so.1")
Say = Callable[[str], None]
tell: Say = functools.partial(print, flush=True)
GRACE = 5.0  # seconds between SIGTERM and SIGKILL
PARENT = "PAYLOAD_PARENT"  # the process that a part must not outlive
DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG
# What steers a framework from outside; the values at the start go into run.json.
VARIABLES = (
    "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES", "LD_LIBRARY_PATH", "LD_PRELOAD",
    "CUDA_MODULE_LOADING", "XLA_FLAGS", "TF_XLA_FLAGS", "TF_CPP_MIN_LOG_LEVEL", "TF_CPP_VMODULE",
    "TF_CPP_MAX_VLOG_LEVEL", "TF_ENABLE_ONEDNN_OPTS", "TF_FORCE_GPU_ALLOW_GROWTH", "TF_USE_LEGACY_KERAS",
    "KERAS_BACKEND", "KERAS_TORCH_DEVICE", "JAX_PLATFORMS", "JAX_PLATFORM_NAME",
)  # fmt: skip


def parser(name: str) -> argparse.ArgumentParser:
    """The options that every payload has. The hidden ones are for its own children."""
    from . import world  # not by the hook, which loads this module alone

    options = argparse.ArgumentParser(prog=name, description="Train a small CNN and report what was observed.")
    options.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the evidence is written")
    options.add_argument("--device", choices=("gpu", "cpu"), default="gpu", help="where the work is asked to run")
    options.add_argument("--devices", type=_positive, default=1, metavar="N", help="train on so many of them")
    options.add_argument("--recipe", choices=("fast", "tutorial"), default="fast", help="how it is trained")
    options.add_argument("--batch-size", type=_positive, metavar="N", help="of all devices together; else the recipe's")
    options.add_argument("--epochs", type=_positive, metavar="N", help="else the recipe's")
    options.add_argument("--validation-split", type=_fraction, default=0.0, metavar="F", help="0: the test set")
    options.add_argument("--seed", type=_natural, default=0, metavar="N")
    options.add_argument("--data", type=Path, metavar="DIR", help="CIFAR-10's binary layout; else synthetic data")
    options.add_argument("--limit", type=_positive, metavar="N", help="use only the first N training samples")
    options.add_argument("--no-control", dest="control", action="store_false", help="no run with the GPU hidden")
    options.add_argument("--no-profile", dest="profile", action="store_false", help="no profiler in the training")
    options.add_argument("--world", type=world.asked, metavar="RANK@HOST,...:PORT", help="join these nodes first")
    options.add_argument("--world-seconds", type=_positive, default=600, metavar="S", help="wait so long for them")
    options.add_argument("--part", choices=("probe", "train", "world"), help=argparse.SUPPRESS)
    options.add_argument("--stem", help=argparse.SUPPRESS)
    options.add_argument("--strict", action="store_true", help=argparse.SUPPRESS)
    options.add_argument("--steps", type=_positive, help=argparse.SUPPRESS)
    options.add_argument("--progress", type=int, help=argparse.SUPPRESS)
    return options


def run(payload: str, out: Path, work: Callable[[list[dict[str, Any]]], None]) -> int:
    """Do `work`, which appends to the list of parts; run.json is written however it ends. Returns the exit code."""
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    parts: list[dict[str, Any]] = []
    about = {
        "schema": 1, "payload": payload, "argv": sys.argv[1:], "python": platform.python_version(),
        "env": {name: os.environ[name] for name in VARIABLES if name in os.environ}, "parts": parts,
        "libraries": {name: _loads(name) for name in LIBRARIES},
    }  # fmt: skip
    try:
        work(parts)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    finally:
        write(out / "run.json", about)
    return 0 if all(part["exit_code"] == 0 for part in parts) else 1


def start(
    parts: list[dict[str, Any]], name: str, arguments: list[str], streams: Path, unset: tuple[str, ...],
    env: Mapping[str, str], deadline: float | None = None,
) -> bool:  # fmt: skip
    """Run one part to its end: stdout to <streams>.out, stderr to <streams>.err. True where it ended well.

    At the deadline, seconds from now, it is killed, and with it what is bound to it.
    The files are the child's descriptors 1 and 2: what C++ code writes is caught as well.
    """
    module = sys.modules["__main__"].__spec__
    assert module is not None, "start the payload with -m"
    clock, began = time.time(), time.monotonic()  # the first since 1970: what NVML's samples are compared with
    progress, child_end = os.pipe()
    command = [sys.executable, "-m", module.name, *sys.argv[1:], *arguments, "--progress", str(child_end)]
    environment = {key: value for key, value in os.environ.items() if key not in unset}
    with open(f"{streams}.out", "wb") as out, open(f"{streams}.err", "wb") as err:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, pass_fds=(child_end,),
            env={**environment, **env, PARENT: str(os.getpid())},
        )  # fmt: skip
    os.close(child_end)
    late = threading.Timer(deadline or 0, child.kill)
    late.daemon = True
    if deadline:
        late.start()
    try:
        with os.fdopen(progress, errors="replace") as lines:
            for line in lines:
                tell(f"{name}: {line.rstrip()}")
        child.wait()
    finally:
        late.cancel()
        code = _end(child)
        seconds = round(time.monotonic() - began, 3)
        ending = {"exit_code": code, "signal": None} if code >= 0 else {"exit_code": None, "signal": -code}
        parts.append({"name": name, **ending, "began": round(clock, 3), "seconds": seconds})
    if code:
        tell(f"{name}: exit code {code}" if code > 0 else f"{name}: killed by signal {-code}")
    return code == 0


def speaker(descriptor: int | None) -> Say:
    """How a child reports progress. A parent that is gone ends the child: nobody waits for it any more."""
    if descriptor is None:
        return tell
    pipe = os.fdopen(descriptor, "w", buffering=1)

    def say(line: str) -> None:
        try:
            pipe.write(f"{line}\n")
        except BrokenPipeError:
            os._exit(1)

    return say


def bound() -> None:
    """From now on this process is killed when the one that started it is gone, however busy this one is."""
    ctypes.CDLL(None).prctl(DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != int(os.environ.get(PARENT, os.getppid())):
        os._exit(1)  # it was gone before
    os.environ[PARENT] = str(os.getpid())  # of those that this one starts


def write(path: Path, document: dict[str, Any]) -> None:
    """Whole or not at all."""
    fresh = path.with_suffix(".part")
    fresh.write_text(json.dumps(document, indent=1) + "\n")
    os.replace(fresh, path)


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _end(child: subprocess.Popen[bytes]) -> int:
    if child.poll() is None:
        child.terminate()
        try:
            return child.wait(GRACE)
        except subprocess.TimeoutExpired:
            child.kill()
    return child.wait()


def _positive(text: str) -> int:
    return _number(text, 1)


def _natural(text: str) -> int:
    return _number(text, 0)


def _number(text: str, least: int) -> int:
    if not text.isdecimal() or not least <= int(text) < 2**31:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
    return int(text)


def _fraction(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to less than 1")
    return value
