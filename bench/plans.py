"""What a plan costs: every driver and every pair of GPUs that the tables know, for every framework, planned in turn.

usage: scripts/bench plans
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

from bench import rows
from gpucheck import compat, plans, recipes
from gpucheck.compat import Compat
from gpucheck.facts import Version
from gpucheck.machines import Machine
from gpucheck.offers import NETWORKS, Wish
from gpucheck.recipes import Recipe

WISHES = (
    *(Wish(framework=name, variant=variant) for name in NETWORKS for variant in (None, "notebook")),
    *(Wish(framework="keras", backend=backend) for backend in ("tensorflow", "torch", "jax")),
    Wish(framework="xgboost"),
)


def machines(tables: Compat) -> Iterator[Machine]:
    """The full grid: each driver of the tables with each pair of compute capabilities, a capability with itself too."""
    drivers = sorted({release.driver for release in tables.releases} | {floor.driver for floor in tables.floors})
    known = sorted({span.capability for span in tables.capabilities} | {m.capability for m in tables.models})
    for driver, pair in itertools.product(drivers, itertools.combinations_with_replacement(known, 2)):
        yield Machine(driver=driver, gpus=tuple((str(capability), capability) for capability in pair), how="assumed")


def seconds(book: dict[str, Recipe], tables: Compat, every: list[Machine]) -> tuple[list[float], list[float]]:
    """CPU seconds of each call: those that planned, those that refused."""
    planned, refused = [], []
    for machine, wish in itertools.product(every, WISHES):
        started = time.process_time()
        try:
            plans.choose(book, machine, wish, tables)
        except plans.Refusal:
            refused.append(time.process_time() - started)
        else:
            planned.append(time.process_time() - started)
    return planned, refused


def main() -> None:
    book, tables = recipes.load(), compat.load()
    every = list(machines(tables))
    one = Machine(driver=Version("580.65.06"), gpus=(("H100", Version("9.0")),), how="assumed")
    started = time.process_time()
    for _ in range(1000):
        plans.choose(book, one, WISHES[0], tables)
    typical = time.process_time() - started  # of 1000, so it is milliseconds of one
    planned, refused = seconds(book, tables, every)
    grid, calls = f"{len(every)} machines x {len(WISHES)} wishes", len(planned) + len(refused)
    add, command = rows.Rows().add, ("scripts/bench", "plans")
    mean = sum(planned + refused) / calls * 1000
    add("plan, mean over the full grid", mean, "CPU ms", "one H100 with TensorFlow", typical, "reported", command)
    add("plan, the slowest of the grid", max(planned + refused) * 1000, "CPU ms", grid, None, "reported", command)
    add("plan, the full grid", sum(planned + refused) * 1000, "CPU ms", grid, None, "reported", command)
    add("plan, share of the grid that is refused", len(refused) / calls, "", grid, None, "reported", command)


if __name__ == "__main__":
    main()
