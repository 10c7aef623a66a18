"""Whose reason a node is drained for, where what is remembered does not tell: the reason itself, and another look."""

from __future__ import annotations

from dataclasses import replace

from gpucheck.hooks import scheduler
from gpucheck.hooks.look import PROFILE
from gpucheck.hooks.memory import Memory
from gpucheck.host import CannotLook, Host
from gpucheck.lines import one_line


def recalled(host: Host, name: str, memory: Memory) -> Memory:
    """Of a node that has no disk, or whose file was torn: the reason says that its hook gave it, and for which rule.

    Only for one that this look asks about too: after a clean one, that rule holds.
    """
    try:
        here = scheduler.node(host, name)
    except CannotLook:
        return memory  # the next look asks again
    ours = here.drained and scheduler.rule_of(here.reason) in PROFILE
    return replace(memory, reason=here.reason if ours else None, lost=False)


def resume(host: Host, name: str, reason: str | None) -> str | None:
    """None where it was drained for this alone; else what somebody drained it for just then, which is put back.

    Slurm cannot be told to resume only what has our reason. But a reason outlives a resume, so another one shows that
    somebody was between. Raises CannotLook.
    """
    scheduler.resume(host, name)
    try:
        here = scheduler.node(host, name)
    except CannotLook:
        return None
    if here.reason is None or here.reason == reason:
        return None
    other = one_line(here.reason, 80)
    try:
        if not here.drained:
            scheduler.drain(host, name, here.reason)
    except CannotLook as why:
        raise CannotLook(f"it was drained for {other!r} just then, which cannot be put back: {why}") from why
    return other
