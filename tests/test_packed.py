"""Packs that are none, and folders that are taken: what needs no engine."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from gpucheck import packed, packs, recipes
from gpucheck.model import Failure


def refusal(folder: Path) -> Failure:
    with pytest.raises(Failure) as failed:
        packed.read(folder)
    assert failed.value.exit_code == 2
    return failed.value


@pytest.mark.parametrize("name", list(recipes.load()))
def test_a_row_is_read_back_as_it_was(name: str, tmp_path: Path) -> None:
    recipe = recipes.load()[name]
    for file, path in recipe.files.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(path.read_bytes())
    (tmp_path / "recipes.toml").write_text(packs.row(recipe))
    again = recipes.load(tmp_path)[name]
    assert dataclasses.replace(again, folder=recipe.folder) == recipe
    assert again.digest == recipe.digest


def test_what_is_no_pack_is_a_sentence(tmp_path: Path) -> None:
    assert str(refusal(tmp_path)) == f"{tmp_path} is no pack: it has no pack.json"
    good = {"schema": 1, "recipe": "jax-cpu", "made": "", "files": {"base.tar": "0"}, "base": {}}
    texts = ["", "[]", "{}", "null", json.dumps(good), json.dumps({**good, "files": {"base.tar": "0", "../x": "0"}})]
    for text in (*texts, json.dumps({**good, "files": {"base.tar": "0", "/etc/x": "0"}})):
        (tmp_path / "pack.json").write_text(text)
        assert "is a torn pack" in str(refusal(tmp_path))
    (tmp_path / "pack.json").write_text(json.dumps({**good, "schema": 2}))
    assert "schema 2" in str(refusal(tmp_path))


def test_a_folder_that_is_not_empty_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(Failure, match="is not empty") as failed:
        packs.pack(recipes.load()["jax-cpu"], tmp_path)
    assert failed.value.exit_code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_file_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(Failure, match="cannot be used: Not a directory"):
        packs.pack(recipes.load()["jax-cpu"], tmp_path / "mine")


def test_a_pack_never_takes_the_place_of_a_disk_or_of_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which it could not, at its end: it is said before anything is asked of an engine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    for folder in (Path(), Path("/proc")):
        with pytest.raises(Failure, match="is a disk, or the current folder"):
            packs.pack(recipes.load()["jax-cpu"], folder)
    assert list(tmp_path.iterdir()) == []
