from __future__ import annotations

import re
from pathlib import Path

import pytest

from gpucheck import recipes
from gpucheck.facts import Version
from gpucheck.model import Failure

BOOK = recipes.load()
PACKAGES = {
    "tensorflow": ("tensorflow", "tensorflow-cpu"), "keras": ("keras",), "pytorch": ("torch",), "jax": ("jax",),
    "xgboost": ("xgboost", "xgboost-cpu"),
}  # fmt: skip
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
    assert len(pins) > 2
    assert all("--hash=sha256:" in rest for _, _, rest in pins)
    assert not re.search(r"^--|://", text, re.MULTILINE)
    pinned = {name: version for name, version, _ in pins}
    assert recipe.version in {pinned.get(name, "").partition("+")[0] for name in PACKAGES[recipe.framework]}
    if recipe.backend:
        assert pinned.keys() & set(PACKAGES[{"torch": "pytorch"}.get(recipe.backend, recipe.backend)])
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
    assert recipe.arguments.keys() | {"BASE", "DIGEST", "BAKE_CA"} >= used - {"CUDA", "CUDNN", "MIN_DRIVER", "BACKEND"}


def test_the_cuda_lock_is_what_tensorflow_was_built_with() -> None:
    recipe = BOOK["tensorflow-cuda12"]
    pinned = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", recipe.lock_path.read_text(), re.MULTILINE))
    assert Version(pinned["nvidia-cuda-runtime-cu12"]) < Version("12.6")
    assert Version(pinned["nvidia-cudnn-cu12"]) < Version("9.4")


@pytest.mark.parametrize("recipe", [recipe for recipe in BOOK.values() if recipe.cuda], ids=lambda recipe: recipe.name)
def test_the_cuda_of_a_row_is_what_its_lock_installs(recipe: recipes.Recipe) -> None:
    pinned = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", recipe.lock_path.read_text(), re.MULTILINE))
    runtime = [pinned[name] for name in ("nvidia-cuda-runtime", "nvidia-cuda-runtime-cu12") if name in pinned]
    cudnn = [pinned[name] for name in ("nvidia-cudnn-cu13", "nvidia-cudnn-cu12") if name in pinned]
    assert len(runtime) == len(cudnn) == (recipe.cudnn is not None), "XGBoost brings CUDA inside its own wheel"
    assert all(version.startswith(f"{recipe.cuda}.") for version in runtime)
    assert all(version.startswith(f"{recipe.cudnn}.") for version in cudnn)


@pytest.mark.parametrize(
    "recipe", [recipe for recipe in BOOK.values() if not recipe.cuda], ids=lambda recipe: recipe.name
)
def test_a_cpu_lock_installs_nothing_of_nvidia_s(recipe: recipes.Recipe) -> None:
    assert not re.search(r"^(nvidia|cuda|triton)", recipe.lock_path.read_text(), re.MULTILINE)


@pytest.mark.parametrize(
    ("name", "capabilities"),
    [
        ("tensorflow-cuda12", ["6.0", "7.5", "8.9", "9.0"]),
        ("pytorch-cuda13", ["7.5", "8.9", "9.0", "10.0", "12.0"]),
        ("jax-cuda13", ["7.5", "8.9", "9.0", "10.0", "12.0"]),
        ("keras-tensorflow-cuda12", ["6.0", "7.5", "8.9", "9.0"]),
        ("keras-torch-cuda13", ["7.5", "8.9", "9.0", "10.0", "12.0"]),
        ("xgboost-cuda12", ["5.2", "6.0", "7.5", "8.9", "9.0", "10.0", "12.0"]),
        ("tensorflow-cpu", []),
    ],
)
def test_the_gpus_that_an_image_fits(name: str, capabilities: list[str]) -> None:
    asked = ("3.5", "5.2", "6.0", "7.5", "8.9", "9.0", "10.0", "12.0", "13.0")
    assert [c for c in asked if BOOK[name].fits(Version(c))] == capabilities


def test_images_have_names_of_their_own() -> None:
    assert len({recipe.image_tag for recipe in BOOK.values()}) == len(BOOK)
    assert BOOK["keras-torch-cpu"].image_tag == "gpucheck/keras:3.15.1-torch-cpu"
    assert BOOK["pytorch-cuda13"].image_tag == "gpucheck/pytorch:2.15.0-cuda13.2"


@pytest.mark.parametrize(
    "recipe", [recipe for recipe in BOOK.values() if recipe.backend], ids=lambda recipe: recipe.name
)
def test_a_keras_row_is_its_backend_s_with_another_name(recipe: recipes.Recipe) -> None:
    (of_backend,) = [
        other
        for other in BOOK.values()
        if (other.lock, other.device) == (recipe.lock, recipe.device) and other != recipe
    ]
    for field in ("cuda", "cudnn", "min_driver", "compute_capabilities", "python", "pythons", "base", "dockerfile"):
        assert getattr(recipe, field) == getattr(of_backend, field)
    assert (recipe.hint is None) == (of_backend.hint is None)
    assert recipe.arguments["BACKEND"] == recipe.backend


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
        ('device = "cpu"', 'device = "cpu"\ncudnn = "9.3"', "cuda alone has"),
        ('framework = "f"', 'framework = "f"\nbackend = "jax"', "keras alone has a backend"),
        ('framework = "f"', 'framework = "keras"', "keras alone has a backend"),
        (ROW, ROW + ROW, "same name"),
    ],
)
def test_a_row_that_is_not_as_it_must_be_is_named(images: Path, old: str, new: str, told: str) -> None:
    (images / "recipes.toml").write_text(ROW.replace(old, new))
    with pytest.raises(ValueError, match=told):
        recipes.load(images)
