"""The two doors to a machine, `run` and `read`: on this machine, from a recording, or recorded as they are used."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import selectors
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

NO_SUCH_COMMAND = 127
MOST_OUTPUT = 4 * 2**20  # bytes kept of each stream: a probe never needs more, and memory must stay flat
KILLED_WAIT = 0.2  # seconds given to a killed child before it is left behind
RECORDING_SCHEMA = 1


class CannotLook(Exception):
    """A door stayed shut. The text is the reason, without a full stop."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    code: int  # exit code; negative = the signal that ended it; 127 = no such command
    out: str
    err: str


class Host(Protocol):
    def run(self, argv: Sequence[str], timeout: float = 5.0) -> Result:
        """Run a command without a shell; "python" is this interpreter. Raises CannotLook after `timeout` seconds."""

    def read(self, path: str) -> str | None:
        """The text of a file, the sorted names in a folder, or None. Raises CannotLook where reading is refused."""


class Local:
    """This machine. With `root`, files are read below that folder instead."""

    def __init__(self, root: str = "/", deadline: float | None = None) -> None:
        self._root = Path(root)
        self._deadline = deadline  # seconds: replaces each caller's own

    def run(self, argv: Sequence[str], timeout: float = 5.0) -> Result:
        timeout = self._deadline or timeout
        # -P: a json.py in the current folder is none of ours.
        command = [sys.executable, "-P", *argv[1:]] if argv[0] == "python" else list(argv)
        try:
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                start_new_session=True, env={**os.environ, "LC_ALL": "C"},
            )  # fmt: skip
        except OSError as error:
            # A folder of PATH that may not be entered is "Permission denied" too, whatever the command.
            if isinstance(error, FileNotFoundError) or shutil.which(command[0]) is None:
                return Result(code=NO_SUCH_COMMAND, out="", err=f"{argv[0]}: no such command")
            raise CannotLook(f"{argv[0]} cannot be started: {error.strerror}") from error
        _running.add(child)
        streams = _drain(child, time.monotonic() + timeout)
        if streams is None:
            _abandon(child)
        _running.discard(child)
        if streams is None:
            raise CannotLook(f"{' '.join(argv[:3])} did not answer within {timeout:g} s")
        out, err = (stream.decode("utf-8", "replace") for stream in streams)
        return Result(code=child.returncode, out=out, err=err)

    def read(self, path: str) -> str | None:
        target = self._root / path.lstrip("/")
        try:
            if target.is_dir():
                return "".join(f"{name}\n" for name in sorted(os.listdir(target)))
            # Not every file ends: a FIFO, or a device, would block for ever.
            if not stat.S_ISREG(target.stat().st_mode):
                raise CannotLook(f"{path} is not a regular file")
            with target.open("rb", buffering=0) as file:
                # In small parts: a read of megabytes of a sysctl is "Cannot allocate memory".
                text = bytearray()
                while len(text) < MOST_OUTPUT and (chunk := file.read(65536)):
                    text += chunk
                return text.decode("utf-8", "replace")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise CannotLook(f"{path}: {error.strerror}") from error


