"""Packs and builds on a real engine: the pack is made with a network, the image is built from it without one."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import secrets
import shutil
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gpucheck import building, containers, packed, packs, recipes
from gpucheck.facts import Version
from gpucheck.model import Failure

if TYPE_CHECKING:
    from docker import DockerClient

Start = Callable[[str], Any]

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]
WHEEL = "wheels/iniconfig-2.3.0-py3-none-any.whl"
SHA256 = "f631c04d2c48c52b84d0d0549c99ff3859c98df65b3101406327ecc7d53fbf12"  # of that wheel on PyPI


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recipes' own Dockerfile and a lock of one wheel of 8 kB, which is in no engine's cache."""
    folder = tmp_path_factory.mktemp("images")
    shutil.copytree(recipes.IMAGES / "wheels", folder / "wheels")
    (folder / "lock.txt").write_text(f"# {secrets.token_hex(6)}\niniconfig==2.3.0 --hash=sha256:{SHA256}\n")
    return folder


def recipe_of(images: Path) -> recipes.Recipe:
    row = recipes.load()["tensorflow-cpu"]
    return dataclasses.replace(row, folder=images, lock="lock.txt", framework=f"test-{os.getpid()}")


@pytest.fixture
def recipe(images: Path, engine: DockerClient, tmp_path: Path) -> Iterator[recipes.Recipe]:
    import docker.errors

    made = recipe_of(Path(shutil.copytree(images, tmp_path / "images")))
    yield made
    with suppress(docker.errors.ImageNotFound):
        engine.images.remove(made.image_tag, force=True)


