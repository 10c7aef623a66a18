"""What comes home from a Slurm run: the files that the jobs leave in the shared folder, and why there is none."""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Iterator, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from gpucheck import rosters
from gpucheck.fleets import slurm_jobs, slurm_nodes
from gpucheck.fleets.runs import Answer, contents, printable
from gpucheck.fleets.slurm_jobs import Task, Tasks
from gpucheck.fleets.slurm_nodes import Node
from gpucheck.model import Failure
from gpucheck.nodes import ASKED
from gpucheck.rosters import Roster

SETTLING = 20.0  # seconds until a report that a job has left must be seen here: NFS shows it late
Place = tuple[str, int]  # array and task


@dataclass(frozen=True, kw_only=True, slots=True)
class Begun:
    name: str  # of the jobs
    folder: Path
    at: float
    deadline: float  # seconds
    renamed: frozenset[str] = frozenset()  # nodes that Slurm calls otherwise than they do: NodeName, NodeHostname

    def answer(self, node: str, report: bytes | None = None, why: str | None = None) -> Answer:
        named = node not in self.renamed
        return Answer(node=node, report=report, why=why, seconds=time.monotonic() - self.at, named=named)


def folder(given: str | None) -> Path:
    """Where the nodes write. Raises Failure for one that has reports already, which could not be told from new ones."""
    folder = Path(given or "").absolute()
    try:
        if not given:  # two runs may begin in the same second
            return Path(tempfile.mkdtemp(prefix=time.strftime("gpucheck-fleet-%Y%m%d-%H%M%S-"), dir=folder))
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(each.suffix in (".json", ".failed") for each in folder.iterdir()):
            raise Failure(f"{folder} has the reports of an earlier run", "give a new folder for each run")
    except OSError as error:
        tip = "give one that all nodes share and you may write"
        raise Failure(f"the folder {folder} cannot be used: {error.strerror}", tip) from error
    return folder


def note(folder: Path, command: str, nodes: Sequence[str], renamed: Set[str] = frozenset()) -> None:
    """Whom the run asks: a `fleet report` of this folder misses those from whom nothing came."""
    with suppress(OSError):  # then no job writes there either, and its row says so
        (folder / ASKED).write_text(
            rosters.text(Roster({node: node in renamed for node in nodes}, rosters.now(), command))
        )


def tidy(folder: Path) -> None:
    """Away with a folder to which nothing came."""
    if {each.name for each in folder.iterdir()} == {ASKED}:
        (folder / ASKED).unlink()
        folder.rmdir()


def home(begun: Begun, waiting: dict[str, Place]) -> Iterator[Answer]:
    """What lies in the folder by now."""
    for name in _listed(begun.folder):
        node, _, kind = name.rpartition(".")
        if node not in waiting or kind not in ("json", "failed"):
            continue
        try:
            data = contents(begun.folder / name) or b""
        except ValueError as error:
            answer = begun.answer(node, why=str(error))
        else:
            answer = begun.answer(node, data) if kind == "json" else begun.answer(node, why=_failed(data))
        del waiting[node]
        yield answer


def _listed(folder: Path) -> list[str]:
    """Touching it makes NFS look again; a server that is away for a while is asked again until the deadline."""
    with suppress(OSError):
        os.utime(folder)
        return os.listdir(folder)
    return []


def _failed(data: bytes) -> str:
    code, _, said = data.decode("utf-8", "replace").partition("\n")
    said = re.sub(r"^\S*(?:slurm_script|/sh): (?:line )?\d+: ", "", said.strip())  # another on each node
    return printable(f"gpucheck ended with {code} and no report: {said or 'it said nothing'}")


def lost(task: Task | None, ended: dict[str, float], node: str) -> bool:
    """Whether nothing will come any more; where the job itself has ended, its report may be on the way."""
    if task and not task.over:
        return False
    if task and task.state != "COMPLETED":  # whoever has left something ends with 0
        return True
    return time.monotonic() > ended.setdefault(node, time.monotonic()) + SETTLING


def missing(begun: Begun, lost: Sequence[str], waiting: dict[str, Place], tasks: Tasks, late: bool) -> Iterator[Answer]:
    """With the state of each node by now, which is often the reason."""
    there: dict[str, Node] = {}
    if lost:
        with suppress(Failure):
            there = slurm_nodes.sinfo(slurm_jobs.ask)
    halves = _listed(begun.folder)
    for name in lost:
        place = waiting.pop(name)
        task, node = tasks.get(place), there.get(name)
        now = f"; it is {node.told}" if node and replace(node, reserved=True).unfit(busy=True) else ""
        works = any(each.startswith(f".{name}.") for each in halves)
        yield begun.answer(name, why=_why(begun, place, task, late and not (task and task.over), works) + now)


def _why(begun: Begun, place: Place, task: Task | None, late: bool, begun_there: bool) -> str:
    if late and task and task.state == "PENDING":
        return printable(f"its job did not start within {begun.deadline:g} s: {task.reason}")
    if late and begun_there:
        return f"gpucheck did not end within {begun.deadline:g} s"
    if late:
        return f"Slurm sent its job there, and it has not begun to work within {begun.deadline:g} s"
    if task is None or task.state in ("COMPLETED", "FAILED"):
        if slurm_jobs.exit_code(*place) == slurm_jobs.NO_FOLDER:
            return f"it cannot write {begun.folder}: is the folder shared with it, and not full?"
        return f"its job ended and left no report in {begun.folder}: is the folder shared with it?"
    reason = "" if task.reason in ("None", "") else f" ({task.reason})"
    return printable(f"its job was lost: {task.state.lower().replace('_', ' ')}{reason}")
