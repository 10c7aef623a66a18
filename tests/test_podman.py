"""Podman by a command of the test's that answers as Podman does; scripts/test-engines asks a real one."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gpucheck import containers, recipes
from gpucheck.model import Failure
from gpucheck.podman import Podman

PODMAN = """#!/usr/bin/env python3
import json, pathlib, sys
words = sys.argv[3:]  # after --log-level error
with open({log!r}, "a") as log:
    log.write(json.dumps(words) + "\\n")
answers = json.loads(pathlib.Path({answers!r}).read_text())
code, out, err = next((a for key, *a in answers if " ".join(words).startswith(key)), (0, "", ""))
sys.stdin.close()
sys.stdout.write(out)
sys.stderr.write(err)
sys.exit(code)
"""
VERSION = ("version", 0, json.dumps({"Client": {"Version": "5.4.2"}}), "")
INFO = ("info", 0, json.dumps({"host": {"memTotal": 1000, "serviceIsRemote": False}}), "")
CREATED = ("create", 0, "abc\n", "")
ENDED = {
    "State": {"StartedAt": "2026-11-25T00:00:00Z", "ExitCode": 3, "OOMKilled": False},
    "Image": "f00",
    "Config": {},
}
Scripted = Callable[..., tuple[Podman, Callable[[], list[list[str]]]]]


@pytest.fixture
def scripted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scripted:
    """A function (answers: the command's start, exit code, stdout, stderr) -> Podman, and what it was asked."""

    def make(*answers: tuple[str, int, str, str]) -> tuple[Podman, Callable[[], list[list[str]]]]:
        log, said, command = tmp_path / "asked", tmp_path / "answers", tmp_path / "podman"
        said.write_text(json.dumps([*answers, VERSION, INFO]))
        command.write_text(PODMAN.format(log=str(log), answers=str(said)))
        command.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        return Podman(), lambda: [json.loads(line) for line in log.read_text().splitlines()]

    return make


def test_a_run_is_limited_and_is_removed(scripted: Scripted) -> None:
    podman, asked = scripted(CREATED, ("start", 0, "one\ntwo\n", ""), ("container inspect", 0, json.dumps([ENDED]), ""))
    said: list[str] = []
    ran = containers.run("image", ["a", "b"], gpus=True, client=podman, say=lambda line, _: said.append(line))
    assert (ran.exit_code, ran.image_id, said, ran.last_lines) == (3, "sha256:f00", ["one", "two"], ("one", "two"))
    create = next(words for words in asked() if words[0] == "create")
    assert {"--device=nvidia.com/gpu=all", "--network=none", "--cap-drop=all", "--memory=900"} <= set(create)
    assert create[-2:] == ["image", "b"]
    assert asked()[-1][:2] == ["rm", "--force"]
    assert f"--name={asked()[-1][-1]}" in create


def test_a_run_that_is_interrupted_is_removed(scripted: Scripted) -> None:
    podman, asked = scripted(CREATED, ("start", 0, "one\n", ""))

    def say(_line: str, _share: float | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        containers.run("image", ["a"], gpus=False, client=podman, say=say)
    assert [words[0] for words in asked()][-1] == "rm"
    assert "inspect" not in {word for words in asked() for word in words}


@pytest.mark.parametrize(
    ("error", "sentence", "tip"),
    [
        (
            "Error: setting up CDI devices: unresolvable CDI devices nvidia.com/gpu=all",
            "no CDI specification with the device nvidia.com/gpu=all",
            "nvidia-ctk cdi generate",
        ),
        ("Error: crun: cgroups in hybrid mode not supported", "hybrid cgroups", "runc"),
        ("Error: image: image not known", "Podman has no image image", "gpucheck build"),
        ("Error: something new", "Podman refused: something new", "podman info"),
    ],
)
def test_a_refusal_is_a_sentence_and_leaves_nothing(scripted: Scripted, error: str, sentence: str, tip: str) -> None:
    podman, asked = scripted(("create", 125, "", error))
    with pytest.raises(Failure, match=sentence) as failed:
        containers.run("image", ["true"], gpus=True, client=podman)
    assert tip in failed.value.tip
    assert asked()[-1][:2] == ["rm", "--force"]


def test_it_needs_no_docker_py(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    podman, _ = scripted(CREATED, ("start", 0, "", ""), ("container inspect", 0, json.dumps([ENDED]), ""))
    for module in ("docker", "docker.types", "docker.errors"):
        monkeypatch.setitem(sys.modules, module, None)
    assert containers.run("image", ["a"], gpus=False, client=podman).exit_code == 3


def test_an_old_one_is_not_asked_for_gpus(scripted: Scripted) -> None:
    podman, asked = scripted(("version", 0, json.dumps({"Client": {"Version": "3.4.4"}}), ""))
    with pytest.raises(Failure, match=r"Podman 3\.4\.4 cannot give GPUs"):
        containers.run("image", ["true"], gpus=True, client=podman)
    assert not [words for words in asked() if words[0] == "create"]


def test_an_image_that_is_older_than_its_recipe_is_not_found(scripted: Scripted) -> None:
    recipe = recipes.load()["jax-cpu"]
    for digest, found in ((recipe.digest, "sha256:1d"), ("older", None)):
        labels = {"io.gpucheck.digest": digest}
        podman, _ = scripted(("image inspect", 0, json.dumps([{"Id": "1d", "Labels": labels}]), ""))
        assert containers.find_image(recipe, podman) == found


def test_it_is_used_where_no_docker_engine_answers(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted()
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    said: list[str] = []
    assert isinstance(containers.choose("auto", lambda line, _: said.append(line)), Podman)
    assert "Podman 5.4.2 is used" in said[0]
    with pytest.raises(Failure, match="no Docker Engine answers"):
        containers.choose("docker", lambda *_: None)