@pytest.fixture(scope="session")
def packed_once(images: Path, engine: DockerClient, base: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packs") / "pack"
    size = packs.pack(recipe_of(images), folder, base=base, client=engine)
    assert size == sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return folder


@pytest.fixture
def pack(packed_once: Path, tmp_path: Path) -> Path:
    """The test's own, to be damaged, save its base of 130 MB."""

    def copy(source: str, target: str) -> None:
        (os.link if source.endswith(".tar") else shutil.copy2)(source, target)

    return Path(shutil.copytree(packed_once, tmp_path / "pack", copy_function=copy))


def program(recipe: recipes.Recipe, base: str, call: str) -> str:
    """Of a child, that calls with the recipe and prints what is said."""
    return f"""
        from dataclasses import replace
        from pathlib import Path
        from gpucheck import containers, packs, recipes
        recipe = replace(recipes.load()["tensorflow-cpu"], folder=Path({str(recipe.folder)!r}), lock="lock.txt",
                         framework={recipe.framework!r})
        say = lambda line, share: print(line.removesuffix(" " + base), flush=True)
        base = {base!r}
        {call}
    """


def test_a_pack_holds_all_that_an_image_needs(
    pack: Path, recipe: recipes.Recipe, engine: DockerClient, base: str
) -> None:
    contents = json.loads((pack / "pack.json").read_text())
    assert contents["files"][WHEEL] == SHA256
    assert contents["base"]["name"] == base
    assert contents["base"]["id"] == engine.images.get(base).id
    files = {path.relative_to(pack).as_posix() for path in pack.rglob("*") if path.is_file()}
    assert files == {*contents["files"], "pack.json"}
    assert {f"images/{name}" for name in recipe.files} < files
    opened = packed.read(pack)
    packed.check(opened, lambda *_: None)
    assert dataclasses.replace(opened.recipe, folder=recipe.folder) == recipe
    assert opened.recipe.digest == contents["digest"] == recipe.digest
    with tarfile.open(pack / "base.tar") as tar:
        manifest = tar.extractfile("manifest.json")
        assert manifest is not None
        assert json.load(manifest)[0]["RepoTags"] is None
    assert pack.stat().st_mode & 0o777 == 0o755


def test_an_image_is_built_from_a_pack_alone(
    pack: Path, recipe: recipes.Recipe, engine: DockerClient, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    networks = []
    solve = building.solve

    def solved(*arguments: Any, **named: Any) -> str:
        networks.append(named["network"])
        return solve(*arguments, **named)

    monkeypatch.setattr(building, "solve", solved)
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.invalid/simple")
    said: list[str] = []
    gone = shutil.move(recipe.folder, recipe.folder.with_name("gone"))  # the pack brings its own files
    opened = packed.read(pack).recipe
    image = containers.build(opened, pack=pack, plan="a test's", client=engine, say=lambda line, _: said.append(line))
    shutil.move(gone, recipe.folder)
    assert networks == ["none"]
    assert "Looking in links: /run/host/wheels" in said
    assert "the pack's tensorflow-cpu is not this gpucheck's: the pack's own files are used" in said
    labels = engine.images.get(image).attrs["Config"]["Labels"]
    assert labels["io.gpucheck.plan"] == "a test's"
    assert labels["org.opencontainers.image.base.name"] == base
    assert containers.find_image(recipe, engine, base) == image
    lines: list[str] = []
    show = "python -c 'import iniconfig; print(iniconfig.__name__)'; ls /run/host; ls -d /wheels 2>/dev/null"
    containers.run(image, ["sh", "-c", show], gpus=False, client=engine, say=lambda line, _: lines.append(line))
    assert lines == ["iniconfig"]


def test_a_base_that_the_engine_has_not_is_loaded(engine: DockerClient, base: str, tmp_path: Path) -> None:
    """An image of another id, so that no other test loses its base."""
    container = engine.containers.create(base, ["true"])
    image = str(container.commit(changes=["LABEL test=base"]).id)
    container.remove()
    folder = tmp_path / "pack"
    folder.mkdir()
    with (folder / "base.tar").open("wb") as file:
        file.writelines(engine.api.get_image(image))
    engine.images.remove(image)
    opened = packed.Pack(
        folder=folder, recipe=recipes.load()["tensorflow-cpu"], base="some/base:1", base_id=image,
        base_digest=None, made="", sums={},
    )  # fmt: skip
    said: list[str] = []
    names = {packed.load_base(engine, opened, lambda line, _: said.append(line)) for _ in range(2)}
    assert names == {f"gpucheck/base:{image[7:19]}"}
    assert said == ["loading the base some/base:1"]
    name = names.pop()
    assert engine.images.get(name).id == image
    engine.images.remove(name)


def test_a_file_that_was_changed_or_lost_is_named(pack: Path, recipe: recipes.Recipe, engine: DockerClient) -> None:
    def refused() -> str:
        with pytest.raises(Failure) as failed:
            containers.build(recipe, pack=pack, client=engine)
        assert failed.value.exit_code == 2
        return str(failed.value)

    wheel = (pack / WHEEL).read_bytes()
    (pack / WHEEL).write_bytes(wheel[:-1] + b"x")
    assert refused() == f"the pack's file {WHEEL} is not what was packed"
    (pack / WHEEL).unlink()
    assert refused() == f"the pack's file {WHEEL} cannot be read: No such file or directory"
    (pack / WHEEL).write_bytes(wheel)
    (pack / "images/wheels/more.py").write_text("print('not packed')\n")
    assert refused() == "the pack's file images/wheels/more.py was not packed"
    assert containers.find_image(recipe, engine) is None


def test_a_wheel_that_is_not_the_locked_one_stops_the_build(
    pack: Path, recipe: recipes.Recipe, engine: DockerClient
) -> None:
    """Even where the sums were made to fit."""
    wheel = (pack / WHEEL).read_bytes() + b"x"
    (pack / WHEEL).write_bytes(wheel)
    contents = json.loads((pack / "pack.json").read_text())
    contents["files"][WHEEL] = hashlib.sha256(wheel).hexdigest()
    (pack / "pack.json").write_text(json.dumps(contents))
    with pytest.raises(
        Failure, match=r"^iniconfig-2\.3\.0-py3-none-any\.whl is not the file that was locked"
    ) as failed:
        containers.build(recipe, pack=pack, client=engine)
    assert failed.value.exit_code == 1
    assert containers.find_image(recipe, engine) is None


@pytest.mark.parametrize("moment", ["taking the wheels out", "saving the base"])
def test_an_interrupted_pack_leaves_nothing(
    recipe: recipes.Recipe, engine: DockerClient, base: str, tmp_path: Path, child: Start,
    left: Callable[[], list[Any]], moment: str,
) -> None:  # fmt: skip
    target = tmp_path / "out" / "pack"
    call = f"packs.pack(recipe, Path({str(target)!r}), base=base, say=say)"
    child(program(recipe, base, call)).interrupt_after(moment)
    assert not list(target.parent.iterdir())
    assert left() == []
    assert not [tag for image in engine.images.list() for tag in image.tags if "gpucheck-wheels" in tag]


def test_an_interrupted_build_goes_on_where_it_was(
    recipe: recipes.Recipe, engine: DockerClient, base: str, child: Start
) -> None:
    dockerfile = recipe.folder / recipe.dockerfile
    dockerfile.write_text(
        f"ARG BASE\nFROM ${{BASE}}\nRUN echo first {recipe.framework}\nRUN echo started && sleep ${{SECONDS:-0}}\n"
    )
    slow = dockerfile.read_text()
    dockerfile.write_text(slow.replace("${SECONDS:-0}", "67"))
    child(program(recipe, base, "containers.build(recipe, base=base, say=say)")).interrupt_after("started")
    assert containers.find_image(recipe, engine) is None
    dockerfile.write_text(slow)
    said: list[str] = []
    containers.build(recipe, base=base, client=engine, say=lambda line, _: said.append(line))
    assert any(line.endswith(f"RUN echo first {recipe.framework}: cached") for line in said)
    assert any("RUN echo started" in line and line.endswith(": done") for line in said)


def test_two_builds_at_once_make_one_whole_image(recipe: recipes.Recipe, engine: DockerClient, base: str) -> None:
    built: list[str] = []
    threads = [threading.Thread(target=lambda: built.append(containers.build(recipe, base=base))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 2
    assert containers.find_image(recipe, engine) in built
    for image in {*built}:
        assert engine.images.get(image).labels[f"{containers.LABEL}.digest"] == recipe.digest
        engine.images.remove(image, force=True)


@pytest.mark.parametrize("oldest", ["1.39", "99"], ids=["buildkit", "classic"])
def test_another_reason_makes_no_layer_again(
    recipe: recipes.Recipe, engine: DockerClient, base: str, monkeypatch: pytest.MonkeyPatch, oldest: str
) -> None:
    monkeypatch.setattr(building, "BUILDKIT_API", Version(oldest))
    text = "ARG BASE\nFROM ${BASE}\nRUN touch /made\nLABEL io.gpucheck.recipe=it\n"
    (recipe.folder / recipe.dockerfile).write_text(text)
    first = containers.build(recipe, base=base, plan="because", client=engine)
    second = containers.build(recipe, base=base, plan="why not", client=engine)
    one, other = (engine.images.get(image) for image in (first, second))
    assert [image.labels["io.gpucheck.plan"] for image in (one, other)] == ["because", "why not"]
    assert one.attrs["RootFS"] == other.attrs["RootFS"]
    engine.images.remove(first)


def test_a_builder_that_would_keep_the_wheels_is_refused(
    pack: Path, recipe: recipes.Recipe, engine: DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "BUILDKIT_API", Version("99"))
    with pytest.raises(Failure, match="wheels would stay in the image"):
        containers.build(recipe, pack=pack, client=engine)


@pytest.mark.parametrize(
    ("name", "other", "network"),
    [("jax-cpu", None, None), ("tensorflow-cpu", "x", None), ("tensorflow-cpu", None, "host")],
)
def test_what_a_pack_does_not_hold_is_refused(
    pack: Path, recipe: recipes.Recipe, engine: DockerClient, name: str, other: str | None,
    network: str | None,
) -> None:  # fmt: skip
    with pytest.raises(Failure, match=r"is a pack of tensorflow-cpu, not of jax-cpu|brings its own base") as failed:
        containers.build(dataclasses.replace(recipe, name=name), base=other, network=network, pack=pack, client=engine)
    assert failed.value.exit_code == 2


def test_a_disk_that_is_too_small_is_known_before(recipe: recipes.Recipe, engine: DockerClient, base: str) -> None:
    free = building.free_space(engine)
    if free is None:
        pytest.skip("the engine's disk is not this machine's")
    huge = dataclasses.replace(recipe, download=10, installed=free // building.MB + 1)
    with pytest.raises(
        Failure, match=r"needs about [\d.]+ GB for its build; the engine's disk has [\d.]+ GB"
    ) as failed:
        containers.build(huge, base=base, client=engine)
    assert "docker system df" in failed.value.tip
    assert containers.find_image(recipe, engine) is None


@pytest.mark.parametrize(
    ("index", "host"), [(None, "pypi.org"), ("https://user:secret@index.invalid/simple", "index.invalid")]
)
def test_an_index_that_cannot_be_reached_is_named(
    recipe: recipes.Recipe, engine: DockerClient, base: str, monkeypatch: pytest.MonkeyPatch, index: str | None,
    host: str,
) -> None:  # fmt: skip
    monkeypatch.delenv("PIP_INDEX_URL", raising=False)
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    monkeypatch.setenv("PIP_RETRIES", "1")
    if index:
        monkeypatch.setenv("PIP_INDEX_URL", index)
    with pytest.raises(Failure, match=f"^no connection to the package index {host}: ") as failed:
        containers.build(recipe, base=base, network="none", client=engine)
    assert "gpucheck pack" in failed.value.tip
    assert failed.value.exit_code == 1


def test_a_registry_that_cannot_be_reached_is_named(recipe: recipes.Recipe, engine: DockerClient) -> None:
    with pytest.raises(Failure, match=r"registry registry\.invalid$") as failed:
        containers.build(recipe, base="registry.invalid/base:1", client=engine)
    assert "gpucheck pack" in failed.value.tip
