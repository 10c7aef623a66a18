from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gpucheck import building, containers, recipes
from gpucheck.facts import Version
from gpucheck.model import Failure
from gpucheck.refusals import BuildFailed

if TYPE_CHECKING:
    from docker import DockerClient

Make = Callable[..., recipes.Recipe]
Start = Callable[[str], Any]

pytestmark = pytest.mark.docker
CPU = recipes.load()["tensorflow-cpu"]
CA = "-----BEGIN CERTIFICATE-----\nfor the test\n-----END CERTIFICATE-----\n"
FAILING = (
    "ARG BASE\nFROM ${BASE}\nRUN echo fine\nRUN echo before && echo 'no such thing' >&2 && exit 3\nRUN echo never\n"
)
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


@pytest.fixture(scope="session")
def image(engine: DockerClient, base: str) -> str:
    """The real image of the CPU recipe."""
    said: list[str] = []
    built = containers.build(CPU, base=base, client=engine, say=lambda line, _share: said.append(line))
    assert any("pip install" in line for line in said)
    return built


@pytest.fixture(params=["buildkit", "classic"])
def builder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each of the engine's builders."""
    if request.param == "classic":
        monkeypatch.setattr(building, "BUILDKIT_API", Version("99"))
    return str(request.param)


def shell(engine: DockerClient, image: str, script: str) -> tuple[int, list[str]]:
    lines: list[str] = []
    ran = containers.run(image, ["sh", "-c", script], gpus=False, client=engine, say=lambda line, _: lines.append(line))
    return ran.exit_code, lines


@pytest.mark.timeout(900)
def test_the_cpu_image_holds_what_its_row_says(engine: DockerClient, base: str, image: str) -> None:
    attributes = engine.images.get(image).attrs["Config"]
    labels = attributes["Labels"]
    assert labels["io.gpucheck.recipe"] == "tensorflow-cpu"
    assert labels["io.gpucheck.lock-sha256"] == hashlib.sha256(CPU.lock_path.read_bytes()).hexdigest()
    assert labels["io.gpucheck.digest"] == CPU.digest
    assert labels["org.opencontainers.image.base.name"] == base
    assert attributes["User"] == "gpucheck"
    code, lines = shell(
        engine, image, "id -u && python -c 'from importlib.metadata import *; print(version(\"keras\"))'"
    )
    assert (code, lines[0]) == (0, "1000")
    assert f"keras=={lines[1]} " in CPU.lock_path.read_text()


def test_the_cpu_image_runs_tensorflow(engine: DockerClient, image: str) -> None:
    code, lines = shell(
        engine, image, "python -c 'import tensorflow as tf; print(tf.__version__, tf.ones((2, 3)) @ tf.ones((3, 1)))'"
    )
    assert code == 0, lines
    assert any(line.startswith(f"{CPU.version} tf.Tensor(") for line in lines), lines


def test_an_image_is_found_only_while_its_recipe_is_unchanged(
    engine: DockerClient, image: str, small: Make, base: str
) -> None:
    assert containers.find_image(CPU, engine) == image
    recipe = small()
    assert containers.find_image(recipe, engine) is None
    built = containers.build(recipe, base=base, client=engine)
    assert containers.find_image(recipe, engine) == built
    assert containers.find_image(recipe, engine, base) == built
    assert containers.find_image(recipe, engine, "gpucheck/another-base:0") is None
    recipe.lock_path.write_text("# changed\n")
    assert containers.find_image(recipe, engine) is None


def test_building_again_reuses_every_step(engine: DockerClient, base: str, image: str) -> None:
    said: list[str] = []
    assert containers.build(CPU, base=base, client=engine, say=lambda line, _: said.append(line)) == image
    assert any("pip install" in line and line.endswith(": cached") for line in said)


