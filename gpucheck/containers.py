"""Images and runs on a Docker Engine, by docker-py: build a recipe, run a command in it, leave nothing behind.

Files go in and come out as archives, never as mounts, so that an engine on another machine serves as well.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from gpucheck import archives, building, extras, gpu_requests, logs, running
from gpucheck.model import Failure, Say
from gpucheck.podman import Podman
from gpucheck.recipes import Recipe
from gpucheck.refusals import told, unreachable
from gpucheck.running import Ran

if TYPE_CHECKING:
    from docker import DockerClient

LABEL = building.LABEL
LAST_LINES = running.LAST_LINES
SHARED_MEMORY = running.SHARED_MEMORY
Engine: TypeAlias = "DockerClient | Podman"


def connect(timeout: int = 60) -> DockerClient:
    """The engine of DOCKER_HOST, of the Docker context, or at the usual socket. Raises Failure."""
    try:
        import docker
    except ImportError as error:
        raise Failure("docker-py is not installed", extras.tip("verify")) from error
    try:
        return docker.from_env(version="auto", timeout=timeout)
    except (docker.errors.DockerException, OSError) as error:
        raise unreachable(error) from error


def choose(where: str, say: Say) -> Engine:
    """The engine for `where`: "docker", "podman", or "auto", which is Podman where no Docker Engine answers and there
    is a Podman; the choice is said. Raises Failure.
    """
    if where == "podman":
        return Podman()
    try:
        return connect()
    except Failure as failed:
        if where == "docker" or not shutil.which("podman"):
            raise
        podman = Podman()
        say(f"{failed}: Podman {podman.version} is used", None)
        return podman


def is_local(client: Engine) -> bool:
    """Whether the engine is on this machine: what is known of this machine's GPUs and disk is then known of its."""
    if isinstance(client, Podman):
        return client.is_local
    return building.is_local(client)


@contextmanager
def connected(client: DockerClient | None) -> Iterator[DockerClient]:
    """The caller's connection, or one for the block."""
    engine = client or connect()
    try:
        yield engine
    finally:
        if client is None:
            engine.close()


def find_image(recipe: Recipe, client: Engine | None = None, base: str | None = None) -> str | None:
    """The id of the recipe's image on the engine; None where there is none, the recipe has changed since, or it was
    built on another base than the one given.
    """
    if isinstance(client, Podman):
        return client.find_image(recipe, base)
    from docker.errors import ImageNotFound

    with connected(client) as engine, told("the search for the image"), suppress(ImageNotFound):
        image = engine.images.get(recipe.image_tag)
        changed = image.labels.get(f"{LABEL}.digest") != recipe.digest
        if not changed and base in (None, image.labels.get(building.BASE_LABEL)):
            return str(image.id)
    return None


def environment_of(image: str, client: Engine) -> dict[str, str]:
    """The environment variables that the image sets. Raises Failure."""
    if isinstance(client, Podman):
        return client.environment_of(image)
    with told("the search for the image"):
        own: list[str] = client.images.get(image).attrs["Config"].get("Env") or []
    return dict(row.partition("=")[::2] for row in own)


def labels_of(image: str, client: Engine) -> dict[str, str] | None:
    """An image's labels; None where there is no such image. Raises Failure."""
    if isinstance(client, Podman):
        found = client.image(image)
        return found["Labels"] if found else None
    from docker.errors import ImageNotFound

    with told("the search for the image"), suppress(ImageNotFound):
        return dict((client.images.get(image).attrs.get("Config") or {}).get("Labels") or {})
    return None


def fetch_image(name: str, client: Engine, say: Say) -> str:
    """The id of anybody's image, pulled where the engine has none of that name. Raises Failure."""
    if isinstance(client, Podman):
        return client.fetch_image(name, say)
    from docker.errors import APIError, ImageNotFound

    with told("the search for the image"):
        try:
            return str(client.images.get(name).id)
        except ImageNotFound:
            say(f"pulling {name}", None)
        try:
            return str(client.images.pull(name).id)
        except APIError as error:
            tip = "is the name right, and does `docker pull` fetch it? `gpucheck build --list` names our own recipes"
            raise Failure(f"{name} could not be pulled: {error.explanation}", tip, 1) from error


