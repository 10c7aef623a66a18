"""What becomes of a node after a look: drained after failures in a row, resumed after clean looks, and no flapping.

Nothing is done where it is not known, where somebody else has decided, or where too many are drained already.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from gpucheck.hooks import reasons, scheduler
from gpucheck.hooks.look import Sight
from gpucheck.hooks.memory import Memory
from gpucheck.host import CannotLook, Host
from gpucheck.lines import one_line

PERIODIC, PROLOG, EPILOG = "health", "prolog", "epilog"
MOMENTS = (PERIODIC, PROLOG, EPILOG)
SETTLED = 1.2  # seconds after which nobody can be stamped as having drained before us: Slurm's stamps are whole seconds
AGAIN = 1.0  # seconds between the looks of a Prolog, whose job waits


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    failures: int = 2  # in a row, then it is out
    clean: int = 3  # in a row, then it is back
    share: float = 5.0  # percent of the cluster's GPU nodes that may be drained by us at once


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    memory: Memory
    sentence: str
    out: bool = False  # whether work should not come here now


@dataclass(frozen=True, kw_only=True, slots=True)
class Slurm:
    """A node of Slurm's. `keep` writes the memory down at once; with `dry` nobody is told anything."""

    host: Host
    name: str
    limits: Limits
    keep: Callable[[Memory], None]
    dry: bool = False
    pause: Callable[[float], None] = time.sleep


def looks(
    look: Callable[[], Sight], moment: str, limits: Limits, pause: Callable[[float], None] = time.sleep
) -> tuple[Sight, ...]:
    """One; in a Prolog as many as may fail, because its job waits for the answer."""
    seen = [look()]
    while moment == PROLOG and seen[-1].failed and not seen[-1].fatal and not seen[-1].absent:
        if len(seen) >= limits.failures:
            break
        pause(AGAIN)
        seen.append(look())
    return tuple(seen)


def slurm(at: Slurm, memory: Memory, sight: Sight, moment: str) -> Decision:
    """`memory` has this sight counted. Slurm is asked nothing while all is well: a Prolog must not burden it."""
    if sight.failed is None:
        return Decision(memory=memory, sentence=f"not known, so nothing is decided: {sight.sentence}")
    if memory.lost and moment == PERIODIC:
        memory = reasons.recalled(at.host, at.name, memory)
    if sight.failed:
        if sight.absent and memory.expects is False and moment != PERIODIC:
            return _no_gpu(at, memory)
        if memory.failures < at.limits.failures:
            return Decision(memory=memory, sentence=_counting(memory, sight, at.limits))
        return _failing(at, memory, sight)
    if memory.reason is None:
        return Decision(memory=memory, sentence=f"ok: {sight.sentence}")
    if sight.gpus < memory.gpus:
        few = f"{sight.gpus} of {memory.gpus} GPUs are on the bus"
        return Decision(memory=memory, sentence=f"{at.name} is not resumed: {few}: {sight.sentence}")
    if moment != PERIODIC or memory.clean < at.limits.clean:
        so_far = f"{memory.clean} of {at.limits.clean} clean looks until it is resumed"
        return Decision(memory=memory, sentence=f"{so_far}: {sight.sentence}")
    return _mended(at, memory)


def local(memory: Memory, sight: Sight, limits: Limits) -> Decision:
    """Where nobody is told, and whoever runs this acts on its exit code."""
    if sight.absent and not memory.expects:
        return Decision(
            memory=replace(memory, failures=0), sentence="ok: no NVIDIA GPU here, and there was none before"
        )
    if sight.failed is not None and not sight.absent:
        memory = replace(memory, expects=True)
    if sight.failed and memory.failures >= limits.failures:
        memory = replace(memory, reason=sight.sentence)
    elif memory.reason and memory.clean >= limits.clean:
        memory = replace(memory, reason=None)
    if memory.reason:
        return Decision(memory=memory, sentence=memory.reason, out=True)
    if sight.failed is None:
        return Decision(memory=memory, sentence=f"not known: {sight.sentence}")
    return Decision(
        memory=memory, sentence=_counting(memory, sight, limits) if sight.failed else f"ok: {sight.sentence}"
    )


def _counting(memory: Memory, sight: Sight, limits: Limits) -> str:
    return f"{memory.failures} of {limits.failures} failures in a row: {sight.sentence}"


def _no_gpu(at: Slurm, memory: Memory) -> Decision:
    kept = replace(memory, failures=0, expects=False)
    return Decision(memory=kept, sentence=f"ok: no NVIDIA GPU here, and Slurm expects none of {at.name}")


