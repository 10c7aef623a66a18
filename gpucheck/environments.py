"""containers.py without Docker: an environment of its own for each recipe on this host, and the run in it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gpucheck.model import Failure, Say

LAST_LINES = 8
# What would let another Python's packages or the caller's habits in.
UNWANTED = {"PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONINSPECT", "PYTHONWARNINGS", "PIP_TARGET", "PIP_USER"}
GRACE = 5.0  # seconds between SIGTERM and SIGKILL


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    exit_code: int | None
    signal: int | None
    seconds: float
    last_lines: tuple[str, ...]


def prepare(lock: Path, pythons: Sequence[str], cache: Path, say: Say, hint: str | None = None) -> Path:
    """The interpreter of an environment that holds exactly `lock`; made on first use. Raises Failure.

    `pythons` are the versions that the lock has wheels for: ("3.11", "3.12"). Recipes with the same lock share an
    environment. The user's own packages and environment are neither seen nor touched. `hint` is the tip where pip
    finds no such wheel.
    """
    interpreter, version = _interpreter(pythons)
    digest = hashlib.sha256(lock.read_bytes() + interpreter.encode()).hexdigest()[:12]
    home = cache / "environments" / f"{lock.stem}-{digest}"
    python, complete = home / "bin" / "python", home / "complete"
    needed = (complete, python, home / "lib" / f"python{version}")  # an upgrade of Python takes the last two away
    home.parent.mkdir(parents=True, exist_ok=True)
    with _locked(home.with_suffix(".lock"), say):
        if not all(path.exists() for path in needed):
            shutil.rmtree(home, ignore_errors=True)
            try:
                _install(interpreter, home, lock, say, hint)
                complete.touch()
            finally:
                if not complete.exists():
                    shutil.rmtree(home, ignore_errors=True)
    return python


def run(
    argv: Sequence[str], environment: Mapping[str, str], errors: Path, say: Say, timeout: float | None = None,
    started: Callable[[int], None] = lambda _pid: None,
) -> Ended:  # fmt: skip
    """Run a command in a session of its own, its stdout to `say`, its stderr to a file. It never outlives this call.

    `started` is told its pid.
    """
    began = time.monotonic()
    with errors.open("wb") as stderr:
        child = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, start_new_session=True,
            env=dict(environment),
        )  # fmt: skip
        try:
            started(child.pid)
            last = _follow(child, say, began + timeout if timeout else None)
            code = child.wait(None if timeout is None else max(0.1, began + timeout - time.monotonic()))
        except subprocess.TimeoutExpired as error:
            raise Failure(f"the run did not end within {timeout:g} s", "give it longer: `--timeout`", 1) from error
        finally:
            _end(child)
    return Ended(
        exit_code=code if code >= 0 else None, signal=-code if code < 0 else None,
        seconds=round(time.monotonic() - began, 3), last_lines=tuple(last),
    )  # fmt: skip


def clean_environment(**more: str) -> dict[str, str]:
    """The caller's environment without UNWANTED; modules in the current folder do not shadow others either."""
    mine = {name: value for name, value in os.environ.items() if name not in UNWANTED}
    return {**mine, "PYTHONNOUSERSITE": "1", "PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1", **more}


def nvidia_libraries(python: Path) -> dict[str, str]:
    """The variable that lets TensorFlow's wheel find NVIDIA's wheels in that environment; {} where it has none.

    libtensorflow_framework.so.2 (2.21) opens libcusolver, which is not on its RUNPATH, and uses no GPU without it. The
    image has a line for the linker's cache instead (images/wheels/Dockerfile).
    """
    folders = sorted(map(str, python.parent.parent.glob("lib/python3*/site-packages/nvidia/*/lib")))
    given = [os.environ["LD_LIBRARY_PATH"]] if os.environ.get("LD_LIBRARY_PATH") else []
    return {"LD_LIBRARY_PATH": ":".join([*folders, *given])} if folders else {}


def _interpreter(pythons: Sequence[str]) -> tuple[str, str]:
    """Its path and its version."""
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    if own in pythons:
        return sys.executable, own
    for version in reversed(pythons):
        found = shutil.which(f"python{version}")
        if found:
            return found, version
    raise Failure(
        f"the framework has wheels for Python {', '.join(pythons)}; this is {own}, and none of those is on PATH",
        f"install Python {pythons[-1]}, or run it in a container: `--on docker`",
    )


def _install(python: str, home: Path, lock: Path, say: Say, hint: str | None) -> None:
    pinned = len(re.findall(r"^\S+==", lock.read_text(), re.MULTILINE))
    say("making an environment", None)
    _pip([python, "-m", "venv", "--without-pip", str(home)], 0, 1, say)
    python = str(home / "bin" / "python")
    _pip([python, "-m", "ensurepip", "--default-pip"], 0, 1, lambda _line, _share: None)  # venv would hide its words
    options = "--require-hashes --only-binary :all: --no-input --disable-pip-version-check --progress-bar off".split()
    _pip([python, "-m", "pip", "install", *options, "-r", str(lock)], 1, pinned + 2, say, hint)


def _pip(command: Sequence[str], done: int, steps: int, say: Say, hint: str | None = None) -> None:
    """Run an installer that names each of `steps` as it comes to it. Raises Failure with its own last words."""
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace", start_new_session=True, env=clean_environment(),
    )  # fmt: skip
    assert child.stdout is not None
    lines: list[str] = []
    try:
        for line in map(str.strip, child.stdout):
            lines.append(line)
            done += line.startswith(("Collecting ", "Processing "))  # the second where a wheel is a file already
            if line.startswith("Installing collected packages"):
                say("installing the packages", min(0.99, done / steps))
            elif line.startswith(("Collecting ", "Processing ", "Installing ")):
                first, name = line.split()[:2]
                say(f"{first.lower()} {name.rpartition('/')[2]}", min(0.99, done / steps))
        code = child.wait()
    finally:
        _end(child)
    if code:
        text = "\n".join(lines)
        if "No space left on device" in text:
            raise Failure(f"the disk is full: {command[0]}", "free some, or move the cache: XDG_CACHE_HOME", 1)
        if re.search(r"No module named '?(venv|ensurepip)", text):
            raise Failure("this Python cannot make environments", "on Debian and Ubuntu: apt install python3-venv", 1)
        last = "\n".join(lines[-LAST_LINES:])
        missing = "No matching distribution" in text and "connection broken" not in text  # an index answered
        tip = hint if hint and missing else "is a package index reachable?"
        raise Failure(f"pip could not install the locked packages:\n{last}", tip, 1)


def _follow(child: subprocess.Popen[bytes], say: Say, end: float | None) -> deque[str]:
    """The last lines of a child's stdout, each said as it comes. Raises TimeoutExpired."""
    assert child.stdout is not None
    last: deque[str] = deque(maxlen=LAST_LINES)
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while True:
            if end is not None and time.monotonic() > end:
                raise subprocess.TimeoutExpired(child.args, 0)
            if not selector.select(0.5):
                continue
            chunk = os.read(child.stdout.fileno(), 65536)
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                last.append(line.decode("utf-8", "replace"))
                say(last[-1], None)
            if not chunk:
                return last


def _end(child: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    """Whatever is left of a child's session ends here: first asked, then made."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, number)
        except ProcessLookupError:
            break
        try:
            child.wait(GRACE)
        except subprocess.TimeoutExpired:
            continue
    if child.stdout:
        child.stdout.close()


@contextmanager
def _locked(path: Path, say: Say) -> Iterator[None]:
    """One process at a time makes an environment; the others wait and then find it made."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another gpucheck is setting it up", None)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