def _drain(child: subprocess.Popen[bytes], end: float) -> tuple[bytes, bytes] | None:
    """Both streams of a child that ends in time, else None. Waits for the child, not for heirs of its pipes."""
    assert child.stdout is not None
    assert child.stderr is not None
    kept = {child.stdout.fileno(): bytearray(), child.stderr.fileno(): bytearray()}
    order = tuple(kept)
    with selectors.DefaultSelector() as selector:
        for stream in order:
            os.set_blocking(stream, False)
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map():
            left = end - time.monotonic()
            if left <= 0:
                return None
            for key, _ in selector.select(min(left, 0.05)):
                chunk = os.read(key.fd, 65536)
                if not chunk:
                    selector.unregister(key.fd)
                elif len(kept[key.fd]) < MOST_OUTPUT:
                    kept[key.fd] += chunk
            if child.poll() is not None and not selector.select(0):
                break
    try:
        child.wait(max(0.0, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        return None
    child.stdout.close()
    child.stderr.close()
    return bytes(kept[order[0]]), bytes(kept[order[1]])


def _abandon(child: subprocess.Popen[bytes]) -> None:
    """Kill a child's whole session and walk away: in state D it does not die, and waiting for it would hang us."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # it has just ended, or is another user's (setuid)
        os.killpg(child.pid, signal.SIGKILL)
    try:
        child.wait(KILLED_WAIT)
    except subprocess.TimeoutExpired:
        child.returncode = -signal.SIGKILL  # or Popen's destructor would complain of a running child
    for stream in (child.stdout, child.stderr):
        if stream is not None:
            stream.close()


_running: set[subprocess.Popen[bytes]] = set()


@atexit.register
def _abandon_all() -> None:
    """A command that was interrupted, or left behind by a deadline of the engine's, does not outlive gpucheck."""
    for child in tuple(_running):
        _abandon(child)


class Recording:
    """Another host, every answer kept."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._runs: dict[tuple[str, ...], dict[str, Any]] = {}
        self._files: dict[str, dict[str, Any]] = {}

    def run(self, argv: Sequence[str], timeout: float = 5.0) -> Result:
        try:
            result = self._host.run(argv, timeout)
        except CannotLook as reason:
            self._runs[tuple(argv)] = {"cannot_look": str(reason)}
            raise
        self._runs[tuple(argv)] = asdict(result)
        return result

    def read(self, path: str) -> str | None:
        try:
            text = self._host.read(path)
        except CannotLook as reason:
            self._files[path] = {"cannot_look": str(reason)}
            raise
        self._files[path] = {"text": text}
        return text

    def document(self) -> dict[str, Any]:
        """The recording as JSON-ready data: {"schema", "runs": [{argv, ...}], "files": {path: ...}}."""
        runs = [{"argv": list(argv), **answer} for argv, answer in sorted(self._runs.items())]
        return {"schema": RECORDING_SCHEMA, "runs": runs, "files": dict(sorted(self._files.items()))}


def _is_answer(answer: dict[str, Any], **shape: Any) -> bool:
    if "cannot_look" in answer:
        return isinstance(answer["cannot_look"], str)
    return all(isinstance(answer[key], kind) for key, kind in shape.items())


class Recorded:
    """A machine from its recording. What was never asked of it cannot be looked at."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._runs = {tuple(run["argv"]): run for run in document["runs"]}
        self._files = dict(document["files"].items())

    @classmethod
    def of(cls, document: Any, name: str) -> Recorded:
        """Of a document from outside; `name` is the file's. Raises ValueError, in one sentence, where it is none."""
        try:
            if document["schema"] != RECORDING_SCHEMA:
                raise ValueError(f"{name} has schema {document['schema']!r}; this gpucheck reads {RECORDING_SCHEMA}")
            recorded = cls(document)
            sound = all(_is_answer(run, code=int, out=str, err=str) for run in recorded._runs.values())
            sound &= all(_is_answer(file, text=(str, type(None))) for file in recorded._files.values())
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"{name} is not a recording of gpucheck") from error
        if not sound:
            raise ValueError(f"{name} is not a recording of gpucheck: an answer in it has another shape")
        return recorded

    @classmethod
    def load(cls, path: str | Path) -> Recorded:
        """Raises ValueError with one sentence where the file is not a recording, FileNotFoundError where it is not."""
        try:
            return cls.of(json.loads(Path(path).read_text()), str(path))
        except json.JSONDecodeError as error:
            raise ValueError(f"{path} is not JSON (line {error.lineno}): is the file complete?") from error
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is not a recording of gpucheck") from error

    def run(self, argv: Sequence[str], timeout: float = 5.0) -> Result:  # noqa: ARG002
        answer = self._runs.get(tuple(argv))
        if answer is None:
            raise CannotLook(f"{' '.join(argv[:3])} is not in the recording")
        if "cannot_look" in answer:
            raise CannotLook(answer["cannot_look"])
        return Result(code=answer["code"], out=answer["out"], err=answer["err"])

    def read(self, path: str) -> str | None:
        answer = self._files.get(path)
        if answer is None:
            raise CannotLook(f"{path} is not in the recording")
        if "cannot_look" in answer:
            raise CannotLook(answer["cannot_look"])
        text: str | None = answer["text"]
        return text
