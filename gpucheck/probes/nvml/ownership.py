"""Whether a process that NVML lists is of the run that is watched, by what /proc says of it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

MOST_ANCESTORS = 64


class _Stat(NamedTuple):
    parent: int
    session: int
    started: str  # in clock ticks since boot: with the pid it names a process for good


class Ours:
    """Call it with a pid: True or False, or None where /proc has no such process.

    Of the run is a process whose cgroup names the container `cgroup`, that descends from `pid`, is in its session, or
    has `mark` ("NAME=value") in its environment. Once known it stays so, also when its parents have ended.

    NVML's pids are those of the pid namespace of whoever asks, or, from older drivers, the host's (os_find_ns_pid in
    github.com/NVIDIA/open-gpu-kernel-modules; NVIDIA/nvidia-docker issue 1483).
    """

    def __init__(self, pid: int | None = None, cgroup: str | None = None, mark: str | None = None) -> None:
        self._pid, self._cgroup, self._mark = pid, cgroup, mark
        self._known: dict[int, tuple[str, bool]] = {}

    def __call__(self, pid: int) -> bool | None:
        known, stat = self._known.get(pid), _stat(pid)
        if stat is None:  # it has ended, but NVML lists it still
            return None if known is None else known[1]
        if known is None or known[0] != stat.started:
            self._known[pid] = known = stat.started, self._judge(pid, stat)
        return known[1]

    def _judge(self, pid: int, stat: _Stat) -> bool:
        if self._cgroup and self._cgroup.encode() in _read(pid, "cgroup"):
            return True
        if self._mark and self._mark.encode() in _read(pid, "environ").split(b"\0"):
            return True
        return self._pid is not None and self._descends(pid, stat)

    def _descends(self, pid: int, stat: _Stat | None) -> bool:
        path: list[tuple[int, str]] = []
        while stat is not None and len(path) < MOST_ANCESTORS:
            path.append((pid, stat.started))
            if self._pid in (pid, stat.session) or self._known.get(pid) == (stat.started, True):
                self._known.update({each: (started, True) for each, started in path})
                return True
            pid = stat.parent
            stat = _stat(pid)
        return False


def _stat(pid: int) -> _Stat | None:
    """proc_pid_stat(5): the name, in brackets, may itself hold brackets and spaces."""
    fields = _read(pid, "stat").rpartition(b")")[2].split()
    return _Stat(int(fields[1]), int(fields[3]), fields[19].decode()) if len(fields) > 19 else None


def _read(pid: int, name: str) -> bytes:
    """Nothing where the process has ended, or is another user's."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""
