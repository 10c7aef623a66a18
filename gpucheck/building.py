"""A recipe's build on a Docker Engine: what is asked of it, from this machine's settings or from a pack."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpucheck import buildkit, packed, recipes
from gpucheck.facts import Version
from gpucheck.model import Failure, Say
from gpucheck.recipes import Recipe
from gpucheck.refusals import BuildFailed, sentence, without_index

if TYPE_CHECKING:
    from docker import DockerClient

LABEL = "io.gpucheck"
BASE_LABEL = "org.opencontainers.image.base.name"
BASE_DIGEST_LABEL = "org.opencontainers.image.base.digest"
BUILDKIT_API = Version("1.39")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
# On the engine's disk at the end of a pip step: each wheel in pip's cache and in its temporary folder (or twice in the
# context, from a pack), and what they unpack to with its bytecode. Measured on overlay2, from packs: jax-cpu took 1.0
# GB of 1.0, tensorflow-cuda12 9.3 of 11, after 1.0 was slimmed away.
DOWNLOADS, UNPACKED = 2, 1.2
MB = 10**6


def build(
    engine: DockerClient, recipe: Recipe, *, base: str | None, ca_bundle: Path | None, bake_ca: bool,
    network: str | None, plan: str | None, pack: Path | None, say: Say,
) -> str:  # fmt: skip
    """Build and tag the recipe's image; its id. Raises Failure."""
    opened = open_pack(pack, recipe, base, network, say) if pack else None
    recipe = opened.recipe if opened else recipe
    _has_room(engine, recipe)
    name = opened.base if opened else base or recipe.base
    labels = {BASE_LABEL: name, f"{LABEL}.plan": plan}
    if opened:
        base, network = packed.load_base(engine, opened, say), "none"
    labels[BASE_DIGEST_LABEL] = opened.base_digest if opened else base_digest(engine, name)
    return solve(
        engine, recipe, base or name, recipe.image_tag, ca_bundle=ca_bundle, bake_ca=bake_ca, network=network,
        labels={key: value for key, value in labels.items() if value}, wheels=opened.wheels if opened else None,
        say=say,
    )  # fmt: skip


def solve(
    engine: DockerClient, recipe: Recipe, base: str, tag: str, *, ca_bundle: Path | None = None, bake_ca: bool = False,
    network: str | None = None, target: str | None = None, labels: Mapping[str, str] | None = None,
    wheels: Mapping[str, Path] | None = None, say: Say,
) -> str:  # fmt: skip
    """Have the engine build the recipe's Dockerfile, or a target in it, under that tag; the image's id. Raises Failure.

    `wheels` are files by their names: pip then asks no index.
    """
    host = host_files(ca_bundle, bake_ca, wheels)
    classic = Version(engine.api.api_version) < BUILDKIT_API
    if classic and wheels is not None:
        raise Failure("without BuildKit in the engine a pack's wheels would stay in the image", "use Docker 18.09+", 1)
    if classic and target:
        raise Failure("without BuildKit in the engine no pack can be made", "use Docker 18.09+", 1)
    if classic and not bake_ca:
        if ca_bundle:
            raise Failure("without BuildKit in the engine a CA bundle stays in the image", "allow it: `--bake-ca`")
        host = {}
    if network is None and not any(known.attrs["Driver"] == "bridge" for known in engine.networks.list()):
        network = "host"  # an engine without a bridge, as scripts/engine starts one
    query = {
        "t": tag, "dockerfile": recipe.dockerfile, "rm": "1", "forcerm": "1",
        "buildargs": json.dumps(arguments(recipe, base, bake_ca)),
        "version": "1" if classic else "2", "networkmode": network, "target": target,
        "labels": json.dumps(dict(labels or {})),
    }  # fmt: skip
    body = buildkit.context(recipe, host, classic=classic)
    tar = {"Content-Type": "application/x-tar"}
    packages = len(re.findall(r"^\S+==", recipe.lock_path.read_text(), re.MULTILINE))
    with engine.api.post(url(engine, "build"), params=query, data=body, headers=tar, stream=True) as answer:
        if not answer.ok:
            raise Failure(*sentence(answer.json().get("message", "")), 1)
        with explained(recipe):
            return buildkit.follow(answer.iter_lines(), say, packages)


