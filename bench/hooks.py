"""What a Slurm Prolog of ours costs a job: the installed script, as slurmd runs it, against the whole doctor.

usage: scripts/bench hooks

On this machine, and with the driver library of a fake H100x8 in front; Slurm is asked nothing where nothing is decided.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from bench import rows
from bench.measure import FAKENVML, ROUNDS, interleaved, on_gpus, peak_kib
from gpucheck import hooks
from gpucheck.hooks import placing

GOAL = "<= 1.0"


def main() -> None:
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        subprocess.run([sys.executable, FAKENVML / "build.py", folder], check=True)
        placing.install("slurm-prolog", folder, hooks.files("slurm-prolog", (sys.executable, "-P", "-m", "gpucheck")))
        script = str(folder / hooks.PROGRAMS / "slurm-prolog")
        options = (
            f"GPUCHECK_NODE=--state {folder}/state --failures 1000000"  # no GPU here: it must not be drained for it
        )
        prolog = ("env", options, "SLURMD_NODENAME=n1", "sh", script)
        doctor = (sys.executable, "-m", "gpucheck", "doctor")
        eight = {name: on_gpus(folder, 8, command) for name, command in (("prolog", prolog), ("doctor", doctor))}
        times = interleaved(
            {"prolog": prolog, "doctor": doctor, "prolog, 8 GPUs": eight["prolog"], "doctor, 8 GPUs": eight["doctor"]},
            ROUNDS,
        )
        add, told = rows.Rows().add, ("scripts/bench", "hooks")
        add("fleet.prolog, wall", times["prolog"], "s", "doctor", times["doctor"], GOAL, told)
        add("fleet.prolog on a fake H100x8, wall", times["prolog, 8 GPUs"], "s", "doctor there",
            times["doctor, 8 GPUs"], GOAL, told)  # fmt: skip
        add("fleet.prolog, peak memory", peak_kib(prolog) / 1024, "MiB", "doctor", peak_kib(doctor) / 1024, "<= 60",
            told)  # fmt: skip


if __name__ == "__main__":
    main()
