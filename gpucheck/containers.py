"""Images and runs on a Docker Engine, by docker-py: build a recipe, run a command in it, leave nothing behind.

Files go in and come out as archives, never as mounts, so that an engine on another machine serves as well.
"""

from __future__ import annotations

import json
import math
import os
import secrets
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gpucheck import archives, buildkit, gpu_requests, logs
from gpucheck.facts import Version
from gpucheck.model import Failure, Say
from gpucheck.recipes import Recipe
from gpucheck.refusals import BuildFailed, sentence, told, unreachable

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

LABEL = "io.gpucheck"
BASE_LABEL = "org.opencontainers.image.base.name"
LAST_LINES = 12
BUILDKIT_API = Version("1.39")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
SHARED_MEMORY = 2**30  # bytes of /dev/shm: Docker's 64 MiB are too few for data loaders and NCCL
PROCESSES = 4096
MEMORY_SHARE = 0.9  # of the engine's machine: the run is killed before the machine is


@dataclass(frozen=True, kw_only=True, slots=True)
class Ran:
    exit_code: int  # 128 + the signal where one ended it
    image_id: str
    recipe: str | None  # the image's own label
    seconds: float
    oom_killed: bool
    last_lines: tuple[str, ...]


def connect(timeout: int = 60) -> DockerClient:
    """The engine of DOCKER_HOST, of the Docker context, or at the usual socket. Raises Failure."""
    try:
        import docker
    except ImportError as error:
        raise Failure("docker-py is not installed", "`pip install 'gpucheck[verify]'`") from error
    try:
        return docker.from_env(version="auto", timeout=timeout)
    except (docker.errors.DockerException, OSError) as error:
        raise unreachable(error) from error


def find_image(recipe: Recipe, client: DockerClient | None = None, base: str | None = None) -> str | None:
    """The id of the recipe's image on the engine; None where there is none, the recipe has changed since, or it was
    built on another base than the one given.
    """
    from docker.errors import ImageNotFound

    with _engine(client) as engine, told("the search for the image"), suppress(ImageNotFound):
        image = engine.images.get(recipe.image_tag)
        changed = image.labels.get(f"{LABEL}.digest") != recipe.digest
        if not changed and base in (None, image.labels.get(BASE_LABEL)):
            return str(image.id)
    return None


def fetch_image(name: str, client: DockerClient, say: Say) -> str:
    """The id of anybody's image, pulled where the engine has none of that name. Raises Failure."""
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
    network: str | None = None, say: Say = lambda _line, _share: None, client: DockerClient | None = None,
) -> str:  # fmt: skip
    """Build the recipe's image with the engine's BuildKit, or its classic builder; its id. Raises Failure."""
    host = buildkit.host_files(ca_bundle, os.environ)
    if bake_ca and "host/ca.crt" not in host:
        raise Failure("there is no CA bundle to bake into the image", "`--ca-bundle FILE` names it")
    arguments = {name: os.environ[name] for name in PROXIES if os.environ.get(name)}
    arguments |= {**recipe.arguments, "BASE": base or recipe.base, "DIGEST": recipe.digest}
    arguments |= {"BAKE_CA": "1"} if bake_ca else {}
    with _engine(client) as engine, told("the build"):
        classic = Version(engine.api.api_version) < BUILDKIT_API
        if classic and not bake_ca:
            if ca_bundle:
                raise Failure("without BuildKit in the engine a CA bundle stays in the image", "allow it: `--bake-ca`")
            host = {}
        if network is None and not any(known.attrs["Driver"] == "bridge" for known in engine.networks.list()):
            network = "host"  # an engine without a bridge, as scripts/engine starts one
        query = {
            "t": recipe.image_tag, "dockerfile": recipe.dockerfile, "buildargs": json.dumps(arguments), "rm": "1",
            "forcerm": "1", "version": "1" if classic else "2", **({"networkmode": network} if network else {}),
        }  # fmt: skip
        url = f"{engine.api.base_url}/v{engine.api.api_version}/build"
        body = buildkit.context(recipe, host, classic=classic)
        tar = {"Content-Type": "application/x-tar"}
        with engine.api.post(url, params=query, data=body, headers=tar, stream=True) as answer:
            if not answer.ok:
                raise Failure(*sentence(answer.json().get("message", "")), 1)
            try:
                return buildkit.follow(answer.iter_lines(), say)
            except BuildFailed as failed:
                if recipe.hint and any("No matching distribution" in line for line in failed.last_lines):
                    failed.tip = recipe.hint
                raise


def run(
    image: str, command: Sequence[str], *, gpus: bool, files_in: Mapping[str, Path] | None = None,
    collect: Mapping[str, Path] | None = None, environment: Mapping[str, str] | None = None,
    timeout: float | None = None, say: Say = lambda _line, _share: None, client: DockerClient | None = None,
    started: Callable[[str], None] = lambda _id: None,
) -> Ran:  # fmt: skip
    """Run a command in a container without network, and remove the container, whatever happens. Raises Failure.

    The image's own entrypoint is not run. `started` is called with the container's id before it starts.

    `files_in` maps a path in the container to a file or folder here. `collect` maps a folder in the container, which is
    made and may be written to, to a folder here, which gets what the command left there. Each line of output is said.
    `timeout` is in seconds.
    """
    from docker.types import LogConfig

    name = f"gpucheck-{secrets.token_hex(6)}"
    with _engine(client) as engine, told("the run"), _removed(engine, name):
        container = engine.containers.create(
            image, list(command[1:]), entrypoint=list(command[:1]), name=name, labels={LABEL: "run"},
            environment=dict(environment or {}),
            user=str(archives.USER), cap_drop=["ALL"], security_opt=["no-new-privileges"], network_mode="none",
            log_config=LogConfig(type=LogConfig.types.JSON),  # another engine-wide driver may not be readable
            mem_limit=int(engine.info()["MemTotal"] * MEMORY_SHARE), pids_limit=PROCESSES, shm_size=SHARED_MEMORY,
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
        with _deadline(timeout, container) as too_long, closing(logs.output(engine, container, follow=1)) as lines:
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
def _engine(client: DockerClient | None) -> Iterator[DockerClient]:
    """The caller's connection, or one for the block."""
    engine = client or connect()
    try:
        yield engine
    finally:
        if client is None:
            engine.close()


@contextmanager
def _removed(client: DockerClient, name: str) -> Iterator[None]:
    """Remove the container at the end, by its name: an interrupted create tells no id."""
    from docker.errors import NotFound

    try:
        yield
    finally:
        with suppress(NotFound):
            client.api.remove_container(name, force=True, v=True)


@contextmanager
def _deadline(seconds: float | None, container: Container) -> Iterator[threading.Event]:
    """Kill the container after so many seconds, which ends its output; the event tells that it was so."""
    passed = threading.Event()

    def end() -> None:
        passed.set()
        with suppress(Exception):  # it may have ended, or the engine: the main thread finds out
            container.kill()

    timer = threading.Timer(min(seconds or math.inf, threading.TIMEOUT_MAX), end)
    timer.daemon = True
    if seconds:
        timer.start()
    try:
        yield passed
    finally:
        timer.cancel()