def build(
    recipe: Recipe, *, base: str | None = None, ca_bundle: Path | None = None, bake_ca: bool = False,
    network: str | None = None, plan: str | None = None, pack: Path | None = None,
    say: Say = lambda _line, _share: None, client: Engine | None = None,
) -> str:  # fmt: skip
    """Build the recipe's image with the engine's BuildKit, its classic builder, or Podman; its id. Raises Failure.

    `plan` is why this recipe was chosen; the image keeps it as a label. `pack` is a folder that packs.pack made of this
    recipe: everything comes from there, and the build has no network.
    """
    if isinstance(client, Podman):
        return client.build(
            recipe, base=base, ca_bundle=ca_bundle, bake_ca=bake_ca, network=network, plan=plan, pack=pack, say=say
        )
    with connected(client) as engine, told("the build"):
        return building.build(
            engine, recipe, base=base, ca_bundle=ca_bundle, bake_ca=bake_ca, network=network, plan=plan, pack=pack,
            say=say,
        )  # fmt: skip


def run(
    image: str, command: Sequence[str], *, gpus: bool, files_in: Mapping[str, Path] | None = None,
    collect: Mapping[str, Path] | None = None, environment: Mapping[str, str] | None = None,
    timeout: float | None = None, say: Say = lambda _line, _share: None, client: Engine | None = None,
    started: Callable[[str], None] = lambda _id: None, network: str = "none",
) -> Ran:  # fmt: skip
    """Run a command in a container, and remove the container, whatever happens. Raises Failure.

    It has no network, or with `network` "host" this machine's own. The image's own entrypoint is not run. `started` is
    called with the container's id before it starts.

    `files_in` maps a path in the container to a file or folder here. `collect` maps a folder in the container, which is
    made and may be written to, to a folder here, which gets what the command left there. Each line of output is said.
    `timeout` is in seconds.
    """
    if isinstance(client, Podman):
        return client.run(
            image, command, gpus=gpus, files_in=files_in or {}, collect=collect or {}, environment=environment or {},
            timeout=timeout, say=say, started=started, network=network,
        )  # fmt: skip
    from docker.types import LogConfig

    name = f"gpucheck-{secrets.token_hex(6)}"
    with connected(client) as engine, told("the run"), _removed(engine, name):
        container = engine.containers.create(
            image, list(command[1:]), entrypoint=list(command[:1]), name=name, labels={LABEL: "run"},
            environment=dict(environment or {}),
            user=str(archives.USER), cap_drop=["ALL"], security_opt=["no-new-privileges"], network_mode=network,
            log_config=LogConfig(type=LogConfig.types.JSON),  # another engine-wide driver may not be readable
            mem_limit=int(engine.info()["MemTotal"] * running.MEMORY_SHARE), pids_limit=running.PROCESSES,
            shm_size=SHARED_MEMORY,
            device_requests=gpu_requests.every_gpu(engine) if gpus else None,
        )  # fmt: skip
        if files_in:
            say("putting the data into the container", None)
        with tempfile.TemporaryFile() as archive:
            archives.pack(archive, files_in or {}, collect or {})
            container.put_archive("/", archive)
        started(str(container.id))
        container.start()
        began = time.monotonic()
        with (
            running.deadline(timeout, container.kill) as too_long,
            closing(logs.output(engine, container, follow=1)) as lines,
        ):
            for line in lines:
                say(line, None)
            code = container.wait()["StatusCode"]
        seconds = time.monotonic() - began
        if too_long.is_set():
            raise Failure(f"the run did not end within {timeout:g} s", "give it longer: `--timeout`", 1)
        last = deque(logs.output(engine, container, tail=LAST_LINES), LAST_LINES)  # `follow` may miss the end (20.10)
        container.reload()
        for path, folder in (collect or {}).items():
            archives.unpack(container.get_archive(path)[0], folder)
        return Ran(
            exit_code=code, image_id=container.attrs["Image"], recipe=container.labels.get(f"{LABEL}.recipe"),
            seconds=round(seconds, 3), oom_killed=container.attrs["State"]["OOMKilled"], last_lines=tuple(last),
        )  # fmt: skip


@contextmanager
def _removed(client: DockerClient, name: str) -> Iterator[None]:
    """Remove the container at the end, by its name: an interrupted create tells no id."""
    from docker.errors import NotFound

    try:
        yield
    finally:
        with suppress(NotFound):
            client.api.remove_container(name, force=True, v=True)
