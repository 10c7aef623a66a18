"""The tools: their pinned versions, how each is run (what only looks, never what changes a machine)."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.peers import commands, verdicts
from bench.peers.machines import Machine, profile

ROOT = Path(__file__).resolve().parents[2]
PEERS = {"gpustat": "1.1.1", "nvitop": "1.7.2", "gpucm": "0.0.2", "brokkr-diagnostics": "0.6.1"}
BINDINGS = ("nvidia-ml-py", "pynvml")
Verdict = Callable[[str, str], str]  # of stdout and stderr; "" = nothing to tell


@dataclass(frozen=True)
class Run:
    """One command of a tool. What is `quiet` is shown only where it has something to tell."""

    label: str
    command: tuple[str, ...]
    verdict: Verdict
    quiet: bool = False


def install(folder: Path) -> dict[str, str]:
    """A virtual environment for each; the versions of the NVML bindings in it."""
    versions = {}
    for name, version in PEERS.items():
        python = folder / name / "bin" / "python"
        if not python.exists():
            venv.create(folder / name, with_pip=True)
        pip = [str(python), "-m", "pip", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "--quiet", f"{name}=={version}"], check=True)
        listed = json.loads(subprocess.run([*pip, "list", "--format=json"], capture_output=True, check=True).stdout)
        versions[name] = ", ".join(f"{p['name']} {p['version']}" for p in listed if p["name"] in BINDINGS)
    return versions


def runs(machine: Machine, venvs: Path, logs: Path) -> dict[str, list[Run]]:
    """What is run on a machine, by tool."""
    gpustat, nvitop, gpucm, brokkr = (
        str(venvs / name / "bin" / program)
        for name, program in (
            ("gpustat", "gpustat"), ("nvitop", "nvitop"), ("gpucm", "health_checks"),
            ("brokkr-diagnostics", "brokkr-diagnostics"),
        )
    )  # fmt: skip
    checks = [word for check in gpucm_checks(profile(machine)) for word in ("-c", check)]
    told = ["fixture", "app", "--log-folder", str(logs)]
    smi = ["--gpu_num", str(machine.gpus), "--gpu_temperature_threshold", "85", *checks]
    recording = f"tests/machines/{machine.name}/recording.json"
    return {
        "gpucheck": [
            Run("doctor", (*doctor(), "--from", str(ROOT / recording), "--format", "json"), verdicts.of_gpucheck)
        ],
        "brokkr-diagnostics": [
            Run("health", (brokkr, "--run", "health"), partial(verdicts.of_brokkr_health, log=log_matters(machine))),
            *(
                Run(name, (brokkr, "--run", name), verdict, quiet=True)
                for name, verdict in (
                    ("driver", verdicts.of_driver),
                    ("ecc", verdicts.of_ecc),
                    ("kernel", verdicts.of_kernel),
                )
            ),
        ],
        "gpucm": [
            Run("check-nvidia-smi", (gpucm, "check-nvidia-smi", *told, *smi), verdicts.of_gpucm),
            Run("check-syslogs xid", (gpucm, "check-syslogs", "xid", *told), verdicts.of_gpucm),
        ],
        "gpustat": [
            Run("plain", (gpustat,), verdicts.of_gpustat),
            Run("--json", (gpustat, "--json"), verdicts.of_gpustat_json),
        ],
        "nvitop": [Run("--once", (nvitop, "--once", "--ascii"), verdicts.of_nvitop)],
    }


def log_matters(machine: Machine) -> bool:
    dmesg = commands.answer(machine.described.runs, ("dmesg",))
    return bool(dmesg.code) or "Xid" in dmesg.out


def doctor() -> tuple[str, ...]:
    return (sys.executable, "-m", "gpucheck", "doctor")


def gpucm_checks(keys: Mapping[str, str]) -> list[str]:
    """Those that such a GPU supports, as who sets the tool up would choose them."""
    every = {
        "ecc_uncorrected_volatile_total": "gpu.ecc_volatile", "ecc_corrected_volatile_total": "gpu.ecc_volatile",
        "gpu_retired_pages": "gpu.retired_double", "row_remap": "gpu.remapped_rows",
    }  # fmt: skip
    return ["gpu_num", "gpu_temperature", *(check for check, key in every.items() if key in keys)]