def host_files(
    ca_bundle: Path | None, bake_ca: bool, wheels: Mapping[str, Path] | None
) -> dict[str, bytes | Path]:  # fmt: skip
    """buildkit.host_files and a pack's wheels. Raises Failure."""
    host: dict[str, bytes | Path] = {**buildkit.host_files(ca_bundle, os.environ, offline=wheels is not None)}
    if bake_ca and "host/ca.crt" not in host:
        raise Failure("there is no CA bundle to bake into the image", "`--ca-bundle FILE` names it")
    return host | {f"host/wheels/{name}": path for name, path in (wheels or {}).items()}


def arguments(recipe: Recipe, base: str, bake_ca: bool) -> dict[str, str]:
    """The Dockerfile's build arguments, with this machine's proxies."""
    proxies = {name: os.environ[name] for name in PROXIES if os.environ.get(name)}
    return {
        **proxies,
        **recipe.arguments,
        "BASE": base,
        "DIGEST": recipe.digest,
        **({"BAKE_CA": "1"} if bake_ca else {}),
    }


@contextmanager
def explained(recipe: Recipe) -> Iterator[None]:
    """Say of a failed step what the recipe and this machine's settings know of it."""
    try:
        yield
    except BuildFailed as failed:
        if unreached := without_index(failed, *map(os.environ.get, ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"))):
            raise unreached from failed
        if recipe.hint and failed.is_without_wheel:
            failed.tip = recipe.hint
        raise


def url(engine: DockerClient, path: str) -> str:
    """For what docker-py cannot ask: with streams, and without its time limit."""
    return f"{engine.api.base_url}/v{engine.api.api_version}/{path}"


def base_digest(engine: DockerClient, name: str) -> str | None:
    """The digest that a registry gave the base; None where the engine never had it from one."""
    from docker.errors import NotFound

    if "@" in name:
        return name.partition("@")[2]
    try:
        digests = engine.images.get(name).attrs.get("RepoDigests") or ()
    except NotFound:  # BuildKit fetches it for itself
        return None
    return next((str(digest).partition("@")[2] for digest in digests), None)


def is_local(engine: DockerClient) -> bool:
    """Whether it is called by a socket of this machine's."""
    return bool(engine.api.base_url == "http+docker://localhost")


def free_space(engine: DockerClient) -> int | None:
    """Bytes free where the engine keeps its images; None where that is no folder of this machine."""
    info: dict[str, Any] = engine.info()
    root = Path(info.get("DockerRootDir") or "/nonexistent")
    local = is_local(engine) and info.get("Name") == os.uname().nodename
    try:
        return shutil.disk_usage(root).free if local else None
    except OSError:
        return None


def open_pack(folder: Path, recipe: Recipe, base: str | None, network: str | None, say: Say) -> packed.Pack:
    """The checked pack of this recipe. Raises Failure."""
    pack = packed.read(folder)
    if pack.recipe.name != recipe.name:
        raise Failure(f"{folder} is a pack of {pack.recipe.name}, not of {recipe.name}", "name that recipe, or none")
    if base not in (None, pack.base) or network not in (None, "none"):
        raise Failure("a pack brings its own base and is built without a network", "leave out --base and --network")
    packed.check(pack, say)
    ours = recipes.load().get(recipe.name)
    if ours is None or ours.digest != pack.recipe.digest:
        say(f"the pack's {recipe.name} is not this gpucheck's: the pack's own files are used", None)
    return pack


def _has_room(engine: DockerClient, recipe: Recipe) -> None:
    """Raises Failure where the engine's disk is too small for what was measured of the recipe. Not knowing is silence;
    so is an image of the same lock, whose layers are there already.
    """
    if recipe.installed is None or recipe.download is None:
        return
    need, free = (UNPACKED * recipe.installed + DOWNLOADS * recipe.download) * MB, free_space(engine)
    if free is None or free >= need:
        return
    if not engine.images.list(filters={"label": f"{LABEL}.lock-sha256={recipe.arguments['LOCK_SHA256']}"}):
        raise Failure(
            f"{recipe.name} needs about {need / 1e9:.1f} GB for its build; the engine's disk has {free / 1e9:.1f} GB",
            "`docker system df` shows what takes the space, `docker builder prune` empties the build cache",
            1,
        )
