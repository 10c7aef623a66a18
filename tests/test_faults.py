"""Some of the fault matrix (all of it: scripts/bench faults): no hang, no crash, no pass on what was not got."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.faults import files, judging, nvml
from gpucheck.facts import Facts, Gpu, Nvml, Version
from tests.rules.literals import SYSTEM

ON_FILES = ("h100x8-healthy", "wsl2", "secure-boot-unsigned", "stale-cdi")  # among them most questions that there are
NO_PERMISSION, UNKNOWN = 4, 999


@pytest.mark.parametrize("name", ON_FILES)
def test_files_and_commands(name: str) -> None:
    tally = files.run([name])
    assert tally.runs > 100
    assert tally.faults == []


def test_nvml(fakenvml_folder: Path) -> None:
    tally = nvml.run(fakenvml_folder, only_codes=(NO_PERMISSION, UNKNOWN), endings=4, profiles=("t4",))
    assert tally.runs > 250
    assert tally.faults == []


def test_nvml_of_one_gpu_among_eight(fakenvml_folder: Path) -> None:
    tally = nvml.run(fakenvml_folder, only_codes=(UNKNOWN,), endings=0, profiles=("h100x8",))
    assert tally.runs > 100
    assert tally.faults == []


def test_the_matrix_sees_a_false_pass() -> None:
    """A rule that passes on one GPU's mode although the other's is gone."""
    one = Gpu(index=0, compute_mode="default", compute_capability=Version("9.0"))
    nvmls = [
        Nvml(driver_version=Version("570.1"), gpus=(one, Gpu(index=1, compute_mode=mode))) for mode in ("default", None)
    ]
    before, after = (Facts(known={type(SYSTEM): SYSTEM, Nvml: facts}) for facts in nvmls)
    tally = judging.Tally()
    judging.examine(tally, "case", before, judging.judge(before), after)
    assert len(tally.false_passes) == 1
    assert "prohibited" in tally.false_passes[0]


def test_the_matrix_sees_a_crash() -> None:
    tally, facts = judging.Tally(), Facts(unknown={Nvml: "bug in gpucheck: ValueError: x"})
    judging.examine(tally, "case", facts, judging.judge(facts), facts)
    assert len(tally.crashes) == 1
