"""docs/peers.md is of the machines and tools that `scripts/bench peers` runs, and their fixtures are what they say."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bench.peers import commands, machines, page, tools, verdicts

MACHINES = Path(__file__).parent / "machines"


def test_every_machine_has_its_row() -> None:
    rows = [line for line in page.DOCS.read_text().splitlines() if line.startswith("| ")]
    assert rows[0] == f"| machine | {' | '.join(('gpucheck', *reversed(tools.PEERS)))} |"
    shown = [row.split(" | ")[0] for row in rows[2:]]
    assert shown == [f"| {machine.title} (`{machine.name}`)" for machine in machines.FIXTURES]
    for row in rows[2:]:
        cells = row.split(" | ")[1:]
        assert len(cells) == 1 + len(tools.PEERS)
        assert all("**" in cell for cell in cells), row


@pytest.mark.parametrize("machine", machines.FIXTURES, ids=lambda machine: machine.name)
def test_its_commands_say_what_was_recorded(machine: machines.Machine, tmp_path: Path) -> None:
    assert (MACHINES / machine.name / "recording.json").exists()
    environment = machines.prepare(machine, tmp_path, tmp_path)
    assert ("FAKE_NVML_PROFILE" in environment) == (machine.described.nvml is not None)

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    recorded, printed = commands.answer(machine.described.runs, ("dmesg",)), run("dmesg")
    assert (printed.returncode, printed.stdout, printed.stderr) == (recorded.code, recorded.out, recorded.err)
    assert run("sudo", "true").returncode == (0 if machine.sudo else 1)
    asked = run("systemctl", "is-active", "nvidia-persistenced")
    assert (asked.stdout.strip() or "not here", asked.returncode) in {("active", 0), ("inactive", 3), ("not here", 4)}


def test_what_a_verdict_is_made_of() -> None:
    printed = (
        "CRITICAL - nvidia smi. gpu_num check: exit_code: ExitCode.OK, as expected, 8\nx check: GPU 3: GPU is lost.\n"
    )
    assert verdicts.of_gpucm(printed, "") == "CRITICAL: GPU 3: GPU is lost."
    assert verdicts.of_gpustat("host  590\n[0] H100 | 41\n[1] ((GPU is lost)) | ?\n", "").startswith(
        "shows 2, among them"
    )
    assert verdicts.of_gpustat_json("", "Error\nDriver Not Loaded\n") == "Driver Not Loaded"
    assert page.cell(page.Told("health", None, "a | b")) == "`health` **killed** a \\| b"
