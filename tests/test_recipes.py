from __future__ import annotations

import re
from pathlib import Path

import pytest

from gpucheck import recipes
from gpucheck.facts import Version
from gpucheck.model import Failure

BOOK = recipes.load()
ROW = """[[recipe]]
name = "a"
framework = "f"
version = "1"
device = "cpu"
python = "3.12"
pythons = ["3.12"]
base = "b"
dockerfile = "Dockerfile"
lock = "lock.txt"
source = "s"
checked = 2026-01-01
"""


@pytest.mark.parametrize("recipe", BOOK.values(), ids=BOOK)
def test_a_lock_is_hashed_and_names_no_index(recipe: recipes.Recipe) -> None:
    text = recipe.lock_path.read_text()
    pins = re.findall(r"^([a-z0-9.-]+)==(\S+)(.*?)\n(?=\S|    #)", text, re.MULTILINE | re.DOTALL)
    assert len(pins) > 20
    assert all("--hash=sha256:" in rest for _, _, rest in pins)
    assert not re.search(r"^--|://", text, re.MULTILINE)
    pinned = {name: version for name, version, _ in pins}
    assert recipe.version in {pinned.get("tensorflow"), pinned.get("tensorflow-cpu")}
    asked = re.findall(
        r"^([a-z0-9-]+)(?:\[.*?\])?==(\S+)", recipe.lock_path.with_suffix(".in").read_text(), re.MULTILINE
    )
    assert asked
    assert dict(asked).items() <= pinned.items(), "the lock is older than its .in"


@pytest.mark.parametrize("recipe", BOOK.values(), ids=BOOK)
def test_a_dockerfile_builds_on_the_oldest_buildkit_offline(recipe: recipes.Recipe) -> None:
    text = (recipe.folder / recipe.dockerfile).read_text()
    assert "# syntax" not in text, "it would fetch a frontend from a registry"
    assert "<<" not in text, "Engine 20.10 has no heredocs"
    used = set(re.findall(r"^ARG (\w+)", text, re.MULTILINE))
    assert recipe.arguments.keys() | {"BASE", "DIGEST", "BAKE_CA"} >= used - {"CUDA", "CUDNN", "MIN_DRIVER"}


def test_the_cuda_lock_is_what_tensorflow_was_built_with() -> None:
    recipe = BOOK["tensorflow-cuda12"]
    pinned = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", recipe.lock_path.read_text(), re.MULTILINE))
    assert Version(pinned["nvidia-cuda-runtime-cu12"]) < Version("12.6")
    assert Version(pinned["nvidia-cudnn-cu12"]) < Version("9.4")


def test_the_cuda_image_fits_from_pascal_to_hopper() -> None:
    recipe = BOOK["tensorflow-cuda12"]
    assert [c for c in ("5.2", "6.0", "7.5", "8.9", "9.0", "10.0", "12.0") if recipe.fits(Version(c))] == [
        "6.0", "7.5", "8.9", "9.0",
    ]  # fmt: skip
    assert not BOOK["tensorflow-cpu"].fits(Version("8.0"))


def test_images_have_names_of_their_own() -> None:
    assert len({recipe.image_tag for recipe in BOOK.values()}) == len(BOOK)


@pytest.mark.parametrize(
    ("asked", "near"), [("tensorflow-cuda", "tensorflow-cuda12"), ("tensorflow_cpu", "tensorflow-cpu")]
)
def test_an_unknown_recipe_suggests_the_nearest(asked: str, near: str) -> None:
    with pytest.raises(Failure) as failed:
        recipes.find(BOOK, asked)
    assert near in failed.value.tip
    assert failed.value.exit_code == 2


def test_a_name_like_none_is_answered_with_the_list() -> None:
    with pytest.raises(Failure) as failed:
        recipes.find(BOOK, "zzz")
    assert "--list" in failed.value.tip


@pytest.fixture
def images(tmp_path: Path) -> Path:
    (tmp_path / "Dockerfile").write_text("FROM b\n")
    (tmp_path / "lock.txt").write_text("")
    (tmp_path / "recipes.toml").write_text(ROW)
    return tmp_path


@pytest.mark.parametrize("changed", ["Dockerfile", "lock.txt"])
def test_whatever_makes_the_image_changes_the_digest(images: Path, changed: str) -> None:
    before = recipes.load(images)["a"].digest
    assert recipes.load(images)["a"].digest == before
    (images / changed).write_text("# changed\n")
    assert recipes.load(images)["a"].digest != before


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('lock = "lock.txt"', 'lock = "gone.txt"', "gone.txt"),
        ('source = "s"', "", "source"),
        ('source = "s"', 'source = "s"\nsauce = "s"', "sauce"),
        ('version = "1"', "version = 1", "version is 1"),
        ('device = "cpu"', 'device = "tpu"', "tpu"),
        ('device = "cpu"', 'device = "cuda"', "cuda alone has"),
        (ROW, ROW + ROW, "same name"),
    ],
)
def test_a_row_that_is_not_as_it_must_be_is_named(images: Path, old: str, new: str, told: str) -> None:
    (images / "recipes.toml").write_text(ROW.replace(old, new))
    with pytest.raises(ValueError, match=told):
        recipes.load(images)
