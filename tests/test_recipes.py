"""The recipes: what a row says, what its lock installs, and what makes an image another one."""

from __future__ import annotations

import re
from dataclasses import fields
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
    name = recipe.lock_path.stem.removesuffix("-notebook")
    inputs = [f"{name}.in", *(["notebook.in"] if recipe.variant else [])]
    text = "\n".join((recipe.lock_path.parent / path).read_text() for path in inputs)
    asked = re.findall(r"^([a-z0-9-]+)(?:\[.*?\])?==(\S+)", text, re.MULTILINE)
    assert asked
    assert dict(asked).items() <= pinned.items(), "the lock is older than its .in"


@pytest.mark.parametrize("recipe", BOOK.values(), ids=BOOK)
def test_a_dockerfile_builds_on_the_oldest_buildkit_offline(recipe: recipes.Recipe) -> None:
    text = (recipe.folder / recipe.dockerfile).read_text()
    assert not re.search(r"^# *syntax *=", text, re.MULTILINE), "it would fetch a frontend from a registry"
    assert "<<" not in text, "Engine 20.10 has no heredocs"
    needed = set(re.findall(r"^ARG (\w+)$", text, re.MULTILINE)) - set(re.findall(r"^ARG (\w+)=", text, re.MULTILINE))
    known = recipe.arguments.keys() | {"DIGEST"}
    assert known >= needed - {"CUDA", "CUDNN", "MIN_DRIVER", "BACKEND"}, "an argument that nobody gives"


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
        ("pytorch-cuda12", ["7.5", "8.9", "9.0", "10.0", "12.0"]),
        ("pytorch-cuda12-pascal", ["5.2", "6.0", "7.5", "8.9", "9.0"]),
        ("jax-cuda12", ["5.2", "6.0", "7.5", "8.9", "9.0", "10.0", "12.0"]),
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


@pytest.mark.parametrize("name", [name for name in BOOK if name.endswith("-notebook")])
def test_a_notebook_is_its_recipe_and_jupyterlab(name: str) -> None:
    """Every package of the recipe's own lock is in the notebook's, at the same version and with the same hashes."""
    notebook, plain = BOOK[name], BOOK[name.removesuffix("-notebook")]

    def packages(recipe: recipes.Recipe) -> dict[str, frozenset[str]]:
        rows = re.findall(r"^([a-z0-9.-]+==\S+)(.*?)\n(?=\S|    #|\Z)", recipe.lock_path.read_text(), re.M | re.S)
        return {pin: frozenset(re.findall(r"sha256:\w+", rest)) for pin, rest in rows}

    more, own = packages(notebook), packages(plain)
    assert own.items() <= more.items()
    assert {"jupyterlab", "ipykernel"} <= {pin.partition("==")[0] for pin in more.keys() - own.keys()}
    assert notebook.variant == "notebook"
    assert notebook.image_tag == f"{plain.image_tag}-notebook"
    for field in fields(recipes.Recipe):
        if field.name not in ("name", "variant", "lock", "source", "checked", "download", "installed"):
            assert getattr(notebook, field.name) == getattr(plain, field.name), field.name


def test_each_recipe_of_a_network_has_a_notebook() -> None:
    plain = {r.name for r in BOOK.values() if r.framework in ("tensorflow", "pytorch", "jax") and not r.variant}
    assert {name.removesuffix("-notebook") for name in BOOK if BOOK[name].variant} == plain


def test_a_title_is_what_a_person_says() -> None:
    assert BOOK["keras-torch-cuda12"].title == "Keras 3.15.1 on PyTorch"
    assert BOOK["jax-cpu"].title == "JAX 0.10.2"


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


@pytest.mark.parametrize("changed", ["Dockerfile", "lock.txt", "beside.py", "lock.txt.cdx.json"])
def test_whatever_makes_the_image_changes_the_digest(images: Path, changed: str) -> None:
    before = recipes.load(images)["a"].digest
    assert recipes.load(images)["a"].digest == before
    (images / changed).write_text("# changed\n")
    assert recipes.load(images)["a"].digest != before


def test_sizes_and_sources_do_not_change_the_digest(images: Path) -> None:
    """The recipes' own file is no part of an image."""
    (images / "wheels").mkdir()
    (images / "wheels" / "Dockerfile").write_text("FROM b\n")
    row = ROW.replace('"Dockerfile"', '"wheels/Dockerfile"')
    (images / "recipes.toml").write_text(row)
    before = recipes.load(images)["a"].digest
    (images / "recipes.toml").write_text(row.replace('"s"', '"t"') + "download = 12\ninstalled = 34\n")
    recipe = recipes.load(images)["a"]
    assert (recipe.download, recipe.installed) == (12, 34)
    assert recipe.digest == before


def test_a_row_like_another_takes_what_it_does_not_say(images: Path) -> None:
    like = '[[recipe]]\nname = "b"\nlike = "a"\nversion = "2"\nvariant = "notebook"\n'
    (images / "recipes.toml").write_text(ROW + like)
    first, second = recipes.load(images).values()
    assert (second.version, second.variant, second.source) == ("2", "notebook", first.source)
    assert second.image_tag == "gpucheck/f:2-cpu-notebook"
    assert first.digest != second.digest
    (images / "recipes.toml").write_text(ROW + like + like.replace('"b"', '"c"').replace('"a"', '"b"'))
    assert recipes.load(images)["c"].variant == "notebook"
    sized = ROW + "download = 12\ninstalled = 34\n"
    (images / "recipes.toml").write_text(sized + like + like.replace('"b"', '"c"') + 'lock = "lock.txt"\n')
    book = recipes.load(images)
    assert (book["b"].download, book["c"].download) == (12, None), "of another lock nobody measured it"
    (images / "recipes.toml").write_text(like + ROW)
    with pytest.raises(ValueError, match="no recipe 'a' before it"):
        recipes.load(images)


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
