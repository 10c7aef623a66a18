"""One run of a fleet: what is asked of an engine, and what comes home from each node as it comes.

An engine's module has `run(asked, say) -> Iterator[Answer]`. It yields one Answer for every expected node, in the order
in which they come; a node that did not answer is an Answer that says why. It raises Failure for what cannot be begun.
On its way out, whichever it is, the engine ends what it has begun on the nodes: close it (contextlib.closing).
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from gpucheck.lines import one_line
from gpucheck.model import Failure, Say

LARGEST = 8 << 20  # bytes of one node's report; the largest of a real machine has a tenth of that
LONGEST = 300  # characters of what a node says when it fails


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    command: tuple[str, ...]  # gpucheck's arguments: ("doctor", "--format", "json"); its stdout is the report
    nodes: tuple[str, ...] = ()  # names and sets as the engine has them: ("gpu[1-4]",); () = all that it knows
    deadline: float = 300.0  # seconds for the whole run: who has not answered by then is missing
    program: tuple[str, ...] = ("gpucheck",)  # how a node calls it: ("/opt/venv/bin/gpucheck",)
    options: Mapping[str, str] = field(default_factory=dict)  # the engine's own, by the names in its OPTIONS
    world: bool = False  # one verify over all nodes, each of them its rank, by an engine of fleets.WORLDS


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """`report` is untrusted and unread, at most LARGEST bytes; None where none came home, and then `why` is told."""

    node: str
    report: bytes | None = None
    why: str | None = None
    seconds: float = 0.0  # since the run began
    named: bool = True  # `node` is what the machine calls itself, too; an address or an alias need not be


class Engine(Protocol):
    OPTIONS: Mapping[str, str]  # name -> what it means

    def run(self, asked: Asked, say: Say) -> Iterator[Answer]: ...


def known(asked: Asked, options: Iterable[str]) -> None:
    """Raises Failure for an option that this engine does not have."""
    for name in asked.options:
        if name not in options:
            raise Failure(f"this engine has no option {name!r}", f"it has {', '.join(options)}")


def none_such(what: str, name: str, there: Iterable[str]) -> Failure:
    """The Failure for a name with a typo, with the nearest of those that exist."""
    have = sorted(set(there))
    near = difflib.get_close_matches(name, have, n=3, cutoff=0.5) or have[:8]
    tip = f"{'perhaps' if len(near) < 4 else 'there are'} {', '.join(near)}" if near else f"it has no {what} at all"
    return Failure(f"there is no {what} {printable(name)!r}", tip)


def with_devices(command: tuple[str, ...], gpus: int | None) -> tuple[str, ...]:
    """The verify of a world trains on all GPUs that each node gives. Raises Failure where it says another number, or
    none and nobody knows how many these are (`gpus` None).
    """
    told = dict(zip((*command, ""), (*command[1:], "", ""), strict=True))
    told |= {name: value for name, _, value in (word.partition("=") for word in command) if value}
    if told.get("--device") == "cpu" or gpus == 0:
        return command
    if gpus is None:
        if "--devices" not in told:
            raise Failure("how many GPUs a node has, only the node knows", "--command 'verify --devices 8 …'")
        return command
    if told.get("--devices", str(gpus)) != str(gpus):
        raise Failure(
            f"each node gives {gpus} GPUs, and --devices says {printable(told['--devices'])}: some would stand idle",
            f"leave --devices out, or `-O gpus={printable(told['--devices'])}`",
        )
    return command if "--devices" in told else (*command, "--devices", str(gpus))


def printable(text: str) -> str:
    """One line of what a node or its engine said."""
    return one_line(text, LONGEST)


def contents(file: Path) -> bytes | None:
    """A report that a node wrote; None where there is no file yet. Raises ValueError, in a sentence."""
    try:
        with open(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as opened:
            data = opened.read(LARGEST + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ValueError(f"its report cannot be read: {error.strerror}") from error
    if len(data) > LARGEST:
        raise ValueError(f"its report is larger than {LARGEST >> 20} MB")
    return data
