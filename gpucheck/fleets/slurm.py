"""Slurm: a job array from a login node, one task a node, the reports through a folder that all nodes share.

Only nodes that are free are asked, so that nobody's job waits for ours or ends by it; a node that is drained, down or
taken is told with its state and the reason that the cluster itself has.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from gpucheck.fleets import slurm_home, slurm_jobs, slurm_nodes, slurm_world
from gpucheck.fleets.runs import Answer, Asked, known, with_devices
from gpucheck.fleets.slurm_home import Begun, Place
from gpucheck.fleets.slurm_nodes import Node
from gpucheck.model import Failure, Say
from gpucheck.nodes import same_name

OPTIONS = {
    "partition": "nodes of this partition, or of several: a,b",
    "constraint": "nodes with these features: a&b|c",
    "gpus": "GPUs that each node's job takes: all (the default), a number, 0",
    "busy": "yes: also nodes with jobs on them, as soon as they are free",
    "fanout": "how many nodes of an array at a time, where their starts would burden a file server (all)",
    "folder": "where the reports go, shared by all nodes; a new one in the current folder unless told",
    "account": "sbatch's --account", "qos": "sbatch's --qos",
    "reservation": "the nodes of this reservation, and sbatch's --reservation",
}  # fmt: skip
ENDING = 10.0  # seconds given to cancelled jobs


def run(asked: Asked, say: Say) -> Iterator[Answer]:
    known(asked, OPTIONS)
    if not re.fullmatch("[1-9][0-9]{0,6}", asked.options.get("fanout", "1")):
        raise Failure(f"{asked.options['fanout']!r} is no number of nodes", "1 or more; without it all at once")
    nodes = slurm_nodes.chosen(asked, slurm_nodes.sinfo(slurm_jobs.ask), slurm_jobs.ask)
    gpus = _gpus(asked)
    if asked.world:
        slurm_world.check(nodes, gpus)
        asked = replace(asked, command=with_devices(asked.command, nodes[0].gpus if gpus is None else gpus))
    begun = Begun(
        name=f"gpucheck-{secrets.token_hex(4)}",
        folder=slurm_home.folder(asked.options.get("folder")),
        at=time.monotonic(),
        deadline=asked.deadline,
        renamed=frozenset(node.name for node in nodes if not same_name(node.name, node.host)),
    )
    fit = []
    try:
        slurm_home.note(begun.folder, asked.command[0], [node.name for node in nodes], begun.renamed)
        for node in nodes:
            why = node.unfit(asked.options.get("busy") == "yes")
            if why is None and gpus is not None and gpus > node.gpus:
                why = f"it has {node.gpus} GPUs of the {gpus} that were asked for"
            if why is None:
                fit.append(node)
            else:
                yield begun.answer(node.name, why=why)
        if fit:
            submitted = slurm_world.run if asked.world else _submitted
            yield from submitted(asked, begun, fit, gpus, say)
    finally:
        _end(begun, fit)


def _gpus(asked: Asked) -> int | None:
    given = asked.options.get("gpus", "all")
    if given != "all" and not given.isdecimal():
        raise Failure(f"{given!r} is no number of GPUs", "all, or a number; 0 takes none")
    return None if given == "all" else int(given)


def _submitted(asked: Asked, begun: Begun, fit: Sequence[Node], gpus: int | None, say: Say) -> Iterator[Answer]:
    """One array for each partition and number of GPUs. Raises Failure where Slurm takes none of them."""
    most = slurm_jobs.largest_array()
    waiting: dict[str, Place] = {}
    kinds: dict[tuple[str, int], list[str]] = {}
    for node in fit:
        kinds.setdefault((node.partitions[0], node.gpus if gpus is None else gpus), []).append(node.name)
    refused: dict[str, Failure] = {}
    for (partition, count), names in kinds.items():
        for part in (names[first : first + most] for first in range(0, len(names), most)):
            say(f"submitting to {len(part)} nodes of {partition}", None)
            try:
                array = slurm_jobs.submit(asked, begun.folder, begun.name, partition, count, len(part))
                slurm_jobs.pin(array, part)
            except Failure as refusal:
                refused |= dict.fromkeys(part, refusal)
            else:
                waiting |= {name: (array, task) for task, name in enumerate(part)}
    if not waiting:
        raise next(iter(refused.values()))
    yield from (begun.answer(name, why=str(refusal)) for name, refusal in refused.items())
    yield from _released(begun, waiting, say)


def _released(begun: Begun, waiting: dict[str, Place], say: Say) -> Iterator[Answer]:
    arrays = sorted({array for array, _ in waiting.values()})
    tasks = slurm_jobs.rows(arrays)
    for name, place in list(waiting.items()):
        if place not in tasks or tasks[place].pinned != name:
            del waiting[name]
            with suppress(Failure):  # _end cancels it with all others
                slurm_jobs.ask(("scancel", "_".join(map(str, place))))
            yield begun.answer(name, why="Slurm did not let its job be bound to it (`scontrol update … ReqNodeList=`)")
    for array in arrays:
        with suppress(Failure):  # then it stays held, and its nodes' rows say so
            slurm_jobs.release(array)
    count, pause = len(waiting), min(max(len(waiting) / 200, 1.0), 10.0)
    ended: dict[str, float] = {}
    while waiting:
        late = time.monotonic() > begun.at + begun.deadline
        with suppress(Failure):  # slurmctld may be away for a while; what it said last holds
            tasks = slurm_jobs.rows(arrays)
        yield from slurm_home.home(begun, waiting)
        lost = [name for name in waiting if late or slurm_home.lost(tasks.get(waiting[name]), ended, name)]
        yield from slurm_home.missing(begun, lost, waiting, tasks, late)
        say(f"{count - len(waiting)} of {count} nodes have answered", (count - len(waiting)) / max(count, 1))
        if waiting:
            time.sleep(pause)


def _end(begun: Begun, nodes: Sequence[Node]) -> None:
    """Nothing of the run stays in the queue, no half of a report in the folder, and no empty folder."""
    if nodes:
        with suppress(Failure):  # --deadline ends it, should slurmctld be away
            slurm_jobs.cancel(begun.name)
    names = "|".join(re.escape(node.name) for node in nodes)
    half = re.compile(rf"\.(?:{names})\.\d+(?:\.said)?")  # as in slurm_jobs.SCRIPT
    end = time.monotonic() + ENDING
    with suppress(OSError):  # it may have been removed
        for said in begun.folder.glob(slurm_world.SAID.format(job="*")):
            said.unlink()
        while halves := [each for each in begun.folder.iterdir() if half.fullmatch(each.name)]:
            if time.monotonic() > end:
                for each in halves:
                    each.unlink(missing_ok=True)
                break
            time.sleep(0.2)
        slurm_home.tidy(begun.folder)