def _failing(at: Slurm, memory: Memory, sight: Sight) -> Decision:
    try:
        here = scheduler.node(at.host, at.name)
        memory = replace(memory, expects=here.gpus)
        if sight.absent and not here.gpus:
            return _no_gpu(at, memory)
        if here.drained or here.otherwise_out:
            return _out_already(at, memory, here, sight)
        nodes, drained = scheduler.drained_by_us(at.host)
        most = scheduler.most(nodes, at.limits.share)
        if len(drained) >= most:
            return Decision(memory=memory, sentence=f"{at.name} is not drained: {_enough(at, nodes, len(drained))}: "
                                                    f"{sight.sentence}")  # fmt: skip
        rule, _, message = sight.sentence.partition(": ")
        reason = scheduler.reason(rule, message, scheduler.BY_HOOK)
        if at.dry:
            return Decision(memory=memory, sentence=f"would drain {at.name}: {reason}", out=True)
        memory = replace(memory, reason=reason)
        at.keep(memory)  # before it is so: a drain that nobody remembers is nobody's to undo
        scheduler.drain(at.host, at.name, reason)
    except CannotLook as why:
        return Decision(memory=memory, sentence=f"{at.name} is not drained: {why}: {sight.sentence}")
    return _settled(at, memory)


def _settled(at: Slurm, memory: Memory) -> Decision:
    """All nodes may look at the same moment and find nobody drained: those that came too late step back."""
    at.pause(SETTLED)
    try:
        nodes, drained = scheduler.drained_by_us(at.host)
        late = at.name in drained and drained.index(at.name) >= scheduler.most(nodes, at.limits.share)
        why = _enough(at, nodes, len(drained))
    except CannotLook as unseen:
        late, why = True, f"how many others are cannot be told: {unseen}"
    if not late:
        return Decision(memory=memory, sentence=f"drained {at.name}: {memory.reason}", out=True)
    try:
        taken = reasons.resume(at.host, at.name, memory.reason)
    except CannotLook as refused:
        return Decision(
            memory=memory, sentence=f"{at.name} was drained, and is one too many ({why}): {refused}", out=True
        )
    told = f"{at.name} is not drained, and was for a moment: {why}: {memory.reason}"
    if taken:
        told = f"{at.name} is not drained by us ({why}), and was drained for {taken!r} just then"
    return Decision(memory=replace(memory, reason=None), sentence=told, out=taken is not None)


def _enough(at: Slurm, nodes: int, drained: int) -> str:
    most = scheduler.most(nodes, at.limits.share)
    return f"{drained} of {nodes} nodes are drained by gpucheck, and at most {most} may be ({at.limits.share:g} %)"


def _out_already(at: Slurm, memory: Memory, here: scheduler.Node, sight: Sight) -> Decision:
    if here.reason != memory.reason:
        memory = replace(memory, reason=None)
    whose = "by us" if memory.reason else f"for {one_line(here.reason or 'no reason', 80)!r}, which stays"
    state = "drained" if here.drained else str(here.otherwise_out).lower()
    told = f"{at.name} is {state} {whose}: {sight.sentence}"
    # A Prolog that says no has Slurm drain the node by itself, whatever the share; one to be rebooted takes jobs still.
    works = not here.drained and str(here.otherwise_out).startswith(("REBOOT", "POWER"))
    return Decision(memory=memory, sentence=told, out=not works)


def _mended(at: Slurm, memory: Memory) -> Decision:
    forgotten = replace(memory, reason=None)
    try:
        here = scheduler.node(at.host, at.name)
        if not here.drained:
            return Decision(memory=forgotten, sentence=f"ok: {at.name} is not drained any more; somebody resumed it")
        if here.reason != memory.reason:
            other = one_line(here.reason or "", 80)
            return Decision(memory=forgotten, sentence=f"{at.name} is not resumed: it is drained for {other!r} now")
        if here.otherwise_out:
            return Decision(memory=memory, sentence=f"{at.name} is not resumed: it is {here.otherwise_out} too")
        if at.dry:
            return Decision(memory=memory, sentence=f"would resume {at.name}: {memory.clean} clean looks in a row")
        taken = reasons.resume(at.host, at.name, memory.reason)
    except CannotLook as why:
        return Decision(memory=memory, sentence=f"{at.name} is not resumed: {why}")
    if taken:
        return Decision(memory=forgotten, sentence=f"{at.name} is not resumed: it was drained for {taken!r} just then")
    return Decision(memory=forgotten, sentence=f"resumed {at.name} after {memory.clean} clean looks: {memory.reason}")
