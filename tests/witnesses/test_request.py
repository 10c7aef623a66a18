"""asked.json to the command that asks for the same run again."""

from __future__ import annotations

import dataclasses
import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from gpucheck import proving, verification
from gpucheck.cli import prove, verify
from gpucheck.facts import Request
from gpucheck.host import CannotLook
from gpucheck.witnesses import request

ASKED: dict[str, Any] = {"schema": 1, "framework": "tensorflow", "device": "gpu", "options": {}}


def look(folder: Path, asked: dict[str, Any], **files: object) -> Request:
    for name, data in {"asked": {**ASKED, **asked}, **files}.items():
        (folder / f"{name}.json").write_text(json.dumps(data))
    return request.look(folder)


def options(wish: Any) -> dict[str, str]:
    """As verification.py and proving.py write them."""
    given = dataclasses.asdict(wish).items()
    return {name: str(value) for name, value in given if value is not None and name != "command"}


# --- verify ---


def test_defaults_are_left_out(tmp_path: Path) -> None:
    found = look(tmp_path, {"options": options(verification.Wish())})
    assert found.command == ("gpucheck", "verify", "--framework", "tensorflow")


def test_every_option_is_said_in_its_own_words(tmp_path: Path) -> None:
    wish = verification.Wish(
        framework="keras", backend="jax", device="cpu", devices=2, where="host", python="/opt/my python/bin/python",
        image="x:1", base="y:2", ca_bundle=Path("ca.pem"), network="host", data="-odd $(name)", recipe="tutorial",
        epochs=3, batch_size=64, validation_split=0.25, seed=7, limit=640, control=False, timeout=60.0,
        keep=Path("evidence"),
    )  # fmt: skip
    found = look(tmp_path, {"options": options(wish)})
    assert found.command == (
        "gpucheck", "verify", "--framework", "keras", "--backend", "jax", "--device", "cpu", "--devices", "2",
        "--on", "host", "--python", "/opt/my python/bin/python", "--image", "x:1", "--base", "y:2",
        "--ca-bundle", "ca.pem", "--network", "host", "--data", "-odd $(name)", "--recipe", "tutorial",
        "--epochs", "3", "--batch-size", "64", "--validation-split", "0.25", "--seed", "7", "--limit", "640",
        "--timeout", "60.0", "--no-control",
    )  # fmt: skip
    assert tuple(shlex.split(shlex.join(found.command))) == found.command


def test_the_command_line_takes_them(tmp_path: Path) -> None:
    """Each option is one of the command's, and its default is the wish's."""
    cases: tuple[tuple[Any, Any, Any], ...] = (
        (verify.verify, request.VERIFY, verification.Wish()),
        (prove.prove, request.PROVE, proving.Wish(command=("x",))),
    )
    for function, names, wish in cases:
        app = typer.Typer()
        app.command()(function)
        flags = {flag for param in typer.main.get_command(app).params for flag in param.opts}
        assert {flag for flag, _ in names.values()} <= flags
        defaults = options(wish)
        assert {name: defaults.get(name) for name in names if name != "framework"} == {
            name: default for name, (_, default) in names.items() if name != "framework"
        }
        left = {field.name for field in dataclasses.fields(wish)} - set(names)
        assert left <= {"keep", "control", "command"}
    assert look(tmp_path, {"options": options(verification.Wish(control=False))}).command[-1] == request.NO_CONTROL


def test_a_password_of_a_mirror_is_not_told(tmp_path: Path) -> None:
    url = "https://me:secret@mirror.example/cifar.tar.gz"
    found = look(tmp_path, {"options": options(verification.Wish(data=url))})
    assert found.command[-1] == "https://me:***@mirror.example/cifar.tar.gz"


def test_the_image_its_recipe_and_the_versions(tmp_path: Path) -> None:
    asked = {
        "image": "gpucheck/keras:3.15.1-jax-cuda12", "recipe": "keras-jax", "reason": "it fits", "cuda": "12.9",
        "cudnn": "9.8", "lock_sha256": "ab" * 32, "framework": "keras",
    }  # fmt: skip
    probe = {"framework_version": "3.15.1", "backend": "jax", "backend_version": "0.10.2"}
    found = look(tmp_path, asked, probe=probe, run={"python": "3.12.1"})
    assert (found.image, found.recipe, found.reason) == (asked["image"], "keras-jax", "it fits")
    assert found.lock_sha256 == "ab" * 32
    assert found.versions == ("keras 3.15.1", "jax 0.10.2", "python 3.12.1", "cuda 12.9", "cudnn 9.8")


def test_a_run_that_left_nothing_has_no_versions(tmp_path: Path) -> None:
    found = look(tmp_path, {"image": None})
    assert (found.image, found.recipe, found.reason, found.lock_sha256, found.versions) == (None, None, None, None, ())


def test_evidence_from_before_there_were_options(tmp_path: Path) -> None:
    (tmp_path / "asked.json").write_text(json.dumps({"schema": 1, "framework": "jax", "device": "cpu"}))
    assert request.look(tmp_path).command == ("gpucheck", "verify", "--framework", "jax", "--device", "cpu")


@pytest.mark.parametrize(
    "asked", [{"options": {"data": ["x"]}}, {"options": 7}, {"lock_sha256": "<script>"}, {"image": 7}]
)
def test_what_gpucheck_never_wrote(tmp_path: Path, asked: dict[str, Any]) -> None:
    with pytest.raises(CannotLook, match=r"asked\.json"):
        look(tmp_path, asked)


def test_nothing_that_was_not_asked_becomes_a_word(tmp_path: Path) -> None:
    found = look(tmp_path, {"options": {"--rm": "x", "keep": "e", "device": "cpu"}})
    assert found.command == ("gpucheck", "verify", "--device", "cpu")


# --- prove ---


def test_the_user_s_command_is_kept_as_words(tmp_path: Path) -> None:
    words = ("python", "my script.py", "--out", "$HOME/x y")
    wish = proving.Wish(command=words, device="cpu", timeout=60.0, keep=Path("e"))
    found = look(tmp_path, {"command": list(words), "options": options(wish)})
    assert found.command == ("gpucheck", "prove", "--device", "cpu", "--timeout", "60.0", "--", *words)


def test_a_notebook_is_named_and_not_what_runs_it(tmp_path: Path) -> None:
    for runner in (str(prove.NOTEBOOK), "/opt/gpucheck/payloads/hook/notebook.py"):
        found = look(tmp_path, {"command": ["/usr/bin/python3", runner, "a b.ipynb"], "options": {"image": "x:1"}})
        assert found.command == ("gpucheck", "prove", "--image", "x:1", "--", "a b.ipynb")


def test_the_versions_are_those_that_its_processes_imported(tmp_path: Path) -> None:
    told = {
        "pid": 7, "argv": ["python"], "frameworks": {"torch": "2.13.0"}, "brought_by": {}, "gpu_builds": {},
        "at_work": [], "devices": [], "variables": {}, "windows": [], "final": [], "ops": [], "registry": None,
        "libraries": None, "overhead_seconds": 0.0, "started": 1.0, "ended": True, "problems": [],
    }  # fmt: skip
    found = look(tmp_path, {"command": ["python", "x.py"]}, p7=told, p8={**told, "pid": 8})
    assert found.versions == ("torch 2.13.0",)
    (tmp_path / "p8.json").write_text("{")
    assert request.look(tmp_path).versions == ()
