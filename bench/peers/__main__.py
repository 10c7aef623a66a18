"""gpucheck beside other tools, all on the same fixture machines, into docs/peers.md: `scripts/bench peers`.

usage: scripts/bench peers [--venvs FOLDER] [--outputs FOLDER] [MACHINE...]

FOLDER of --venvs keeps the tools' environments for the next time. --outputs keeps all that they printed. With names of
machines the page is printed and not written. Every tool runs without a network, and sees the fixture's files in place
of this kernel's, by namespaces of its own: Linux with user namespaces (or root) and a C compiler are needed.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from bench import rows
from bench.peers import machines, page, tools
from bench.peers.machines import FIXTURES, Machine
from tests.fakenvml import build

HERE = Path(__file__).parent
LIMIT, ROUNDS = 60.0, 5  # seconds, of one command
TIMED = "h100x8-healthy"


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench peers")
    parser.add_argument("--venvs", type=Path)
    parser.add_argument("--outputs", type=Path)
    parser.add_argument("machines", nargs="*", choices=[[], *(machine.name for machine in FIXTURES)], metavar="MACHINE")
    asked = parser.parse_args()
    chosen = [machine for machine in FIXTURES if not asked.machines or machine.name in asked.machines]
    show = Console(stderr=True).print
    if subprocess.run((*machines.NAMESPACES, "true"), check=False).returncode:
        show("peers: no namespaces here, and without them these tools would run with a network", markup=False)
        return 2
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        library = libraries(scratch / "library")
        venvs = (asked.venvs or scratch / "venvs").resolve()
        show(f"installing {', '.join(tools.PEERS)}")
        versions = tools.install(venvs)
        seconds: dict[str, float] = {}
        table: dict[str, dict[str, list[page.Told]]] = {}
        for machine in chosen:
            show(machine.name)
            folder = scratch / "machines" / machine.name
            environment = machines.prepare(machine, folder, library)
            table[machine.name] = on(machine, folder, environment, venvs, asked.outputs)
            if machine.name == TIMED and not asked.machines:
                seconds = measure(machine, folder, environment, venvs)
    text = page.render(chosen, table, versions, seconds)
    if asked.machines:
        sys.stdout.write(text)
    else:
        page.DOCS.write_text(text)
    return 0


def libraries(folder: Path) -> Path:
    """The fake NVML with what only other tools ask, and the fake CUDA runtime."""
    folder.mkdir()
    (folder / "bindings.h").write_text(build.header())
    compiled = build.compile_into(folder, HERE / "nvml.c")
    if compiled.returncode:
        raise SystemExit(compiled.stderr)
    command = ["cc", "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o"]
    subprocess.run([*command, str(folder / "libcudart.so"), str(HERE / "cudart.c")], check=True)
    return folder


def on(
    machine: Machine, folder: Path, environment: Mapping[str, str], venvs: Path, outputs: Path | None
) -> dict[str, list[page.Told]]:
    told: dict[str, list[page.Told]] = {}
    for tool, runs in tools.runs(machine, venvs, folder / "logs").items():
        for run in runs:
            code, out, err = execute(machines.inside(folder, run.command), folder, environment)
            if outputs:
                place = outputs / machine.name
                place.mkdir(parents=True, exist_ok=True)
                (place / f"{tool} {run.label}".replace(" ", "_")).write_text(f"exit {code}\n{out}\n--- stderr\n{err}")
            words = f"no answer in {LIMIT:g} s" if code is None else run.verdict(out, err)
            if words or not run.quiet:
                told.setdefault(tool, []).append(page.Told(run.label, code, words))
    return told


def execute(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> tuple[int | None, str, str]:
    """Exit code (None: killed after the limit), stdout and stderr."""
    child = subprocess.Popen(
        command, cwd=folder, env=dict(environment), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, errors="replace", start_new_session=True,
    )  # fmt: skip
    try:
        out, err = child.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        return None, *child.communicate()
    return child.returncode, out, err


def measure(machine: Machine, folder: Path, environment: Mapping[str, str], venvs: Path) -> dict[str, float]:
    """Wall seconds of what looks at all the GPUs, one after another in turn; gpucheck's own probes, no recording."""
    everything = tools.runs(machine, venvs, folder / "logs")
    first = {
        f"{tool} {run.label}": run.command
        for tool, runs in everything.items()
        if tool in tools.PEERS
        for run in runs[:1]
    }
    commands = {"gpucheck": tools.doctor(), **first}
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            started = time.perf_counter()
            execute(machines.inside(folder, command), folder, environment)
            times[name].append(time.perf_counter() - started)
    seconds = {name: statistics.median(values) for name, values in times.items()}
    for name in first:
        against = f"{name}, {seconds[name]:.2f} s, on the same fake H100x8"
        told = ("scripts/bench", "peers")
        rows.Rows().add(f"doctor beside {name}", seconds["gpucheck"], "s", against, seconds[name], "reported", told)
    return seconds


if __name__ == "__main__":
    sys.exit(main())
