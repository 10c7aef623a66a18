"""asked.json, ran.json and run.json: how a run ended, also when it ended badly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gpucheck.facts import Part
from gpucheck.host import CannotLook
from gpucheck.witnesses import run

FILES: dict[str, dict[str, Any]] = {
    "asked.json": {
        "schema": 1, "framework": "tensorflow", "device": "gpu", "where": "container", "where_why": None,
        "image": "gpucheck/x",
        "image_id": "sha256:aa", "recipe": "x", "options": {},
    },
    "ran.json": {"exit_code": 0, "signal": None, "image_id": "sha256:aa", "recipe": "x", "seconds": 60.1,
                 "oom_killed": False, "last_lines": ["train: testing", "bye"]},
    "run.json": {"schema": 1, "parts": [
        {"name": "probe-strict", "exit_code": 0, "signal": None, "seconds": 7},
        {"name": "train", "exit_code": None, "signal": 9, "seconds": 3.5},
    ]},
    "probe.json": {"framework_version": "2.21.0", "devices": ["CPU:0", "GPU:0"]},
}  # fmt: skip


def look(folder: Path, *missing: str, **changes: dict[str, Any]) -> Any:
    for name, document in FILES.items():
        if name not in missing:
            (folder / name).write_text(json.dumps({**document, **changes.get(name.removesuffix(".json"), {})}))
    return run.look(folder)


def test_a_run(tmp_path: Path) -> None:
    found = look(tmp_path)
    assert (found.frameworks, found.framework_version, found.device, found.where) == (
        ("tensorflow",), "2.21.0", "gpu", "container",
    )  # fmt: skip
    assert (found.image_asked, found.image_ran, found.recipe_asked, found.recipe_ran) == ("sha256:aa",) * 2 + ("x",) * 2
    assert found.devices_seen == ("CPU:0", "GPU:0")
    assert (found.where_why, found.oom_killed, found.last_line) == (None, False, "bye")
    assert found.parts[1] == Part(name="train", exit_code=None, signal=9, seconds=3.5)


@pytest.mark.parametrize("end", [{"exit_code": None, "signal": 9}, {"exit_code": 137}])
def test_a_payload_that_was_killed_left_what_it_could(tmp_path: Path, end: dict[str, Any]) -> None:
    found = look(tmp_path, "run.json", "probe.json", ran=end)
    assert (found.parts, found.framework_version, found.devices_seen) == ((), None, ())
    assert (found.exit_code, found.signal) == (end["exit_code"], end.get("signal"))


def test_a_run_that_ended_well_without_its_report_is_not_believed(tmp_path: Path) -> None:
    with pytest.raises(CannotLook, match=r"run\.json"):
        look(tmp_path, "run.json")


@pytest.mark.parametrize("name", ["asked.json", "ran.json"])
def test_without_gpuchecks_own_word_there_is_no_run(tmp_path: Path, name: str) -> None:
    with pytest.raises(CannotLook, match=name):
        look(tmp_path, name)


def test_another_schema_is_not_guessed_at(tmp_path: Path) -> None:
    with pytest.raises(CannotLook, match="schema 2"):
        look(tmp_path, asked={"schema": 2})


@pytest.mark.parametrize(("key", "value"), [("device", "tpu"), ("where", "moon")])
def test_a_question_that_was_never_asked(tmp_path: Path, key: str, value: str) -> None:
    with pytest.raises(CannotLook, match=f"{value}.* as {key}"):
        look(tmp_path, asked={key: value})


@pytest.mark.parametrize(
    ("framework", "kind", "frameworks"),
    [
        ("tensorflow", "tensorflow-log", ("tensorflow",)),
        ("pytorch", "execution-trace", ("torch",)),
        ("jax", "executables", ("jax",)),
        ("xgboost", "configured", ("xgboost",)),
        ("keras", "tensorflow-log", ("keras", "tensorflow")),
        ("keras", "execution-trace", ("keras", "torch")),
        ("keras", "executables", ("keras", "jax")),
    ],
)
def test_the_frameworks_of_a_run(tmp_path: Path, framework: str, kind: str, frameworks: tuple[str, ...]) -> None:
    found = look(tmp_path, asked={"framework": framework}, probe={"placement": {"kind": kind, "file": None}})
    assert found.frameworks == frameworks


def test_keras_that_died_before_its_probe_ran_on_no_backend(tmp_path: Path) -> None:
    assert look(tmp_path, "probe.json", asked={"framework": "keras"}, ran={"exit_code": 1}).frameworks == ("keras",)


@pytest.mark.parametrize(("options", "devices"), [({}, 1), ({"devices": "2"}, 2), ({"devices": 4}, 4)])
def test_the_devices_that_were_asked_for(tmp_path: Path, options: dict[str, Any], devices: int) -> None:
    assert look(tmp_path, asked={"options": options}).devices_asked == devices


@pytest.mark.parametrize("devices", ["0", "many", "-1", None, "1e3", 10**9])
def test_a_number_of_devices_that_is_none(tmp_path: Path, devices: object) -> None:
    with pytest.raises(CannotLook, match="as devices"):
        look(tmp_path, asked={"options": {"devices": devices}})


@pytest.mark.parametrize(
    ("env", "hidden_by"),
    [
        ({}, None),
        ({"CUDA_VISIBLE_DEVICES": "-1"}, "CUDA_VISIBLE_DEVICES=-1"),
        ({"CUDA_VISIBLE_DEVICES": ""}, "CUDA_VISIBLE_DEVICES="),
        ({"CUDA_VISIBLE_DEVICES": "0,1"}, None),
        ({"NVIDIA_VISIBLE_DEVICES": "void"}, "NVIDIA_VISIBLE_DEVICES=void"),
        ({"NVIDIA_VISIBLE_DEVICES": "none"}, "NVIDIA_VISIBLE_DEVICES=none"),
        ({"NVIDIA_VISIBLE_DEVICES": "all"}, None),
        ({"CUDA_VISIBLE_DEVICES": -1}, None),  # no environment has a number
    ],
)
def test_what_hides_the_gpus(tmp_path: Path, env: dict[str, Any], hidden_by: str | None) -> None:
    assert look(tmp_path, run={"env": env}).hidden_by == hidden_by


@pytest.mark.parametrize(("level", "muted"), [("0", False), ("1", True), ("3", True), ("", False), ("x", False)])
def test_what_mutes_the_framework(tmp_path: Path, level: str, muted: bool) -> None:
    found = look(tmp_path, run={"env": {"TF_CPP_MIN_LOG_LEVEL": level}})
    assert found.muted == (f"TF_CPP_MIN_LOG_LEVEL={level}" if muted else None)


TORCH, EXECUTABLES = {"kind": "execution-trace", "file": None}, {"kind": "executables", "file": None}


@pytest.mark.parametrize(
    ("framework", "probe", "env", "forced"),
    [
        ("keras", {"placement": TORCH}, {"KERAS_TORCH_DEVICE": "cpu"}, "KERAS_TORCH_DEVICE=cpu"),
        ("keras", {"placement": TORCH}, {"KERAS_TORCH_DEVICE": "cuda"}, None),
        ("pytorch", {"placement": TORCH}, {"KERAS_TORCH_DEVICE": "cpu"}, None),  # plain PyTorch does not heed it
        ("jax", {"placement": EXECUTABLES}, {"JAX_PLATFORMS": "cpu"}, "JAX_PLATFORMS=cpu"),
        ("jax", {"placement": EXECUTABLES}, {"JAX_PLATFORMS": "cpu,cuda"}, "JAX_PLATFORMS=cpu,cuda"),
        ("jax", {"placement": EXECUTABLES}, {"JAX_PLATFORMS": "cuda,cpu"}, None),
        ("keras", {"placement": EXECUTABLES}, {"JAX_PLATFORMS": "cpu"}, "JAX_PLATFORMS=cpu"),
        ("tensorflow", {}, {"JAX_PLATFORMS": "cpu"}, None),
        ("tensorflow", {"forced": "set_visible_devices([], 'GPU')"}, {}, "set_visible_devices([], 'GPU')"),
        ("tensorflow", {"forced": None}, {}, None),
    ],
)
def test_what_forces_the_cpu(
    tmp_path: Path, framework: str, probe: dict[str, Any], env: dict[str, str], forced: str | None
) -> None:
    assert look(tmp_path, asked={"framework": framework}, probe=probe, run={"env": env}).forced == forced


def test_the_libraries_that_cannot_be_loaded_where_it_ran(tmp_path: Path) -> None:
    told = {"libcuda.so.1": True, "libnvidia-ml.so.1": False, "other": "no"}
    assert look(tmp_path, run={"libraries": told}).missing_libraries == ("libnvidia-ml.so.1",)
    assert look(tmp_path).missing_libraries == ()
