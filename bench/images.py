"""Our image of a framework against the plain one: the same base, and one `pip install` as the framework's page has it.

usage: scripts/bench images [--base IMAGE] [FRAMEWORK...]

Both are built on the engine of DOCKER_HOST, one after the other: the plain one is removed once it is measured, ours is
what `gpucheck build` leaves. It needs about 12 GB of disk. Size: the sum of the layers. Download: the file tree as one
stream of gzip -1, which is quick and a little more than the gzip -6 that a registry keeps. Seconds: of a build whose
downloads no cache holds, on an engine that never built it.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import os
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bench import rows
from gpucheck import buildkit, containers, recipes

if TYPE_CHECKING:
    from docker import DockerClient

PLAIN = {
    "tensorflow": ("tensorflow-cuda12", "tensorflow[and-cuda]==2.21.*"),
    "jax": ("jax-cuda13", "jax[cuda13]==0.10.2"),
    "pytorch": ("pytorch-cuda13", "torch==2.15.0"),
}
GOAL = "at most 0.60"
# --no-cache-dir: pip's cache of wheels would stay in the layer, and no one compares with that.
DOCKERFILE = """FROM {base}
COPY host /run/host
RUN python3 -m venv /opt/venv \\
    && PIP_CONFIG_FILE=/run/host/pip.conf /opt/venv/bin/pip install --no-cache-dir --progress-bar off '{wanted}'
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    size: float  # MB
    download: float  # MB
    seconds: float  # of the build


def measure(engine: DockerClient, image_id: str, seconds: float) -> Measured:
    size = engine.images.get(image_id).attrs["Size"] / 1e6
    container = engine.containers.create(image_id, ["true"])
    try:
        packer = zlib.compressobj(1, wbits=31)
        chunks: Any = container.export()  # an iterator of bytes; its stub says str
        packed = sum(len(packer.compress(chunk)) for chunk in chunks) + len(packer.flush())
    finally:
        container.remove(force=True)
    return Measured(size=size, download=packed / 1e6, seconds=seconds)


@contextmanager
def plain(engine: DockerClient, framework: str, wanted: str, base: str) -> Iterator[str]:
    """Build the plain image, by the classic builder: BuildKit would keep a second copy in its cache."""
    dockerfile = DOCKERFILE.format(base=base, wanted=wanted).encode()
    context = b"".join(buildkit.Context({"Dockerfile": dockerfile, **buildkit.host_files(None, os.environ)}))
    bridge = any(network.attrs["Driver"] == "bridge" for network in engine.networks.list())
    tag = f"gpucheck/plain-{framework}:bench"
    try:
        image, _ = engine.images.build(
            fileobj=io.BytesIO(context), custom_context=True, tag=tag, nocache=True, rm=True, forcerm=True,
            network_mode=None if bridge else "host",
        )  # fmt: skip
        yield str(image.id)
    finally:
        if any(tag in image.tags for image in engine.images.list()):
            engine.images.remove(tag, force=True)


def compare(engine: DockerClient, framework: str, base: str | None, command: list[str]) -> None:
    name, wanted = PLAIN[framework]
    recipe = recipes.load()[name]
    base = base or recipe.base
    begun = time.monotonic()
    with plain(engine, framework, wanted, base) as image_id:
        theirs = measure(engine, image_id, time.monotonic() - begun)
    begun = time.monotonic()
    ours = measure(engine, containers.build(recipe, base=base, client=engine), time.monotonic() - begun)
    against = f"FROM {base}, pip install {wanted}"
    results = rows.Rows()
    results.add(f"image {name}: size", ours.size, "MB", against, theirs.size, GOAL, command)
    results.add(f"image {name}: download", ours.download, "MB, gzip -1", against, theirs.download, GOAL, command)
    results.add(f"image {name}: build", ours.seconds, "s", against, theirs.seconds, "", command)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("framework", nargs="*", choices=[*PLAIN, []], default=[*PLAIN], metavar="FRAMEWORK")
    parser.add_argument("--base", help="instead of the recipes' base, on both sides; scripts/engine base makes one")
    args = parser.parse_args()
    engine = containers.connect(timeout=3600)
    for framework in args.framework:
        compare(engine, framework, args.base, [sys.executable, "-m", "bench.images", *sys.argv[1:]])
    engine.close()


if __name__ == "__main__":
    main()
