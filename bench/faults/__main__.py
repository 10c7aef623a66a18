"""The whole fault matrix: `scripts/bench faults [nvml|files]`. Some minutes; every fault that did harm is shown."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from bench.faults import files, nvml
from bench.faults.judging import Tally
from bench.rows import Rows
from tests.conftest import FAKENVML


def main() -> int:
    asked = sys.argv[1:] or ["nvml", "files"]
    console = Console(stderr=True)
    tallies: dict[str, Tally] = {}
    if "nvml" in asked:
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([sys.executable, str(FAKENVML / "build.py"), folder], check=True)
            tallies["nvml"] = nvml.run(Path(folder), done=console.print)
    if "files" in asked:
        tallies["files"] = files.run(done=console.print)
    rows, against = Rows(), {"nvml": "NVML's functions x its errors", "files": "files and commands x 7 faults"}
    for name, tally in tallies.items():
        command = ["scripts/bench", "faults", name]
        rows.add(f"faults.{name}.runs", tally.runs, "runs", against[name], None, "", command)
        for what in ("hangs", "crashes", "false_passes"):
            count = len(getattr(tally, what))
            rows.add(f"faults.{name}.{what}", count, what.replace("_", " "), f"{tally.runs} runs", None, "0", command)
        for fault in tally.faults:
            console.print(f"  {fault[:400]}", markup=False, highlight=False)
    return int(any(tally.faults for tally in tallies.values()))


if __name__ == "__main__":
    sys.exit(main())
