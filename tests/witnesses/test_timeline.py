"""nvml.jsonl and the parts' times to a timeline: what was on, thinned, on one clock."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gpucheck.facts import Timeline
from gpucheck.host import CannotLook
from gpucheck.witnesses import timeline

MIB = 2**20
GPU = {
    "index": 0, "utilization": 0, "memory_used": MIB, "power_mw": 70000, "energy_mj": 0, "sm_mhz": 345,
    "temperature_c": 40, "processes": [], "error": None,
}  # fmt: skip
FIRST = {
    "gpus": [{"index": 0, "uuid": "GPU-a", "name": "NVIDIA H200", "memory_total": 141 * 2**30}], "interval": 0.1,
}  # fmt: skip
FOLLOW = {"follow": 101.0, "by": "cgroup"}
PART = {"name": "probe", "exit_code": 0, "signal": None, "began": 101.5, "seconds": 1.0}


def at(t: float, **changes: object) -> dict[str, Any]:
    return {"t": t, "gpus": [{**GPU, **changes}]}


def look(folder: Path, lines: Sequence[object], **files: object) -> Timeline:
    (folder / "nvml.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for name, data in files.items():
        (folder / f"{name}.json").write_text(data if isinstance(data, str) else json.dumps(data))
    return timeline.look(folder)


def phases(found: Timeline) -> list[tuple[str, float, float]]:
    return [(phase.name, phase.start, phase.end) for phase in found.phases]


# --- the samples ---


def test_few_samples_are_all_there(tmp_path: Path) -> None:
    found = look(tmp_path, [
        FIRST, at(100.0), FOLLOW, at(101.25, utilization=90, power_mw=500000, temperature_c=55, memory_used=9 * MIB),
    ])  # fmt: skip
    assert found.seconds == (0.0, 1.25)
    (gpu,) = found.gpus
    assert (gpu.index, gpu.uuid, gpu.name, gpu.memory_total_bytes) == (0, "GPU-a", "NVIDIA H200", 141 * 2**30)
    assert (gpu.utilization, gpu.power_mw, gpu.temperature_c) == ((0, 90), (70000, 500000), (40, 55))
    assert gpu.memory_bytes == (MIB, 9 * MIB)


def test_what_was_not_told_is_none(tmp_path: Path) -> None:
    lost = dict.fromkeys(("utilization", "memory_used", "power_mw", "temperature_c"))
    found = look(tmp_path, [FIRST, at(100.0), at(101.0, **lost)])
    (gpu,) = found.gpus
    assert gpu.utilization == (0, None)
    assert gpu.memory_bytes == (MIB, None)
    assert gpu.power_mw == (70000, None)
    assert gpu.temperature_c == (40, None)


def test_samples_from_before_there_was_a_temperature(tmp_path: Path) -> None:
    older = {name: value for name, value in GPU.items() if name != "temperature_c"}
    first = {"gpus": [{"index": 0, "uuid": None, "name": None}], "interval": 0.1}
    (gpu,) = look(tmp_path, [first, {"t": 100.0, "gpus": [older]}]).gpus
    assert (gpu.memory_total_bytes, gpu.temperature_c, gpu.power_mw) == (None, (None,), (70000,))


def test_many_samples_are_thinned_to_means_and_to_the_most_memory(tmp_path: Path) -> None:
    lines = [at(100 + n / 10, utilization=100 * (n % 2), temperature_c=40 + n % 2, memory_used=n) for n in range(1200)]
    found = look(tmp_path, [FIRST, *lines])
    assert len(found.seconds) == timeline.MOST
    assert found.seconds == tuple(sorted(set(found.seconds)))
    (gpu,) = found.gpus
    assert {*map(len, (gpu.utilization, gpu.memory_bytes, gpu.power_mw, gpu.temperature_c))} == {timeline.MOST}
    busy = [value for value in gpu.utilization if value is not None]
    assert sum(busy) / len(busy) == pytest.approx(50, abs=1)  # the highest of each stretch would say 100
    assert (gpu.memory_bytes[0], gpu.memory_bytes[-1]) == (3, 1199)


def test_a_slower_pace_is_not_drawn_out(tmp_path: Path) -> None:
    """Stretches are of time: a minute at full pace and nine of a slower one are a tenth and nine tenths."""
    quick, slow = [at(100 + n / 10) for n in range(600)], [at(160.0 + n) for n in range(540)]
    seconds = look(tmp_path, [FIRST, *quick, *slow]).seconds
    assert len([t for t in seconds if t < 60]) == pytest.approx(timeline.MOST / 10, abs=1)


def test_gpus_are_kept_apart(tmp_path: Path) -> None:
    """Also where one of them was not sampled once."""
    first = {"gpus": [{"index": 0, "uuid": None, "name": None}, {"index": 3, "uuid": None, "name": None}]}
    two = {"t": 100.0, "gpus": [{**GPU, "utilization": 1}, {**GPU, "index": 3, "utilization": 2}]}
    found = look(tmp_path, [first, two, at(101.0)])
    assert [(gpu.index, gpu.utilization) for gpu in found.gpus] == [(0, (1, 0)), (3, (2, None))]


def test_the_time_in_which_an_image_is_built_is_left_out(tmp_path: Path) -> None:
    minutes = [at(100.0 + n) for n in range(600)]
    found = look(tmp_path, [FIRST, *minutes, {"follow": 700.0, "by": "cgroup"}, at(700.5), at(701.0)])
    assert found.seconds[-1] == timeline.BEFORE + 1
    assert len(found.seconds) == timeline.BEFORE + 2


def test_no_sample(tmp_path: Path) -> None:
    with pytest.raises(CannotLook, match=r"^NVML lists no GPU$"):
        look(tmp_path, [{"error": "NVML lists no GPU"}])
    with pytest.raises(CannotLook, match=r"^no sample was taken$"):
        look(tmp_path, [FIRST])
    with pytest.raises(CannotLook, match=r"^NVML hung$"):
        look(tmp_path, [FIRST, {"error": "NVML hung"}])


@pytest.mark.parametrize("t", [-1.0, 1e300, float("nan"), float("inf"), "1"])
def test_a_time_that_is_none(tmp_path: Path, t: Any) -> None:
    with pytest.raises(CannotLook, match=r"nvml\.jsonl, line 2,? has .* as t"):
        look(tmp_path, [FIRST, at(t)])


def test_absurd_values_are_no_crash(tmp_path: Path) -> None:
    lines = [at(100 + n / 10, utilization=10**400 + n, temperature_c=-40) for n in range(400)]
    (gpu,) = look(tmp_path, [FIRST, *lines]).gpus
    assert gpu.utilization[0] == 10**400 + 1
    assert gpu.temperature_c[0] == -40


# --- the phases ---


def test_parts_are_phases_and_the_training_has_times_of_its_own(tmp_path: Path) -> None:
    train = {**PART, "name": "train", "began": 103.0, "seconds": 6.0}
    found = look(
        tmp_path, [FIRST, at(100.0), FOLLOW, at(109.5)], run={"parts": [PART, train]},
        train={"began": 105.0, "trained": 107.5, "ended": 108.5},
    )  # fmt: skip
    assert phases(found) == [("probe", 1.5, 2.5), ("load", 3.0, 5.0), ("train", 5.0, 7.5), ("test", 7.5, 8.5)]


def test_a_training_that_died_is_its_part(tmp_path: Path) -> None:
    died = {**PART, "name": "train", "signal": 9, "exit_code": None}
    assert phases(look(tmp_path, [FIRST, at(100.0), at(109.0)], run={"parts": [died]})) == [("train", 1.5, 2.5)]


def test_of_older_evidence_the_training_alone_is_known(tmp_path: Path) -> None:
    older = {name: value for name, value in PART.items() if name != "began"}
    found = look(
        tmp_path, [FIRST, at(100.0), at(109.0)], run={"parts": [older]}, train={"began": 105.0, "ended": 108.0}
    )
    assert phases(found) == [("train", 5.0, 8.0)]


def test_a_command_of_the_user_s_is_one_phase(tmp_path: Path) -> None:
    assert phases(look(tmp_path, [FIRST, at(100.0), FOLLOW, at(109.0)], ran={"seconds": 7.5})) == [("run", 1.0, 8.5)]


@pytest.mark.parametrize(
    "run",
    ["{", {"parts": 7}, {"parts": [{**PART, "began": "x"}]}, {"parts": [{**PART, "began": 1e999}]}, {"parts": []},
     {"parts": [{**PART, "seconds": -1}]}, {"parts": [{**PART, "began": 5.0}]}, {"parts": [PART] * 51}],
)  # fmt: skip
def test_times_that_cannot_be_read_cost_the_phases_alone(tmp_path: Path, run: object) -> None:
    found = look(tmp_path, [FIRST, at(100.0), at(109.0)], run=run)
    assert (found.seconds, found.phases) == ((0.0, 9.0), ())
