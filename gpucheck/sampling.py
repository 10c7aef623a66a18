"""NVML's samples around a run, from outside of it: nvml.jsonl, by a child process (probes/nvml/watch.py has its lines).

The samples lie in a file without a name until the run is over and its files are collected, so nothing in the run can
write there, and what it left under that name is replaced.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

from gpucheck.probes.nvml import TIMEOUT

NAME = "nvml.jsonl"
COMMAND = (sys.executable, "-P", "-m", "gpucheck.probes.nvml.watch")
ENDING = 1.0  # seconds that the child gets to end: longer than a sample takes
KILLED = 0.2  # and then to die: in state D it does not


TAIL = 65536  # bytes: more than the last two samples of a hundred GPUs
SAMPLE = b'{"t":'  # how a sample's line begins
STALE = 5.0  # seconds after which a sample is no news, where they come faster than that


class Glance(NamedTuple):
    """One GPU in the last sample; None = not told."""

    gpu: int  # its index
    utilization: int | None  # percent
    memory: int | None  # bytes in use


class Watch:
    def __init__(self, child: subprocess.Popen[bytes] | None, samples: IO[bytes] | None = None) -> None:
        self._child = child
        self.samples = samples  # None = there are none, or they are over

    def glance(self) -> tuple[Glance, ...]:
        """What the GPUs do now; () where no sample came lately: none is taken, NVML hangs, the run is over.

        It reads what the child has written and asks nobody, so it never waits, and any thread may call it.
        """
        samples = self.samples
        if samples is None:
            return ()
        try:
            lines = os.pread(samples.fileno(), TAIL, max(0, _size(samples) - TAIL)).split(b"\n")[:-1]
            last = [json.loads(line) for line in lines if line.startswith(SAMPLE)][-2:]
        except (OSError, ValueError):  # it was closed just now
            return ()
        if not last or time.time() - last[-1]["t"] > max(STALE, 2 * (last[-1]["t"] - last[0]["t"])):
            return ()
        return tuple(Glance(gpu["index"], gpu["utilization"], gpu["memory_used"]) for gpu in last[-1]["gpus"])

    def follow(self, *, pid: int | None = None, cgroup: str | None = None, mark: str | None = None) -> None:
        """Name the run when it exists: its first process, its container's id, a "NAME=value" of its environment.

        Any of them makes a process one of the run's. What was sampled before is "before the run".
        """
        if self._child and self._child.stdin:
            line = json.dumps({"pid": pid, "cgroup": cgroup, "mark": mark}) + "\n"
            with contextlib.suppress(BrokenPipeError):  # it has ended; why is told in the file
                self._child.stdin.write(line.encode())


@contextlib.contextmanager
def watching(
    evidence: Path, before: float = 1.0, *, blind: str | None = None, deadline: float = TIMEOUT
) -> Iterator[Watch]:
    """Sample for `before` seconds, then during the block, and leave nvml.jsonl in `evidence`.

    `blind` is why samples would say nothing of the run, in the report's words: the file says it, and none are taken.
    `deadline` is in seconds, for one sample. Without NVML the file says so and nothing is waited for.
    """
    if blind:
        try:
            yield Watch(None)
        finally:
            _leave(evidence / NAME, b"", blind)
        return
    with tempfile.TemporaryFile() as samples, tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(
            [*COMMAND, "--deadline", str(deadline)], stdin=subprocess.PIPE, stdout=samples, stderr=errors, bufsize=0,
            start_new_session=True,  # Ctrl-C is for gpucheck, which then ends this child
        )  # fmt: skip
        watch = Watch(child, samples)
        try:
            _baseline(child, samples, before, deadline)
            yield watch
        finally:
            watch.samples = None
            why = _stop(child, errors, deadline)
            _leave(evidence / NAME, _whole(samples), why)


def _baseline(child: subprocess.Popen[bytes], samples: IO[bytes], seconds: float, deadline: float) -> None:
    """From the first line on: NVML may have to wake the GPUs."""
    end = time.monotonic() + deadline + ENDING
    while not _size(samples) and child.poll() is None and time.monotonic() < end:
        time.sleep(0.005)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(seconds)


def _stop(child: subprocess.Popen[bytes], errors: IO[bytes], deadline: float) -> str | None:
    """Why the samples ended before the run did; None where they did not."""
    assert child.stdin is not None
    child.stdin.close()
    try:
        code = child.wait(ENDING)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        try:
            child.wait(KILLED)
        except subprocess.TimeoutExpired:
            child.returncode = -signal.SIGKILL  # left behind: or Popen's destructor would complain
        return "NVML did not answer at the end of the run: the driver or a GPU hangs"
    if code == -signal.SIGALRM:
        return f"NVML did not answer within {deadline:g} s: the driver or a GPU hangs"
    if code < 0:
        return f"the process that asked NVML was ended by {signal.Signals(-code).name}"
    said = os.pread(errors.fileno(), 65536, max(0, _size(errors) - 65536)).decode("utf-8", "replace")
    last = (said.strip() or "it said nothing").splitlines()[-1]
    return f"NVML could not be asked (exit code {code}): {last.rstrip('.')}" if code else None


def _whole(samples: IO[bytes]) -> bytes:
    """The whole lines. Read without moving the place, which the child has in common."""
    data = os.pread(samples.fileno(), _size(samples), 0)
    return data[: data.rfind(b"\n") + 1]


def _size(file: IO[bytes]) -> int:
    return os.fstat(file.fileno()).st_size


def _leave(path: Path, data: bytes, why: str | None) -> None:
    if not data and not why:
        why = "the run ended before NVML had started"
    line = json.dumps({"error": why}).encode() + b"\n" if why else b""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    new = path.with_name(f".{NAME}.new")
    new.write_bytes(data + line)
    new.replace(path)
