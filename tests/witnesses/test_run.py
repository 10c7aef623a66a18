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
    assert (found.framework, found.framework_version, found.device, found.where) == (
        "tensorflow", "2.21.0", "gpu", "container",
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
