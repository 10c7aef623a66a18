"""What the report page costs: a verification with its charts, and a fleet of 1,000 hosts, in seconds, bytes and memory.

usage: scripts/bench report

The fleet is every recorded machine of tests/machines, judged once, and repeated under other names. `render` is the
renderer alone; `command` is the whole of `gpucheck report`, which reads and checks the reports too. CPU seconds, as the
machine may be shared.
"""

from __future__ import annotations

import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from bench import rows
from bench.measure import ROOT, peak_kib
from bench.overhead import cpu_of
from gpucheck import compat, engine, reports
from gpucheck.host import Recorded
from gpucheck.model import Report
from gpucheck.probes import PROBES
from gpucheck.render import json as json_lines
from gpucheck.render import streaming
from gpucheck.rules import ANSWER, HOST_RULES, RUN_RULES
from gpucheck.witnesses import WITNESSES

HOSTS = 1000
RUN = ROOT / "tests" / "runs" / "derived-tensorflow-gpu"


def machines() -> list[Report]:
    tables, found = compat.load(), []
    for path in sorted((ROOT / "tests" / "machines").glob("*/recording.json")):
        facts = engine.collect(PROBES, Recorded.load(path))
        found.append(engine.report("doctor", facts, engine.judge(HOST_RULES, facts, tables), host=path.parent.name))
    return found


def verified() -> Report:
    machine = json.loads((RUN / "expected.json").read_text())["machine"]
    host = engine.collect(PROBES, Recorded.load(ROOT / "tests" / "machines" / machine / "recording.json"))
    facts = host | engine.collect(WITNESSES, RUN / "evidence")
    return engine.report("verify", facts, engine.judge(RUN_RULES, facts, compat.load()), host=RUN.name, answer=ANSWER)


def write_fleet(path: Path) -> None:
    several = itertools.cycle(machines())
    with path.open("w") as file:
        for number, report in zip(range(HOSTS), several, strict=False):
            file.write(json_lines.render([replace(report, host=f"{report.host}-{number}")]))


def rendered(path: Path) -> float:
    """CPU seconds in a process of its own, the reports read and whatever is imported already."""
    code = f"from bench.report import timed; timed({str(path)!r})"
    return float(json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout))


def timed(path: str) -> None:
    given = list(reports.read([Path(path)]))
    render: Callable[[Sequence[Report]], str] = streaming("html")
    render(given[:1])
    started = time.process_time()
    render(given)
    sys.stdout.write(json.dumps(time.process_time() - started))


def main() -> None:
    add, told = rows.Rows().add, ("scripts/bench", "report")
    with tempfile.TemporaryDirectory() as folder:
        fleet, run, out = (Path(folder) / name for name in ("fleet.jsonl", "run.json", "out.html"))
        write_fleet(fleet)
        run.write_text(json_lines.render([verified()]))
        nothing = (sys.executable, "-c", "pass")
        for name, path, most_bytes in ((f"{HOSTS} hosts", fleet, "<= 10"), ("a verification", run, "<= 2")):
            command = (sys.executable, "-m", "gpucheck", "report", str(path), "-o", str(out))
            add(
                f"render.report, {name}: render, CPU",
                rendered(path),
                "s",
                "its first report, before",
                None,
                "<= 3",
                told,
            )
            seconds, floor = (statistics.median(cpu_of(each) for _ in range(3)) for each in (command, nothing))
            add(f"render.report, {name}: command, CPU", seconds, "s", "python -c pass", floor, "<= 3", told)
            size = out.stat().st_size / 2**20
            add(f"render.report, {name}: page", size, "MiB", "its reports as JSON", path.stat().st_size / 2**20,
                most_bytes, told)  # fmt: skip
            memory = peak_kib(command) / 1024
            add(f"render.report, {name}: peak memory", memory, "MiB", "python -c pass", peak_kib(nothing) / 1024,
                "reported", told)  # fmt: skip


if __name__ == "__main__":
    main()
