"""`gpucheck fleet drain REPORTS…`: the scheduler is told who failed, and who is mended."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from gpucheck.cli.fleet_run import options
from gpucheck.cli.options import among, one_of
from gpucheck.cli.screen import complain, manners
from gpucheck.fleets import engine
from gpucheck.model import Failure
from gpucheck.render.grouping import SIGNS
from gpucheck.render.wording import printable

if TYPE_CHECKING:
    from gpucheck.draining import Decision, Limits, Plan, Standing
    from gpucheck.looks import Look
    from gpucheck.nodes import Arrived, Unread

SCHEDULERS = ("kubernetes", "slurm")
NOT_DONE, NOT_KNOWN = 1, 3


class Scheduler(Protocol):
    def standings(self) -> list[Standing]: ...

    def do(self, decision: Decision) -> tuple[bool, str]: ...

    def missing(self) -> tuple[str, str] | None: ...


def drain(
    engine_name: Annotated[
        str,
        typer.Option(
            "--engine",
            help=f"{', '.join(SCHEDULERS)}.",
            callback=one_of(*SCHEDULERS),
            autocompletion=among(*SCHEDULERS),
        ),
    ],
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            help="What `fleet run -o` brought: folders, files; - is stdin.", metavar="REPORTS...", show_default=False
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; change nothing.")] = False,
    share: Annotated[
        float,
        typer.Option(help="Percent of the GPU nodes that gpucheck may have out at once; always one.", min=0, max=100),
    ] = 5.0,
    clean: Annotated[int, typer.Option(help="So many clean reports in a row, and a node is back.", min=1)] = 2,
    max_age: Annotated[
        float, typer.Option(help="Hours; an older report decides nothing.", min=0.01, max=24 * 365)
    ] = 24.0,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", "-O", help="Of the engine; a wrong one lists them. Repeatable.", metavar="NAME=VALUE"),
    ] = None,
    render: Annotated[
        bool, typer.Option("--render", help="Print what it may do as manifests; no cluster is asked. Kubernetes.")
    ] = False,
) -> int:
    """Nodes that failed are taken out of scheduling, those that are mended are given back; jobs go on running.

    Exit code 1 where something was not done that should be, 3 where a node is not known, else 0.
    """  # fmt: skip
    from gpucheck.draining import Limits

    if render:
        if engine_name != "kubernetes":
            raise Failure(f"the engine {engine_name} has no manifests", "--render is of --engine kubernetes")
        sys.stdout.write(_kubernetes().render(options(option)))
        return 0
    if not files:
        raise Failure("no reports were given", "`gpucheck fleet run -o DIR` brings them: `gpucheck fleet drain DIR …`")
    scheduler = _scheduler(engine_name, options(option))
    plan = _plan(files, scheduler, Limits(clean=clean, share=share, age=timedelta(hours=max_age)))
    code = _carried_out(plan, scheduler, dry_run)
    if plan.over:
        complain(plan.over, "look at one of them; --share allows more")
    if lacking := scheduler.missing():
        complain(*lacking)
    return code


def _scheduler(name: str, told: dict[str, str]) -> Scheduler:
    if name == "slurm":
        from gpucheck.fleets import slurm_drain

        return slurm_drain.asked(told)
    found: Scheduler = _kubernetes().asked(told)
    return found


def _kubernetes() -> ModuleType:
    engine("kubernetes")  # or what it needs is not installed
    return importlib.import_module("gpucheck.fleets.kubernetes_drain")


def _plan(files: list[Path], scheduler: Scheduler, limits: Limits) -> Plan:
    from gpucheck import draining, gathering, matrix
    from gpucheck.hooks.scheduler import most

    looks: list[Look] = []
    standings = scheduler.standings()
    fleet = matrix.collect(_seen(gathering.each(files), looks), [each.name for each in standings])
    judged = [row for row in fleet.nodes if row.source]  # without those of whom nobody asked
    return draining.decide(looks, judged, standings, limits, datetime.now(UTC), most)


def _seen(came: Iterator[Arrived | Unread], looks: list[Look]) -> Iterator[Arrived | Unread]:
    from gpucheck.looks import look
    from gpucheck.nodes import Arrived

    for each in came:
        if isinstance(each, Arrived) and not each.doubt:
            looks.append(look(each))
        yield each


def _carried_out(plan: Plan, scheduler: Scheduler, dry: bool) -> int:
    """Each is told as soon as it is done; the exit code."""
    from gpucheck.draining import BACK, COUNTED, OUT, TIDIED, UNDONE, UNKNOWN, WELL

    out, code, done = plan.out, 0, dict.fromkeys((OUT, BACK), 0)
    for each in plan.decisions:
        do, said, kind = each.do, each.said, "skip"
        if do in (OUT, BACK, COUNTED, TIDIED):
            kind = "warning" if do == OUT else "pass"
            changed, why = True, ""
            if do == OUT and out >= plan.most:
                changed, why = False, "a node that should have made room is out still"
            elif not dry:
                changed, why = scheduler.do(each)
            out += changed and (do == OUT) - (do == BACK)
            if changed and do in done:
                done[do] += 1
            if why:
                do, said, kind = (do if changed else f"not {do}"), f"{why}: {said}", "fail"
        elif do in (UNDONE, UNKNOWN):
            kind = "fail" if do == UNDONE else "unknown"
        code = NOT_DONE if kind == "fail" else code or NOT_KNOWN * (kind == "unknown")
        if each.do != WELL and (manners.detail != "quiet" or kind not in ("skip", "unknown")):
            would = "would be " if dry and kind in ("pass", "warning") else ""
            sys.stdout.write(printable(f"{SIGNS[kind]} {each.node}  {would}{do}: {said}") + "\n")
            sys.stdout.flush()
    well = sum(each.do == WELL for each in plan.decisions)
    counts = f"{done[OUT]} {OUT}, {done[BACK]} {BACK}, {well} {WELL}"
    told = f"{out} of {plan.nodes} nodes with GPUs {'would be' if dry else 'are'} out by gpucheck, {plan.most} may be"
    sys.stdout.write(f"{'would be: ' if dry else ''}{counts}; {told}\n")
    return code
