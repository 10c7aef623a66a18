"""What the time of a run costs on common instances: list prices, of data/rentals.toml."""

from __future__ import annotations

from typing import NamedTuple

from gpucheck import rentals
from gpucheck.facts import Nvml, Run
from gpucheck.model import Report
from gpucheck.render.offers import CLOUDS, listed
from gpucheck.rentals import Cost

COLUMNS = ("Instance", "GPU", "$ an hour", "$ for that time", "Listed")


class Row(NamedTuple):
    instance: str
    gpu: str
    hour: str  # US dollars
    run: str  # US dollars, for as long as this run took
    listed: str


class Costs(NamedTuple):
    lead: str
    rows: tuple[Row, ...]


def costs(report: Report) -> Costs | None:
    """None for a report of no run. The time was measured on one machine: elsewhere the same work takes another."""
    run = report.facts.known.get(Run)
    if not isinstance(run, Run) or not run.parts:
        return None
    took = sum(part.seconds for part in run.parts)
    found = rentals.costs(_gpu(report), took)
    same = tuple(cost for cost in found if cost.same)
    here = "an instance with the same GPU" if same else "an instance with one GPU"
    other = "on another GPU or processor the same work takes another time"
    lead = f"All parts of this run took {took:.0f} s. What as long costs on {here}, at list prices; {other}."
    return Costs(lead, tuple(map(_row, same or found)))


def _gpu(report: Report) -> str | None:
    """The GPU that took the time; None for a run that was not proven to be on one."""
    run, nvml = report.facts.known.get(Run), report.facts.known.get(Nvml)
    on_one = isinstance(run, Run) and run.device == "gpu" and report.exit_code == 0
    return nvml.gpus[0].name if on_one and isinstance(nvml, Nvml) and nvml.gpus else None


def _row(cost: Cost) -> Row:
    offer = cost.offer
    instance = f"{CLOUDS[offer.provider]} {offer.name}"
    return Row(instance, offer.gpu, f"{offer.usd:.2f}", f"{cost.usd:.3f}", listed(offer))
