"""A node as Slurm has it, and what Slurm is told of it: scontrol and sinfo through a host's door.

Their text, not their JSON: its lines have been the same for many releases, while the JSON follows a data parser's
version and is not built in everywhere. Written against Slurm 24.11.5 (tests/fakeslurm answers as that did).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from gpucheck.host import NO_SUCH_COMMAND, CannotLook, Host
from gpucheck.lines import one_line

OURS = "gpucheck:"  # how every reason of ours starts; a node with another is never touched
BY_HOOK = " (by its hook)"  # how one ends that the node itself gave: `fleet drain` judges by more than a look sees
LONGEST = 200  # characters of a reason
SECONDS = 5.0  # for one command: a controller that is overrun answers late, and a hook must not wait for it
NOT_ALLOWED = ("Invalid user id", "Access/permission denied")  # slurm_update error: ...
GPU = re.compile(r"(^|,)gpu\b")  # in a node's Gres
OTHERS = ("DOWN", "FAIL", "REBOOT", "POWER")  # what a drain of ours is not alone with: an administrator's, or Slurm's


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    state: frozenset[str]  # "IDLE", "MIXED", "DOWN", "DRAIN", "NOT_RESPONDING", ...
    reason: str | None
    gpus: bool  # whether Slurm expects a GPU of it

    @property
    def drained(self) -> bool:
        return "DRAIN" in self.state

    @property
    def otherwise_out(self) -> str | None:
        """The word of its state that keeps it from work beside a drain."""
        return next((word for word in sorted(self.state) if word.startswith(OTHERS)), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """A node as sinfo has it: %T is one word, "idle", "draining*"; the reason stays after a resume."""

    name: str
    state: str
    when: int  # of the reason
    gpus: bool
    reason: str

    @property
    def drained(self) -> bool:
        return "drain" in self.state

    @property
    def closed(self) -> str:
        """The word of its state that keeps it from work beside a drain."""
        word = self.state.rstrip("*~#!%$@^+-")
        return word if word.upper().startswith(OTHERS) else ""


def node(host: Host, name: str) -> Node:
    """Raises CannotLook where Slurm does not tell."""
    text = _asked(host, "scontrol", "show", "node", name)
    if not re.search(rf"^NodeName={re.escape(name)} ", text, re.MULTILINE):
        raise CannotLook(f"scontrol shows another node than {name}")  # NodeName=ALL would be every node to an update
    state = re.search(r"^ +State=(\S+)", text, re.MULTILINE)
    if not state:
        raise CannotLook(f"scontrol tells no state of {name}")
    gres = re.search(r"^ +Gres=(\S+)", text, re.MULTILINE)
    reason = re.search(r"^ +Reason=(.*?)(?: \[[^][]*@[^][]*\])?$", text, re.MULTILINE)
    return Node(
        state=frozenset(re.sub("[^A-Z_]", "", word) for word in state[1].split("+")),  # some releases: "DOWN*+DRAIN"
        reason=reason[1] if reason else None,
        gpus=bool(gres and GPU.search(gres[1])),
    )


def listed(host: Host) -> list[Listed]:
    """Every node of the cluster, each once. Raises CannotLook."""
    text = _asked(host, "env", "SLURM_TIME_FORMAT=%s", "sinfo", "--all", "-h", "-N", "-o", "%N|%T|%H|%G|%E")
    found: dict[str, Listed] = {}
    for line in text.splitlines():  # a line a node and partition
        name, state, when, gres, reason = (*line.split("|", 4), "", "", "", "")[:5]
        found[name] = Listed(
            name=name,
            state=state,
            when=int(when) if when.isdecimal() else 0,
            gpus=bool(GPU.search(gres)),
            reason=reason,
        )
    if not found:
        raise CannotLook("sinfo tells of no node")
    return list(found.values())


def drained_by_us(host: Host) -> tuple[int, tuple[str, ...]]:
    """How many nodes with GPUs the cluster has (all, where Slurm knows of no GPU), and which are drained with a reason
    of ours, the first that were so first: 5 % of a large cluster may be every node of it that has GPUs.

    Raises CannotLook. Slurm stamps a reason with its own clock, so every node that asks sees the same order.
    """
    nodes = listed(host)
    found = sorted((each.when, each.name) for each in nodes if each.drained and each.reason.startswith(OURS))
    return sum(each.gpus for each in nodes) or len(nodes), tuple(name for _, name in found)


def most(nodes: int, percent: float) -> int:
    """How many of so many nodes may be drained at once: in a small cluster one."""
    return max(1, math.floor(nodes * percent / 100))


def drain(host: Host, name: str, reason: str) -> None:
    """Running jobs go on; no new one begins. Raises CannotLook where Slurm was not told, or did not say."""
    _asked(host, "scontrol", "update", f"NodeName={name}", "State=DRAIN", f"Reason={reason}")


def resume(host: Host, name: str) -> None:
    """Raises CannotLook."""
    _asked(host, "scontrol", "update", f"NodeName={name}", "State=RESUME")


def calls(host: Host, path: str) -> bool:
    """Whether Slurm's configuration still has this program in it: a node whose Prolog is missing is drained by Slurm.

    Without Slurm, or where it does not tell, nothing does.
    """
    try:
        return path in _asked(host, "scontrol", "show", "config")
    except CannotLook:
        return False


def reason(rule: str, message: str, mark: str = "") -> str:
    """scontrol takes a quotation mark at the end away, and what it then has would not be ours to resume."""
    text = one_line(f"{OURS} {rule}: {message}", LONGEST - len(mark or ".")).rstrip('" ')
    return text + (mark or "." * text.endswith(BY_HOOK))  # what a report says is no hook's mark


def rule_of(reason: str | None) -> str | None:
    """The rule for which a node's own hook drained it; None where another did, or for no rule."""
    if not reason or not reason.startswith(OURS) or not reason.endswith(BY_HOOK):
        return None
    return reason.removeprefix(OURS).strip().partition(": ")[0]


def _asked(host: Host, *argv: str) -> str:
    done = host.run(argv, SECONDS)
    command = next(word for word in argv if word in ("scontrol", "sinfo"))
    if done.code == 0:
        return done.out
    if done.code == NO_SUCH_COMMAND:
        raise CannotLook(f"{command} is not installed here, or not on PATH")
    said = next(iter(reversed([*done.out.splitlines(), *done.err.splitlines()])), f"it ends with {done.code}")
    if any(word in said for word in NOT_ALLOWED):
        raise CannotLook(f"this user may not tell Slurm ({said}): root and SlurmUser may")
    raise CannotLook(f"{command}: {one_line(said, LONGEST)}")
