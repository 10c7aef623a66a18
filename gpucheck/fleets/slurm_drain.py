"""What becomes of nodes, told to Slurm: drained with a reason of ours, and resumed where the reason is ours.

Slurm keeps no count: the clean reports are those that are given together.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from gpucheck.draining import BACK, OUT, Decision, Standing
from gpucheck.hooks import reasons, scheduler
from gpucheck.host import CannotLook, Host, Local
from gpucheck.lines import one_line
from gpucheck.marks import Memory
from gpucheck.model import Failure


class Nodes:
    """Those of the cluster whose controller this machine asks."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def standings(self) -> list[Standing]:
        """Raises Failure."""
        try:
            listed = scheduler.listed(self.host)
        except CannotLook as why:
            raise Failure(f"Slurm does not tell its nodes: {why}", "from a login node: `sinfo -N`") from why
        equipped = any(each.gpus for each in listed)
        return [self._standing(each, each.gpus or not equipped) for each in listed]

    def do(self, decision: Decision) -> tuple[bool, str]:
        if decision.do not in (OUT, BACK):
            return True, ""  # there is nothing to be put right
        try:
            here = scheduler.node(self.host, decision.node)
            ours = here.drained and str(here.reason).startswith(scheduler.OURS)
            if here.otherwise_out or (here.drained and not ours):
                return False, f"it is {here.otherwise_out or 'drained by somebody else'} meanwhile"
            if decision.do == OUT and not here.drained and decision.memory:
                scheduler.drain(self.host, decision.node,
                                scheduler.reason(decision.memory.rule, decision.memory.reason))  # fmt: skip
                return True, ""
            taken = None
            if decision.do == BACK and here.drained:
                taken = reasons.resume(self.host, decision.node, here.reason)
        except CannotLook as why:
            return False, str(why)
        return taken is None, "" if taken is None else f"it was drained for {taken!r} just then"

    def _standing(self, each: scheduler.Listed, gpus: bool) -> Standing:
        if not each.drained:  # a reason outlives a resume: for what was known before it, a node is not drained again
            return Standing(name=each.name, gpus=gpus, closed=each.closed, memory=_memory(each), keeps=False)
        if not each.reason.startswith(scheduler.OURS):
            said = f"drained for {one_line(each.reason, 80)!r}, which stays"
            return Standing(name=each.name, gpus=gpus, closed=said)
        try:  # sinfo has one word for a state, and drained hides all others
            closed = scheduler.node(self.host, each.name).otherwise_out or ""
        except CannotLook as why:
            closed = f"not known ({why})"
        memory = _told(each)
        return Standing(name=each.name, gpus=gpus, out=True, memory=memory, keeps=False, shown=memory.message,
                        closed=closed)  # fmt: skip

    def missing(self) -> None:
        return None


def _memory(each: scheduler.Listed) -> Memory | None:
    """Of one that was out by `fleet drain`; a hook looks for itself, and again."""
    by_us = each.reason.startswith(scheduler.OURS) and not each.reason.endswith(scheduler.BY_HOOK)
    return _told(each) if by_us else None


def _told(each: scheduler.Listed) -> Memory:
    rule, _, reason = each.reason.removeprefix(scheduler.OURS).strip().partition(": ")
    since = datetime.fromtimestamp(each.when, UTC).isoformat()
    return Memory(rule=rule, reason=reason, since=since, counted=since)


def asked(options: Mapping[str, str]) -> Nodes:
    """Raises Failure."""
    for name in options:
        raise Failure(f"slurm has no option {name!r} here", "leave it out")
    return Nodes(Local(deadline=scheduler.SECONDS))
