"""What a fleet costs to be judged, a node: seconds and memory for 10 to 10,000 reports; and who is found and accused.

usage: scripts/bench fleet

The reports are of tests/made_up/synthetic.py: three recorded healthy machines under many names, measured, with seeded
faults. `gpucheck fleet report` reads them as lines of a file, in a process of its own. CPU seconds, as the machine may
be shared. Detection is over twenty seeds of 1,000 nodes, one of each fault in each.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench import rows
from bench.measure import peak_kib
from bench.overhead import cpu_of
from gpucheck import matrix
from gpucheck.nodes import Arrived
from gpucheck.render import json as json_lines
from tests.made_up import synthetic
from tests.made_up.faults import FAULTS
from tests.made_up.synthetic import Made

SIZES = (10, 100, 1000, 10_000)
SEEDS, NODES = 20, 1000


def write(made: Made, path: Path) -> None:
    with path.open("w") as file:
        for report in synthetic.reports(made):
            file.write(json_lines.render([report]))


def found(made: Made) -> tuple[int, int]:
    """Faults that were found by the name of what is wrong, and healthy nodes that were accused of anything."""
    fleet = matrix.collect(Arrived(report, "") for report in synthetic.reports(made))
    told = {(each.node, each.trait.partition(" of batch")[0]) for each in fleet.odd}
    told |= {(name, cause.rule or "") for cause in fleet.causes for name in cause.nodes}
    return len(set(made.faults.items()) & told), len({name for name, _ in told} - set(made.faults))


def costs(add: rows.Rows, told: Sequence[str], folder: Path) -> None:
    base: dict[str, float] = {}
    for number in SIZES:
        path = folder / f"{number}.jsonl"
        write(synthetic.seeded(number, seed=number, each=1 if number > 50 else 0), path)
        for format in ("terminal", "html"):
            command = (sys.executable, "-m", "gpucheck", "fleet", "report", str(path), "--format", format,
                       "-o", str(folder / "out"))  # fmt: skip
            seconds = statistics.median(cpu_of(command) for _ in range(3 if number <= 1000 else 1))
            memory = peak_kib(command) / 1024
            what = f"fleet.report, {number} nodes, {format}"
            goals = ("<= 10", "<= 200") if number == 1000 else ("reported", "reported")
            add.add(f"{what}: CPU", seconds, "s", "10 nodes", base.setdefault(format, seconds), goals[0], told)
            add.add(f"{what}: nodes a second", number / seconds, "1/s", "", None, "reported", told)
            add.add(f"{what}: peak memory", memory, "MiB", "its reports as JSON", path.stat().st_size / 2**20,
                    goals[1], told)  # fmt: skip
        path.unlink()


def main() -> None:
    add, told = rows.Rows(), ("scripts/bench", "fleet")
    with tempfile.TemporaryDirectory() as folder:
        costs(add, told, Path(folder))
    results = [(made, *found(made)) for made in (synthetic.seeded(NODES, seed) for seed in range(SEEDS))]
    faults = sum(len(made.faults) for made, _, _ in results)
    against = f"{faults} faults of {len(FAULTS)} kinds, {SEEDS} seeds"
    add.add("fleet.outliers: seeded faults found", sum(each for _, each, _ in results) / faults, "", against, None,
            "1", told)  # fmt: skip
    healthy = sum(NODES - len(made.faults) for made, _, _ in results)
    add.add("fleet.outliers: healthy nodes accused", sum(each for _, _, each in results) / healthy, "",
            f"{healthy} healthy nodes", None, "0", told)  # fmt: skip


if __name__ == "__main__":
    main()
