"""One verify over all nodes, as one job of Slurm's: srun starts it once on each, and each writes a report of its own.

Whoever dies in it takes no other along: neither a task's end nor a lost node ends the job. What srun says of a node is
the reason that its row tells.
"""

from __future__ import annotations

import math
import re
import shlex
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from gpucheck.fleets import slurm_home, slurm_jobs, slurm_nodes
from gpucheck.fleets.runs import Answer, Asked, contents, printable
from gpucheck.fleets.slurm_home import Begun, Place
from gpucheck.fleets.slurm_jobs import Task
from gpucheck.fleets.slurm_nodes import Node
from gpucheck.model import Failure, Say

SAID = ".srun.{job}"  # in the folder: what srun complains of
# GRES is told again, since a step of an exclusive job does not inherit what came with that; sites' defaults would end
# all tasks with the first (WaitTime, KillOnBadExit), start each under PMI, or bind one that has all CPUs to some.
SCRIPT = """#!/bin/sh
umask 077
exec srun --nodes={nodes} --ntasks={nodes} --ntasks-per-node=1 --distribution=block --no-kill --kill-on-bad-exit=0 \\
  --wait=0 --mpi=none --cpu-bind=none --export=ALL {gres} /bin/sh -c {task} \\
  < /dev/null > /dev/null 2> {folder}/.srun.$SLURM_JOB_ID
"""
TASK = re.compile(r"srun: error: ([\w.,\[\]-]+): tasks? [\d,-]+: (.+)")
NODE = re.compile(r"srun: error: Node failure on ([\w.,\[\]-]+)")
WHOLE = re.compile(r"srun: (?:error|fatal): (.+)")
WORLD = ""  # no node is called so
LOST = "Slurm lost the node in the middle"
DOWN = 10  # every so many looks at the job comes one at the nodes' states
NO_FOLDER = f"Exited with exit code {slurm_jobs.NO_FOLDER}"
ENDED = "Exited with exit code 143"  # of slurm_jobs.SCRIPT, at SIGTERM


def check(nodes: Sequence[Node], gpus: int | None) -> None:
    """Raises Failure for nodes that are no world, whichever of them are free."""
    if len(nodes) < 2:
        raise Failure(f"a world has two nodes at least, and only {nodes[0].name} is meant", "more --nodes")
    if not _shared(nodes):
        names = sorted({node.partitions[0] for node in nodes})
        raise Failure(
            f"one job has one partition, and these nodes are of {', '.join(names)}",
            f"`-O partition={names[0]}`, or --nodes of one of them",
        )
    counts = {node.gpus: node.name for node in reversed(nodes)}
    if gpus is None and len(counts) > 1:
        told = ", ".join(f"{name} has {count}" for count, name in sorted(counts.items()))
        raise Failure(
            f"the nodes of a world have as many GPUs each, and {told}",
            f"`-O gpus={min(counts)}`, or other --nodes or -O constraint",
        )


def _shared(nodes: Sequence[Node]) -> str | None:
    """The partition of all of them that is meant first."""
    return next((each for each in nodes[0].partitions if all(each in node.partitions for node in nodes)), None)


def run(asked: Asked, begun: Begun, fit: Sequence[Node], gpus: int | None, say: Say) -> Iterator[Answer]:
    """See gpucheck.fleets.runs. Raises Failure where Slurm does not take the job."""
    if len(fit) < 2:
        yield from (begun.answer(node.name, why="no other node is free to make a world with") for node in fit)
        return
    job = _submitted(asked, begun, fit, gpus)
    waiting: dict[str, Place] = {node.name: (job, 0) for node in fit}
    count, pause, round_ = len(waiting), min(max(len(waiting) / 200, 1.0), 10.0), 0
    task: Task | None = None
    over = math.inf  # when the job had ended
    while waiting:
        late = time.monotonic() > begun.at + begun.deadline
        with suppress(Failure):  # slurmctld may be away for a while; what it said last holds
            task = slurm_jobs.rows((job,)).get((job, 0))
            over = min(over, time.monotonic()) if task is None or task.over else math.inf
        yield from slurm_home.home(begun, waiting)
        why = _reasons(begun, job) | (_down(waiting) if round_ % DOWN == DOWN - 1 else {})
        yield from _gone(begun, job, waiting, {name: why[name] for name in waiting if name in why})
        ended = time.monotonic() > over + slurm_home.SETTLING
        if ended and (all_ended := why.get(WORLD) or _killed(job)):
            yield from _gone(begun, job, waiting, dict.fromkeys(waiting, all_ended))
        elif ended or late:
            yield from slurm_home.missing(begun, [*waiting], waiting, {(job, 0): task} if task else {}, late)
        told = f"; its job waits: {printable(task.reason)}" if task and task.state == "PENDING" else ""
        say(f"{count - len(waiting)} of {count} nodes of the world have answered{told}", 1 - len(waiting) / count)
        round_ += 1
        if waiting:
            time.sleep(pause)


