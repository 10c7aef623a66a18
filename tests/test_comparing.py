"""What differs between two machines, and between two days."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gpucheck import compat, engine
from gpucheck.comparing import Rank, compare
from gpucheck.facts import Facts, Frameworks, Gpu, Nvml, Package, Version
from gpucheck.host import Recorded
from gpucheck.model import Report
from gpucheck.probes import PROBES
from gpucheck.rules import HOST_RULES
from tests.conftest import Gpucheck
from tests.rules.literals import DRIVER, KERNEL, SYSTEM, bus

MACHINES = Path(__file__).parent / "machines"


def report(*facts: Any, unknown: dict[type, str] | None = None) -> Report:
    known = Facts(known={type(fact): fact for fact in facts}, unknown=unknown or {})
    return engine.report("doctor", known, engine.judge(HOST_RULES, known, compat.load()), host="x")


def changes(before: Report, after: Report) -> list[tuple[str, str, str | None, str | None]]:
    return [(change.rank.name, change.what, change.before, change.after) for change in compare(before, after)]


H100 = Gpu(index=0, name="NVIDIA H100 80GB HBM3", vbios="96.00.74.00.01", temperature_c=40, uuid="GPU-1")


def test_nothing_differs_from_itself() -> None:
    assert changes(report(SYSTEM, DRIVER), report(SYSTEM, DRIVER)) == []


def test_a_new_driver_before_a_new_processor_before_a_reading() -> None:
    before = report(SYSTEM, DRIVER, Nvml(gpus=(H100,)))
    after = report(
        replace(SYSTEM, cpus=4),
        replace(DRIVER, version=Version("580.65.06")),
        Nvml(gpus=(replace(H100, temperature_c=41, uuid="GPU-2"),)),
    )
    found = [c for c in changes(before, after) if c[0] != "ANSWER"]
    assert found == [
        ("VERSION", "Driver.version", "570.124.06", "580.65.06"),
        ("MACHINE", "System.cpus", "8", "4"),
        ("NAME", "Nvml.gpus[0].uuid", "GPU-1", "GPU-2"),
        ("READING", "Nvml.gpus[0].temperature_c", "40", "41"),
    ]


def test_the_answers_come_first_and_what_waits_is_one_line() -> None:
    before, after = report(SYSTEM, bus(("2330", "nvidia"))), report(SYSTEM, bus())
    first, *rest = changes(before, after)
    assert first == ("ANSWER", "root cause", None, "pci.gpu-present")
    assert [what for _, what, *_ in rest if what.startswith("rule ")] == ["rule pci.gpu-present"]
    (waiting,) = [row for row in rest if row[1] == "rules that wait"]
    assert int(waiting[3] or 0) > int(waiting[2] or 0)


def test_a_gpu_more_is_one_difference() -> None:
    found = changes(report(Nvml(gpus=(H100,))), report(Nvml(gpus=(H100, replace(H100, index=1)))))
    (row,) = [row for row in found if row[0] != "ANSWER"]
    assert row[:3] == ("MACHINE", "Nvml.gpus[1]", None)
    assert "NVIDIA H100" in (row[3] or "")


def test_packages_are_compared_by_name() -> None:
    torch, jax = (Package(name=name, version=Version("1.0"), path="/x") for name in ("torch", "jax"))
    before = report(Frameworks(python="/p", packages=(jax, torch)))
    after = report(Frameworks(python="/p", packages=(replace(torch, version=Version("2.0")),)))
    found = {row[1]: row[2:] for row in changes(before, after) if row[0] != "ANSWER"}
    assert found["Frameworks.packages[torch].version"] == ("1.0", "2.0")
    assert found["Frameworks.packages[jax]"][1] is None


def test_a_module_more_is_named() -> None:
    found = changes(report(KERNEL), report(replace(KERNEL, modules=(*KERNEL.modules, "nouveau"))))
    assert ("MACHINE", "Kernel.modules[nouveau]", None, "there") in found


def test_what_could_not_be_looked_at_is_a_difference() -> None:
    found = changes(report(SYSTEM), report(SYSTEM, unknown={Nvml: "NVML hangs"}))
    assert ("MACHINE", "unknown: Nvml", None, "NVML hangs") in found


@pytest.mark.parametrize("name", ["wsl2", "h100x8-healthy"])
def test_every_recorded_machine_can_be_compared(name: str) -> None:
    healthy = Recorded.load(MACHINES / "t4-ubuntu2204-healthy" / "recording.json")
    other = Recorded.load(MACHINES / name / "recording.json")
    reports = [report(*engine.collect(PROBES, host).known.values()) for host in (healthy, other)]
    ranks = [change.rank for change in compare(*reports)]
    assert ranks == sorted(ranks)
    assert Rank.VERSION in ranks


def test_the_command(gpucheck: Gpucheck, tmp_path: Path) -> None:
    t4, wsl = (str(MACHINES / name / "recording.json") for name in ("t4-ubuntu2204-healthy", "wsl2"))
    code, out, _ = gpucheck("diff", t4, wsl)
    assert code == 1
    assert out.index("Versions") < out.index("The machine")
    assert "temperature" not in out
    assert "temperature" in gpucheck("diff", "--all", t4, wsl)[1]
    assert gpucheck("diff", t4, t4)[:2][0] == 0
    lines = gpucheck("diff", "--format", "json", t4, wsl)[1].splitlines()
    assert {"rank", "what", "before", "after"} == set(json.loads(lines[0]))
    code, _, err = gpucheck("diff", t4, str(tmp_path / "none"))
    assert (code, "cannot be read" in err) == (2, True)
