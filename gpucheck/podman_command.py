"""Podman's command: its answers, its output line by line, and what it says when it refuses."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

from gpucheck import refusals
from gpucheck.model import Failure
from gpucheck.supervisor import descendants

CHUNK = 2**20
GRACE = 10.0  # seconds for Podman to end by itself
BUILD_GRACE = 30.0  # and to come to its next step, and remove what the build had begun
HEALTH = "`podman info` shows whether Podman is healthy"

# What Podman says -> our sentence, with the expression's groups, and the tip. The first that matches counts, before
# what Docker Engine and Podman have in common (refusals.ENGINE).
PODMAN = (
    (
        r"unresolvable CDI devices? ([^\s\"]+)",
        "Podman finds no CDI specification with the device {0}",
        "`sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml` writes one; or ask for the CPU: `--device cpu`",
    ),
    (
        r"[Nn]o space left on device",
        "Podman's disk is full",
        "`podman system df` shows what takes the space, `podman image prune` removes images without a name",
    ),
    (r"exec: \"([^\"]+)\": executable file not found", "the image has no command {0}", "is its name right?"),
    (r"cgroups in hybrid mode not supported", "crun cannot work with this machine's hybrid cgroups",
     'install runc and set runtime = "runc" under [engine] in containers.conf'),
    (
        r"(?:no subuid ranges found|cannot find UID/GID|insufficient UIDs or GIDs|no subgid ranges found)",
        "rootless Podman has no further user ids for its containers",
        "`sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER`, then `podman system migrate`",
    ),
    (r"short-name \"?([^\s\"]+)\"? did not resolve", "Podman has no image {0}, and looks for no such name elsewhere",
     "`gpucheck build` makes ours; another's has its registry in its name: docker.io/library/python:3.12"),
    (r"(?:([^\s:]+(?::[^\s:]+)?): )?image not known", "Podman has no image {0}", "`gpucheck build` makes it"),
)  # fmt: skip


class Command:
    """Podman by its command. Raises Failure where it is not there, or refuses."""

    def __init__(self, name: str) -> None:
        self._argv = (name, "--log-level", "error")

    def ask(self, *words: str, stdin: IO[bytes] | None = None) -> str:
        """What it prints. Interrupted, it is ended at once."""
        with self.child(*words, stdin=stdin) as (child, errors):
            out, _ = child.communicate()
            refuse(child, errors)
        return out.decode("utf-8", "replace")

    def json(self, *words: str) -> Any:
        try:
            return json.loads(self.ask(*words))
        except ValueError as error:
            raise Failure(f"podman {words[0]} did not answer in JSON", HEALTH, 1) from error

    def chunks(self, *words: str) -> Generator[bytes]:
        """What it prints, as it comes."""
        with self.child(*words) as (child, errors):
            assert child.stdout is not None
            while chunk := child.stdout.read(CHUNK):
                yield chunk
            child.wait()
            refuse(child, errors)

    def affirms(self, *words: str) -> bool:
        """Whether it ends with 0, and not with 1."""
        with self.child(*words) as (child, errors):
            child.communicate()
            if child.returncode != 1:
                refuse(child, errors)
        return child.returncode == 0

    @contextmanager
    def child(
        self, *words: str, stdin: IO[bytes] | None = None, both: bool = False, is_build: bool = False
    ) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
        """The running command and its errors' file; it is ended when the block is left early.

        In a session of its own: Ctrl-C is for gpucheck, which then ends it.
        """
        with tempfile.TemporaryFile() as errors:
            try:
                child = subprocess.Popen(
                    [*self._argv, *words], stdin=stdin or subprocess.DEVNULL, stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT if both else errors, start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                tip = "install it: `sudo apt-get install podman`; or use Docker, or `--on host`"
                raise Failure(f"Podman cannot be run: {error.strerror}", tip, 1) from error
            assert child.stdout is not None
            try:
                yield child, errors
            finally:
                if is_build and child.poll() is None:
                    _end_steps(child)
                if child.poll() is None:
                    child.terminate()
                    with suppress(subprocess.TimeoutExpired):
                        child.communicate(timeout=GRACE)
                    child.kill()
                    child.wait()
                child.stdout.close()


def _end_steps(child: subprocess.Popen[bytes]) -> None:
    """Podman that is told to end leaves a build's step running, and its container; one whose step dies removes both."""
    end, own = time.monotonic() + BUILD_GRACE, _pid_namespace(child.pid)
    while child.poll() is None and time.monotonic() < end:
        for pid in descendants(child.pid):
            if _pid_namespace(pid) not in (None, own):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            child.communicate(timeout=0.1)


def _pid_namespace(pid: int) -> str | None:
    """None where the process has ended, or is another user's."""
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return None


def lines(child: subprocess.Popen[bytes]) -> Iterator[str]:
    """Its output, line by line, until it ends."""
    assert child.stdout is not None
    for line in child.stdout:
        yield line.decode("utf-8", "replace").rstrip("\r\n")
    child.wait()


def refuse(child: subprocess.Popen[bytes], errors: IO[bytes]) -> None:
    """Raises Failure where the command failed."""
    if child.returncode:
        errors.seek(0)
        raise Failure(*sentence(errors.read().decode("utf-8", "replace")), 1)


def sentence(text: str) -> tuple[str, str]:
    """(sentence, tip) for what Podman said; its own last "Error: " line where the text is new to us."""
    return known(text) or refusals.known(text) or (f"Podman refused: {last_error(text)}", HEALTH)


def known(text: str) -> tuple[str, str] | None:
    """(sentence, tip) for what PODMAN has; None where it is not there."""
    for pattern, told, tip in PODMAN:
        if match := re.search(pattern, text):
            return told.format(*match.groups()), tip
    return None


def last_error(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()] or ["it said nothing"]
    errors = [line.removeprefix("Error: ") for line in lines if line.startswith("Error: ")]
    return (errors or lines)[-1]
