"""nvml.jsonl to facts: whose memory, when it worked, and what the lists cannot tell."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gpucheck.facts import GpuUse
from gpucheck.host import CannotLook
from gpucheck.witnesses import nvml_samples

MIB = 2**20
GPU = {
    "index": 0, "utilization": 0, "memory_used": 0, "power_mw": 70000, "energy_mj": 0, "sm_mhz": 345, "processes": [],
    "error": None,
}  # fmt: skip
FIRST = {"gpus": [{"index": 0, "uuid": "GPU-a", "name": "NVIDIA H200"}], "interval": 0.1}
FOLLOW = {"follow": 100.0, "by": "cgroup"}
OURS = {"pid": 7, "used_bytes": 600 * MIB, "ours": True}
THEIRS = {"pid": 8, "used_bytes": 900 * MIB, "ours": False}
HIDDEN = {**THEIRS, "unseen": True}


def at(t: float, **changes: object) -> dict[str, Any]:
    return {"t": t, "gpus": [{**GPU, **changes}]}


def look(folder: Path, lines: Sequence[object], train: object = None, ran: object = None) -> GpuUse:
    (folder / "nvml.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for name, data in (("train.json", train), ("ran.json", ran)):
        if data is not None:
            (folder / name).write_text(json.dumps(data))
    return nvml_samples.look(folder)


IDLE = [FIRST, at(98.0), at(99.0), FOLLOW]


# --- when ---


def test_before_is_before_the_run_and_during_is_the_training(tmp_path: Path) -> None:
    found = look(tmp_path, [
        *IDLE,
        at(101.0, utilization=11, power_mw=80000),  # the probe
        at(104.0, utilization=90, power_mw=500000, sm_mhz=1980, energy_mj=1000, memory_used=9 * MIB, processes=[OURS]),
        at(105.0, utilization=80, power_mw=300000, sm_mhz=1980, energy_mj=4500, memory_used=8 * MIB, processes=[OURS]),
        at(109.0, utilization=5),  # the evaluation
    ], train={"began": 103.0, "ended": 106.0})  # fmt: skip
    assert (found.samples, found.seconds, found.by, found.processes_told) == (2, 1.0, "cgroup", True)
    gpu = found.gpus[0]
    assert (gpu.index, gpu.uuid, gpu.name) == (0, "GPU-a", "NVIDIA H200")
    assert (gpu.utilization_before, gpu.utilization_during) == (0, 85)
    assert (gpu.power_before_mw, gpu.power_during_mw, gpu.energy_during_mj) == (70000, 400000, 3500)
    assert (gpu.sm_mhz_before, gpu.sm_mhz_during) == (345, 1980)
    assert (gpu.memory_before_bytes, gpu.memory_during_bytes) == (0, 9 * MIB)
    assert (gpu.ours_peak_bytes, gpu.others, gpu.error) == (600 * MIB, False, None)


def test_a_training_cannot_claim_the_time_before_the_run(tmp_path: Path) -> None:
    busy_before = [FIRST, at(98.0, utilization=99), FOLLOW, at(101.0), at(102.0)]
    found = look(tmp_path, busy_before, train={"began": 0.0, "ended": 200.0})
    assert (found.samples, found.gpus[0].utilization_during) == (2, 0)


@pytest.mark.parametrize(("ran", "samples"), [({"seconds": 2}, 2), (None, 3)])
def test_a_run_without_a_training_is_taken_whole(tmp_path: Path, ran: object, samples: int) -> None:
    assert look(tmp_path, [*IDLE, at(101.0), at(102.0), at(103.0)], ran=ran).samples == samples


def test_a_mean_is_over_time_and_not_over_samples(tmp_path: Path) -> None:
    quick = [at(101 + place / 10, utilization=100) for place in range(10)]  # a second of them, at ten a second
    slow = [at(102.0 + place, utilization=0) for place in range(9)]  # nine more seconds, at one a second
    utilization = look(tmp_path, [*IDLE, *quick, *slow]).gpus[0].utilization_during
    assert utilization == pytest.approx(10, abs=0.1)


def test_a_second_of_work_is_not_lost_in_a_minute_of_compiling(tmp_path: Path) -> None:
    compiling = [at(101.0 + second, processes=[OURS]) for second in range(60)]
    told_late = [at(161.2, utilization=38), at(163.0, utilization=99)]  # of the last second, and of what came later
    gpu = look(tmp_path, [*IDLE, *compiling, *told_late], train={"began": 100.0, "ended": 160.5}).gpus[0]
    assert (gpu.utilization_during, gpu.utilization_most) == (0, 38)


def test_one_sample_is_its_own_mean(tmp_path: Path) -> None:
    gpu = look(tmp_path, [FIRST, FOLLOW, at(101.0, utilization=42)]).gpus[0]
    assert (gpu.utilization_before, gpu.utilization_during, gpu.energy_during_mj) == (None, 42, None)


def test_energy_that_starts_anew_is_not_told(tmp_path: Path) -> None:
    again = look(tmp_path, [*IDLE, at(101.0, energy_mj=9000), at(102.0, energy_mj=5)])
    assert again.gpus[0].energy_during_mj is None


# --- whose ---


def test_somebody_else_s_work_is_not_ours(tmp_path: Path) -> None:
    theirs = look(tmp_path, [*IDLE, at(101.0, utilization=99, memory_used=900 * MIB, processes=[THEIRS])])
    assert (theirs.processes_told, theirs.gpus[0].ours_peak_bytes, theirs.gpus[0].others) == (True, None, True)


def test_both_on_one_gpu_and_ours_added_up(tmp_path: Path) -> None:
    second = {"pid": 9, "used_bytes": 50 * MIB, "ours": True}
    found = look(tmp_path, [
        *IDLE, at(101.0, processes=[THEIRS, OURS, second]), at(102.0, processes=[OURS]), at(103.0),
    ])  # fmt: skip
    assert (found.gpus[0].ours_peak_bytes, found.gpus[0].others) == (650 * MIB, True)


def test_ours_with_a_size_that_is_not_told(tmp_path: Path) -> None:
    found = look(tmp_path, [*IDLE, at(101.0, processes=[{**OURS, "used_bytes": None}])])
    assert found.gpus[0].ours_peak_bytes == 0


def test_ours_only_before_the_training_is_not_in_it(tmp_path: Path) -> None:
    probe_only = [*IDLE, at(101.0, processes=[OURS]), at(104.0)]
    assert look(tmp_path, probe_only, train={"began": 103.0, "ended": 105.0}).gpus[0].ours_peak_bytes is None


def test_an_idle_gpu_beside_the_one_that_is_used(tmp_path: Path) -> None:
    two = {"gpus": [{"index": 0, "uuid": "GPU-a", "name": None}, {"index": 1, "uuid": "GPU-b", "name": None}]}
    sample = {"t": 101.0, "gpus": [{**GPU, "processes": [OURS]}, {**GPU, "index": 1}]}
    found = look(tmp_path, [two, FOLLOW, sample])
    assert [gpu.ours_peak_bytes for gpu in found.gpus] == [600 * MIB, None]
    assert found.samples == 1


# --- what the lists cannot tell ---


def test_an_empty_list_is_an_answer(tmp_path: Path) -> None:
    found = look(tmp_path, [*IDLE, at(101.0), at(102.0)])
    assert (found.processes_told, found.untold, found.gpus[0].ours_peak_bytes) == (True, None, None)


def test_no_lists(tmp_path: Path) -> None:
    found = look(tmp_path, [*IDLE, at(101.0, processes=None)])
    assert (found.processes_told, found.untold) == (False, "NVML lists no processes on this machine")


def test_a_process_that_proc_does_not_have_may_be_ours(tmp_path: Path) -> None:
    found = look(tmp_path, [*IDLE, at(101.0, processes=[HIDDEN])])
    assert (found.processes_told, found.gpus[0].others) == (False, False)
    assert "process 8, which is hidden or in another pid namespace" in str(found.untold)


def test_one_that_proc_had_a_moment_before_has_only_ended(tmp_path: Path) -> None:
    found = look(tmp_path, [*IDLE, at(101.0, processes=[THEIRS]), at(102.0, processes=[HIDDEN])])
    assert (found.processes_told, found.gpus[0].others) == (True, True)


def test_a_hidden_process_that_was_there_before_the_run_is_not_of_it(tmp_path: Path) -> None:
    found = look(tmp_path, [FIRST, at(99.0, processes=[HIDDEN]), FOLLOW, at(101.0, processes=[HIDDEN])])
    assert (found.processes_told, found.gpus[0].others) == (True, True)


def test_a_hidden_process_beside_ours_is_somebody_else_s(tmp_path: Path) -> None:
    found = look(tmp_path, [*IDLE, at(101.0, processes=[OURS, HIDDEN])])
    assert (found.processes_told, found.gpus[0].ours_peak_bytes, found.gpus[0].others) == (True, 600 * MIB, True)


@pytest.mark.parametrize("idle", [IDLE, [FIRST, FOLLOW, at(100.5)]])
def test_memory_that_nobody_is_listed_for(tmp_path: Path, idle: Sequence[object]) -> None:
    found = look(tmp_path, [*idle, at(101.0, memory_used=500 * MIB), at(102.0, memory_used=500 * MIB)])
    assert (found.processes_told, found.untold) == (
        False, "memory of GPU 0 was taken by a process that NVML does not list",
    )  # fmt: skip


def test_memory_that_was_taken_before_says_nothing(tmp_path: Path) -> None:
    held = 500 * MIB
    assert look(tmp_path, [FIRST, at(99.0, memory_used=held), FOLLOW, at(101.0, memory_used=held)]).processes_told


# --- a GPU that is lost, samples that end ---


def test_a_gpu_lost_in_the_middle(tmp_path: Path) -> None:
    nothing = dict.fromkeys(["utilization", "memory_used", "power_mw", "energy_mj", "sm_mhz", "processes"])
    lost = "nvmlDeviceGetUtilizationRates: GPU_IS_LOST"
    gpu = look(tmp_path, [
        *IDLE, at(101.0, utilization=90, processes=[OURS]), at(102.0, **nothing, error=lost),
    ]).gpus[0]  # fmt: skip
    assert (gpu.error, gpu.utilization_during, gpu.ours_peak_bytes) == (lost, 90, 600 * MIB)


KILLED = {"error": "the process that asked NVML was ended by SIGKILL"}


def test_samples_that_end_before_the_training_does(tmp_path: Path) -> None:
    found = look(tmp_path, [*IDLE, at(101.0), at(104.0), KILLED], train={"began": 103.0, "ended": 106.0})
    assert (found.samples, found.ended) == (1, KILLED["error"])


def test_samples_that_end_after_the_training_are_enough(tmp_path: Path) -> None:
    found = look(tmp_path, [*IDLE, at(104.0), at(107.0), KILLED], train={"began": 103.0, "ended": 106.0})
    assert (found.samples, found.ended) == (1, None)


# --- nothing to look at ---


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([{"error": "NVML did not start: LIBRARY_NOT_FOUND"}], r"^NVML did not start: LIBRARY_NOT_FOUND$"),
        ([FIRST, at(99.0)], "before NVML's samples could be told to be of it"),
        (IDLE, r"^no sample fell into that part of the run$"),
        ([*IDLE, KILLED], "no sample fell into that part of the run: .* SIGKILL"),
        ([*IDLE, {"t": 101.0, "gpus": [{**GPU, "power_mw": "70"}]}], r"line 5, gpus 0, has '70' as power_mw"),
        ([*IDLE, {"t": 101.0, "gpus": [{**GPU, "processes": [{"pid": 7, "used_bytes": 1}]}]}], "has no ours"),
        ([FIRST, [1]], "line 2 is not a JSON object"),
        ([], "before NVML's samples could be told"),
    ],
)
def test_no_samples(tmp_path: Path, lines: Sequence[object], reason: str) -> None:
    with pytest.raises(CannotLook, match=reason):
        look(tmp_path, lines)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(CannotLook, match=r"^the run left no nvml\.jsonl$"):
        nvml_samples.look(tmp_path)


def test_torn_json(tmp_path: Path) -> None:
    (tmp_path / "nvml.jsonl").write_text(json.dumps(FIRST) + '\n{"t": 1')
    with pytest.raises(CannotLook, match=r"nvml\.jsonl, line 2 is torn"):
        nvml_samples.look(tmp_path)


def test_a_training_that_does_not_say_when(tmp_path: Path) -> None:
    with pytest.raises(CannotLook, match=r"train\.json has no began"):
        look(tmp_path, [*IDLE, at(101.0)], train={})