def _gone(begun: Begun, job: str, waiting: dict[str, Place], why: Mapping[str, str]) -> Iterator[Answer]:
    """With the state of each by now, which is often the reason."""
    there: dict[str, Node] = {}
    if why:
        with suppress(Failure):
            there = slurm_nodes.sinfo(slurm_jobs.ask)
    for name, reason in why.items():
        del waiting[name]
        with suppress(OSError):
            for half in begun.folder.glob(f".{name}.{job}*"):  # nobody there takes it away any more
                half.unlink()
        node = there.get(name)
        now = f"; it is {node.told}" if node and replace(node, reserved=True).unfit(busy=True) else ""
        yield begun.answer(name, why=reason + now)


def _submitted(asked: Asked, begun: Begun, fit: Sequence[Node], gpus: int | None) -> str:
    """Its number. All GPUs of a node go with all of its processors and memory, which the ranks share."""
    partition = _shared(fit)
    assert partition  # check() has seen it
    took = fit[0].gpus if gpus is None else gpus
    whole = ("--exclusive", "--mem=0") if gpus is None else ()
    script = SCRIPT.format(
        nodes=len(fit), gres=f"--gres=gpu:{took}" if took else "", folder=shlex.quote(str(begun.folder)),
        task=shlex.quote(slurm_jobs.task(begun.folder, (*asked.program, *asked.command, "--world", "auto"))),
    )  # fmt: skip
    nodes = (f"--nodes={len(fit)}", "--ntasks-per-node=1", f"--nodelist={','.join(node.name for node in fit)}")
    return slurm_jobs.sbatch(asked, begun.name, partition, took, (*nodes, *whole, "--no-kill"), script)


def _reasons(begun: Begun, job: str) -> dict[str, str]:
    """By node what srun says that ended it there; by WORLD what it says of the whole."""
    found: dict[str, str] = {}
    said = b""
    with suppress(ValueError):
        said = contents(begun.folder / SAID.format(job=job)) or b""
    for line in said.decode(errors="replace").splitlines():
        if told := TASK.match(line):
            words = {
                NO_FOLDER: f"it cannot write {begun.folder}: is the folder shared with it, and not full?",
                ENDED: "Slurm ended its task: the job was cancelled, or its time was over",
            }
            found |= dict.fromkeys(_each(told[1]), words.get(told[2]) or printable(f"its task ended: {told[2]}"))
        elif told := NODE.match(line):
            found |= dict.fromkeys(_each(told[1]), LOST)
            found.setdefault(WORLD, f"its job ended, for Slurm lost {told[1]} in the middle")
        elif told := WHOLE.match(line):
            found.setdefault(WORLD, printable(f"its job ended, and srun says: {told[1]}"))
    return found


def _killed(job: str) -> str | None:
    """Why no task of it goes on; None where it ended of itself."""
    with suppress(Failure):
        told = re.search(r" ExitCode=\d+:(\d+)", slurm_jobs.ask(("scontrol", "--oneliner", "show", "job", job)))
        return f"its job was ended by signal {told[1]} on the first node" if told and told[1] != "0" else None
    return None


def _each(nodes: str) -> list[str]:
    if not set(nodes) & set("[],"):
        return [nodes]
    with suppress(Failure):
        if slurm_nodes.NAMES.fullmatch(nodes):
            return slurm_jobs.ask(("scontrol", "show", "hostnames", nodes)).split()
    return []


def _down(waiting: Collection[str]) -> dict[str, str]:
    """Those that are no more, of which srun tells nothing where it ran on one of them."""
    with suppress(Failure):
        there = slurm_nodes.sinfo(slurm_jobs.ask)
        gone = (each for name, each in there.items() if name in waiting and each.state.startswith("down"))
        return dict.fromkeys((each.name for each in gone), LOST)
    return {}
