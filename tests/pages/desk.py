"""A folder with what the documents' command lines name, where `gpucheck` is this checkout; and lines typed in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from gpucheck import codec, compat, engine, keeping, verification
from gpucheck.facts import Facts
from gpucheck.host import Recorded
from gpucheck.probes import PROBES
from gpucheck.render import renderer
from gpucheck.rules import HOST_RULES

TESTS = Path(__file__).parents[1]
SHIMS = {  # programs that the lines call and that are not everywhere
    "gpucheck": f'exec "{sys.executable}" -P -m gpucheck "$@"',
    "python": f'exec "{sys.executable}" "$@"',
    "dmesg": 'echo "[ 7.9] NVRM: Xid (PCI:0000:52:00): 79, pid=1234, GPU has fallen off the bus."',
    "srun": 'while [ "${1#-}" != "$1" ]; do shift; done; exec "$@"',
}


def furnished(here: Path) -> Path:
    """That empty folder, with what the lines name."""
    for place in ("bin", "scripts"):
        (here / place).mkdir()
    for name, line in SHIMS.items():
        (here / "bin" / name).write_text(f"#!/bin/sh\n{line}\n")
        (here / "bin" / name).chmod(0o755)
    shutil.copy(here / "bin" / "gpucheck", here / "scripts")
    for name, run in (("evidence", "derived-tensorflow-gpu"), ("vm", "tensorflow-fast-asked-gpu")):
        shutil.copytree(TESTS / "runs" / run / "evidence", here / name)
        machine = json.loads((TESTS / "runs" / run / "expected.json").read_text())["machine"]
        keeping.write(here / name / "host.json", codec.dump(_facts(machine)))
    judged = verification.rejudge(here / "evidence")
    reports = {here / "run.json": judged, here / "proof.json": judged}
    (here / "reports").mkdir()
    for name in ("no-driver", "h100x8-healthy"):
        facts = _facts(name)
        found = engine.judge(HOST_RULES, facts, compat.load())
        reports[here / "reports" / f"{name}.json"] = engine.report("doctor", facts, found, host=name)
    for path, report in reports.items():
        path.write_text(renderer("json")([report]))
    for day in ("today", "yesterday"):
        shutil.copytree(here / "reports", here / day)
    (here / "fleet.jsonl").write_text("".join(path.read_text() for path in sorted((here / "reports").iterdir())))
    (here / "nodes.txt").write_text("no-driver\nh100x8-healthy\nnever-came\n")
    shutil.copy(TESTS / "machines" / "no-driver" / "recording.json", here / "help.json")
    (here / "train.py").write_text("print('trained')\n")
    return here


def _facts(machine: str) -> Facts:
    return engine.collect(PROBES, Recorded.load(TESTS / "machines" / machine / "recording.json"))


def typed(folder: Path, line: str, more: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """stdout and stderr in one, as on a terminal."""
    environment = {
        "PATH": f"{folder}/bin:{os.environ['PATH']}", "HOME": str(folder), "LC_ALL": "C.UTF-8",
        "MPLCONFIGDIR": os.environ.get("MPLCONFIGDIR", str(Path.home() / ".cache" / "matplotlib")),
        "PYTHONWARNINGS": "error", "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
        **(more or {}),
    }  # fmt: skip
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=60,
    )  # fmt: skip
