"""What `build --check` says of what it found in an image. tests/docker/test_installed.py looks into real ones."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from packaging.markers import default_environment

from gpucheck import building, installed, recipes
from gpucheck.installed import Distribution, Records
from gpucheck.model import Failure

LOCK = "alpha==1.0\nbeta==2.0 ; sys_platform == 'linux'\ngamma==3.0 ; sys_platform == 'win32'\n"
PIN = f"sha256:{'a' * 64}"


@pytest.fixture
def recipe(tmp_path: Path) -> recipes.Recipe:
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "lock.txt").write_text(LOCK)
    (tmp_path / "lock.txt.cdx.json").write_text("{}")
    row = recipes.load()["tensorflow-cpu"]
    return dataclasses.replace(row, folder=tmp_path, lock="lock.txt")


def packages(**versions: str) -> tuple[Distribution, ...]:
    return tuple(Distribution(name=name, version=version) for name, version in versions.items())


def records(recipe: recipes.Recipe, **changed: Any) -> Records:
    shipped = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in (recipe.lock_path, recipe.sbom_path)}
    found: dict[str, Any] = {
        "environment": {key: str(value) for key, value in default_environment().items()} | {"sys_platform": "linux"},
        "distributions": packages(Alpha="1.0", beta="2.0", pip="23.0"), "shipped": shipped, "files": 9, "bytecode": 3,
        "without_record": (), "changed": (), "missing": (), "unreadable": (), "unhashed": (), "unowned": (),
    }  # fmt: skip
    return Records(**(found | changed))


def labels(row: recipes.Recipe, **changed: str) -> dict[str, str]:
    told = {"recipe": row.name, "lock-sha256": row.arguments["LOCK_SHA256"], "digest": row.digest} | changed
    return {f"io.gpucheck.{name}": value for name, value in told.items()}


@pytest.fixture
def check(recipe: recipes.Recipe, monkeypatch: pytest.MonkeyPatch) -> Any:
    """check() of an image with those labels, in which that was found."""

    def run(told: dict[str, str] | None = None, row: recipes.Recipe | None = None, **changed: Any) -> tuple[str, ...]:
        config = {"Config": {"Labels": labels(recipe) if told is None else told}}
        client = SimpleNamespace(images=SimpleNamespace(get=lambda _name: SimpleNamespace(attrs=config)))
        monkeypatch.setattr(installed, "_examined", lambda *_: records(recipe, **changed))
        return installed.check("image", row or recipe, cast(Any, client)).problems

    return run


def test_an_image_that_is_as_its_recipe_says(check: Any) -> None:
    assert check() == ()


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"distributions": packages(alpha="1.1", beta="2.0")}, "alpha 1.1 is installed, and the lock has 1.0"),
        ({"distributions": packages(alpha="1.0")}, "beta 2.0 is in the lock, and not installed"),
        ({"distributions": packages(alpha="1.0", beta="2.0", evil="9")}, "evil 9 is installed, and the lock does not"),
        ({"distributions": (*packages(alpha="1.0", beta="2.0"), *packages(beta="1.9"))}, "beta is installed 2 times"),
        ({"changed": ("alpha/a.py",)}, "alpha/a.py is not as"),
        ({"missing": tuple(f"alpha/{n}.py" for n in range(11))}, "alpha/7.py and 3 more are missing"),
        ({"unreadable": ("alpha/a.py",)}, "alpha/a.py cannot be read"),
        ({"unhashed": ("alpha/a.py", "b")}, "alpha/a.py, b have no hash"),
        ({"unowned": ("evil.pth",)}, "evil.pth is in site-packages and in no RECORD"),
        ({"without_record": ("evil-9.dist-info",)}, "evil-9.dist-info has no RECORD"),
        ({"shipped": {}}, "lock.txt is not the recipe's"),
    ],
)
def test_each_fault_is_a_sentence(check: Any, changed: dict[str, Any], told: str) -> None:
    problems = check(**changed)
    assert told in problems[0]
    assert len(problems) == (2 if "shipped" in changed else 1)


def test_the_labels_are_compared_with_the_recipe(check: Any, recipe: recipes.Recipe) -> None:
    (other,) = check(labels(recipe, recipe="jax-cpu"))
    assert "jax-cpu" in other
    (older,) = check(labels(recipe, digest="0"))
    assert "wheels/Dockerfile" in older
    (lock,) = check(labels(recipe, **{"lock-sha256": "0" * 64, "digest": "0"}))
    assert "000000000000" in lock
    assert "names no recipe" in check({})[0]


@pytest.mark.parametrize(("digest", "well"), [(PIN, True), (f"sha256:{'b' * 64}", False), (None, False)])
def test_a_base_that_is_pinned_is_compared(check: Any, recipe: recipes.Recipe, digest: str | None, well: bool) -> None:
    pinned = dataclasses.replace(recipe, base=f"python:3.12@{PIN}")
    told = labels(recipe) | ({building.BASE_DIGEST_LABEL: digest} if digest else {})
    problems = check(told, pinned)
    assert (problems == ()) is well
    assert well or PIN in problems[0]


def test_the_lock_is_read_for_the_image_s_own_python(check: Any, recipe: recipes.Recipe) -> None:
    environment = {**records(recipe).environment, "sys_platform": "win32"}
    problems = check(environment=environment)
    assert problems == (
        "beta 2.0 is installed, and the lock does not name it", "gamma 3.0 is in the lock, and not installed"
    )  # fmt: skip


def test_a_lock_that_is_none_is_a_failure(check: Any, recipe: recipes.Recipe) -> None:
    recipe.lock_path.write_text("-r other.txt\n")
    with pytest.raises(Failure, match=r"lock\.txt: .*-r other"):
        check()
