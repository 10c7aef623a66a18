"""A real Docker Engine: the one of DOCKER_HOST or of the Docker context. scripts/test starts one where it may."""

from __future__ import annotations

import dataclasses
import gc
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gpucheck import containers, recipes
from gpucheck.model import Failure

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

ROOT = Path(__file__).parents[2]
DEBIAN = "gpucheck/base:bookworm"  # what scripts/engine base makes


@pytest.fixture(scope="session")
def engine() -> Iterator[DockerClient]:
    """A connected docker.DockerClient."""
    reason, client = "", None
    try:
        client = containers.connect()
    except Failure as error:
        reason = str(error)
    if client is None:
        with warnings.catch_warnings():  # docker-py does not close a socket that could not connect
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()
        pytest.skip(f"{reason} (scripts/test --with-engine starts one)")
    yield client
    client.close()


@pytest.fixture
def left(engine: DockerClient) -> Callable[[], list[Container]]:
    """A function: our containers that were not there before the test; a killed run elsewhere may have left some."""

    def ours() -> list[Container]:
        return engine.containers.list(all=True, filters={"label": containers.LABEL})

    before = {container.id for container in ours()}
    return lambda: [container for container in ours() if container.id not in before]


@pytest.fixture(scope="session")
def base(engine: DockerClient) -> str:
    """A small image with python3 and venv that the engine has or can fetch."""
    import docker.errors

    wanted = recipes.load()["tensorflow-cpu"].base
    if any(DEBIAN in image.tags for image in engine.images.list()):
        return DEBIAN
    try:
        engine.images.pull(wanted)
    except docker.errors.APIError as error:
        pytest.skip(f"the engine has no {DEBIAN} and cannot fetch {wanted}: {error.explanation}")
    return wanted


@pytest.fixture
def small(engine: DockerClient, tmp_path: Path) -> Iterator[Callable[..., recipes.Recipe]]:
    """Make a recipe of another's row, with a lock of the test's that may be empty, and its Dockerfile or the test's."""
    made: list[recipes.Recipe] = []

    def make(name: str = "tensorflow-cpu", dockerfile: str | None = None, lock: str = "") -> recipes.Recipe:
        row = recipes.load()[name]
        folder = tmp_path / f"images-{len(made)}"
        beside = (row.folder / row.dockerfile).parent
        shutil.copytree(beside, folder / beside.name, ignore=shutil.ignore_patterns("__pycache__"))
        if dockerfile:
            (folder / row.dockerfile).write_text(dockerfile)
        (folder / "lock.txt").write_text(lock)
        made.append(dataclasses.replace(row, folder=folder, lock="lock.txt", framework=f"test-{len(made)}"))
        return made[-1]

    yield make
    import docker.errors

    for recipe in made:
        try:
            engine.images.remove(recipe.image_tag, force=True)
        except docker.errors.ImageNotFound:
            continue


class Child:
    """A Python program of its own, to be interrupted."""

    def __init__(self, program: str) -> None:
        command = [sys.executable, "-c", textwrap.dedent(program)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def interrupt_after(self, line: str, number: int = signal.SIGINT) -> None:
        """Send the signal once the program has printed `line`; it must end within 30 s and not as if all were well."""
        assert self.process.stdout is not None
        seen = []
        for seen_line in self.process.stdout:
            seen.append(seen_line)
            if seen_line.strip() == line:
                break
        else:
            pytest.fail("".join(seen))
        self.process.send_signal(number)
        assert self.process.wait(30) != 0


@pytest.fixture
def child() -> Iterator[Callable[[str], Child]]:
    children: list[Child] = []

    def start(program: str) -> Child:
        children.append(Child(program))
        return children[-1]

    yield start
    for one in children:
        one.process.kill()
        one.process.communicate()


# --- Docker Compose ---

PLUGIN = "usr/libexec/docker/cli-plugins/docker-compose"  # in Debian's package
Compose = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def docker_config(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The environment in which `docker compose` is there."""
    if shutil.which("docker") is None:
        pytest.skip("no docker command")
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("GPUCHECK_", "COMPOSE_"))}
    if subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0:
        return plain
    fetched = subprocess.run([ROOT / "scripts" / "compose", "version"], capture_output=True, text=True)
    if fetched.returncode == 2:
        pytest.skip(fetched.stderr.splitlines()[0])
    assert fetched.returncode == 0, fetched.stderr
    folder = tmp_path_factory.mktemp("docker-config")
    (folder / "cli-plugins").mkdir()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    (folder / "cli-plugins" / "docker-compose").symlink_to(cache / "gpucheck" / "compose" / PLUGIN)
    return {**plain, "DOCKER_CONFIG": str(folder)}


@pytest.fixture
def compose(docker_config: Mapping[str, str]) -> Compose:
    """A function (files of compose/ or paths, words, variables) that runs `docker compose`."""

    def run(names: tuple[str | Path, ...], *words: str, **given: str) -> subprocess.CompletedProcess[str]:
        paths = [name if isinstance(name, Path) else ROOT / "compose" / f"{name}.yaml" for name in names]
        files = [word for path in paths for word in ("--file", str(path))]
        env = {**docker_config, **given}
        return subprocess.run(["docker", "compose", *files, *words], env=env, capture_output=True, text=True)

    return run
