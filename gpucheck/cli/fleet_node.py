"""`gpucheck fleet node`: what the hooks run: a quick look at this node, and what becomes of it."""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpucheck.cli.options import among, one_of
from gpucheck.cli.screen import complain
from gpucheck.model import Failure

if TYPE_CHECKING:
    from gpucheck.hooks.look import Sight
    from gpucheck.hooks.memory import Memory
    from gpucheck.hooks.node import Decision

PURPOSES = ("slurm", "npd", "systemd")
MOMENTS = ("health", "prolog", "epilog")
NPD_LINE = 80  # bytes; node-problem-detector cuts what is longer, through the middle of a letter
OUT, NOT_KNOWN = 1, {"npd": 2, "systemd": 3}


def node(
    purpose: Annotated[
        str,
        typer.Option(
            "--for", help=f"{', '.join(PURPOSES)}.", callback=one_of(*PURPOSES), autocompletion=among(*PURPOSES)
        ),
    ],
    moment: Annotated[
        str,
        typer.Option(
            "--at", help=f"For slurm: {', '.join(MOMENTS)}.", callback=one_of(*MOMENTS), autocompletion=among(*MOMENTS)
        ),
    ] = "health",
    name: Annotated[
        str | None, typer.Option("--node", help="Its name in Slurm. Default: SLURMD_NODENAME, or the host's.")
    ] = None,
    failures: Annotated[int, typer.Option(help="So many in a row, and the node is out.", min=1)] = 2,
    clean: Annotated[int, typer.Option(help="So many clean looks in a row, and it is back.", min=1)] = 3,
    share: Annotated[
        float,
        typer.Option(
            help="Percent of the GPU nodes that gpucheck may have drained at once; always one.", min=0, max=100
        ),
    ] = 5.0,
    state: Annotated[Path, typer.Option(help="Where it is remembered from run to run.", metavar="DIR")] = Path(
        "/var/lib/gpucheck/hooks"
    ),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; change nothing.")] = False,
    recording: Annotated[
        Path | None, typer.Option("--from", help="Judge this bundle or recording instead.", metavar="FILE")
    ] = None,
) -> int:
    """A look of under a second at GPUs and driver; after failures in a row the node is drained, and later resumed.

    Exit code 0: work may come here; 1: it should not. Not known: 0 for slurm, 2 for npd, 3 for systemd.
    """  # fmt: skip
    from gpucheck.hooks import look, memory
    from gpucheck.hooks import node as deciding
    from gpucheck.host import Local

    limits = deciding.Limits(failures=failures, clean=clean, share=share)
    look.forget_the_job()
    named = name or os.environ.get("SLURMD_NODENAME") or socket.gethostname().partition(".")[0]
    if not re.fullmatch(r"\w[\w.-]*", named):
        raise Failure(f"{named!r} is not the name of a node", "as in `sinfo -N`")
    file = state / (f"slurm-{named}.json" if purpose == "slurm" else f"{purpose}.json")
    at = moment if purpose == "slurm" else deciding.PERIODIC
    seen = deciding.looks(_looker(recording), at, limits)

    def decided(before: Memory) -> Decision:
        after = before
        for sight in seen:
            after = memory.counted(after, sight, enough=failures, periodic=at == deciding.PERIODIC)
        if purpose != "slurm":
            return deciding.local(after, seen[-1], limits)
        keep = _nothing if dry_run else lambda now: memory.write(file, now)
        here = deciding.Slurm(host=Local(), name=named, limits=limits, keep=keep, dry=dry_run)
        return deciding.slurm(here, after, seen[-1], at)

    if dry_run:
        decision = decided(_remembered(file))
    else:
        with memory.held(file):
            decision = decided(_remembered(file))
            memory.write(file, decision.memory)
    return _told(decision, purpose, seen[-1], dry_run)


def _looker(recording: Path | None) -> Callable[[], Sight]:
    from gpucheck.hooks import look
    from gpucheck.host import Host, Local

    host: Host = Local(deadline=look.COMMAND)
    if recording:
        from gpucheck import bundles
        from gpucheck.model import Report

        found = bundles.load(recording)
        if isinstance(found, Report):
            raise Failure(f"{recording} is a report: it has no answers to judge again", "a bundle has them")
        host = found
    return lambda: look.look(host)


def _remembered(file: Path) -> Memory:
    from gpucheck.hooks import memory

    found, lost = memory.read(file)
    if lost:
        complain(lost, None)
    return found


def _nothing(_: Memory) -> None:
    pass


def _told(decision: Decision, purpose: str, last: Sight, dry: bool) -> int:
    from gpucheck.lines import one_line

    line = one_line(decision.sentence, 1000)
    if purpose == "npd" and len(line.encode()) > NPD_LINE:
        line = line.encode()[: NPD_LINE - len("…".encode())].decode(errors="ignore").rstrip() + "…"
    sys.stdout.write(line + "\n")
    if decision.out:
        return 0 if dry and purpose == "slurm" else OUT
    return NOT_KNOWN.get(purpose, 0) if last.failed is None else 0