@pytest.mark.usefixtures("builder")
def test_the_cuda_image_asks_for_its_driver(engine: DockerClient, base: str, small: Make) -> None:
    recipe = small("tensorflow-cuda12")
    config = engine.images.get(containers.build(recipe, base=base, client=engine)).attrs["Config"]
    environment = dict(row.split("=", 1) for row in config["Env"])
    assert environment["NVIDIA_REQUIRE_DRIVER"] == "driver>=525.60.13"
    assert environment["NVIDIA_VISIBLE_DEVICES"] == "all"
    assert environment["NVIDIA_DRIVER_CAPABILITIES"] == "compute,utility"
    assert config["Labels"]["io.gpucheck.min-driver"] == "525.60.13"
    assert config["Labels"]["io.gpucheck.cuda"] == "12.5"


@pytest.mark.parametrize("bake", [False, True], ids=["used", "baked"])
def test_a_ca_bundle_stays_in_the_image_only_when_asked(
    engine: DockerClient, base: str, small: Make, tmp_path: Path, builder: str, bake: bool
) -> None:
    bundle = tmp_path / "proxy.pem"
    bundle.write_text(CA)
    if builder == "classic" and not bake:
        with pytest.raises(Failure, match="stays in the image"):
            containers.build(small(), base=base, ca_bundle=bundle, client=engine)
        return
    built = containers.build(small(), base=base, ca_bundle=bundle, bake_ca=bake, client=engine)
    found = shell(engine, built, f"grep -c 'for the test' {BUNDLE}; ls /run/host /opt/venv/pip.conf 2>/dev/null")[1]
    assert found[0] == ("1" if bake else "0")
    if builder == "buildkit":
        assert "ca.crt" not in found


@pytest.mark.usefixtures("builder")
def test_a_failing_step_is_shown_with_its_last_lines(engine: DockerClient, base: str, small: Make) -> None:
    recipe = small(dockerfile=FAILING)
    with pytest.raises(BuildFailed) as failed:
        containers.build(recipe, base=base, client=engine)
    assert "exit 3" in failed.value.step
    assert set(failed.value.last_lines) == {"before", "no such thing"}  # two streams: their order is not kept
    assert failed.value.exit_code == 1
    assert containers.find_image(recipe, engine) is None


def test_a_dockerfile_that_cannot_be_read_is_a_sentence(engine: DockerClient, base: str, small: Make) -> None:
    with pytest.raises(Failure, match=r"(?i)unknown instruction: FORM"):
        containers.build(small(dockerfile="FORM scratch\n"), base=base, client=engine)


@pytest.mark.timeout(300)
def test_a_base_that_is_nowhere_suggests_another(engine: DockerClient, small: Make) -> None:
    with pytest.raises(Failure) as failed:
        containers.build(small(), base="gpucheck/there-is-none:0", client=engine)
    assert "--base" in failed.value.tip


def test_an_interrupted_build_leaves_nothing(engine: DockerClient, base: str, small: Make, child: Start) -> None:
    recipe = small(dockerfile="ARG BASE\nFROM ${BASE}\nRUN echo started && sleep 61.347\n")
    before = len(engine.containers.list(all=True))
    process = child(f"""
        from dataclasses import replace
        from pathlib import Path
        from gpucheck import containers, recipes
        recipe = replace(recipes.load()["tensorflow-cpu"], folder=Path({str(recipe.folder)!r}), lock="lock.txt",
                         framework={recipe.framework!r})
        containers.build(recipe, base={base!r}, say=lambda line, share: print(line, flush=True))
    """)
    process.interrupt_after("started")
    assert containers.find_image(recipe, engine) is None
    assert len(engine.containers.list(all=True)) == before
    deadline = time.monotonic() + 20
    while any(b"61.347" in _command_line(path) for path in Path("/proc").glob("[0-9]*/cmdline")):
        assert time.monotonic() < deadline, "the step still runs on the engine"
        time.sleep(0.2)


def _command_line(path: Path) -> bytes:
    try:
        words = path.read_bytes()
    except OSError:
        return b""
    return words if words.startswith((b"sleep", b"/bin/sh")) else b""
