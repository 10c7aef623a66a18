"""`gpucheck verify`: train the CIFAR-10 CNN and confirm from what was observed where its ops ran."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpucheck.cli.glances import glances
from gpucheck.cli.options import (
    Backend,
    Base,
    CaBundle,
    Device,
    Evidence,
    Format,
    Framework,
    Image,
    Keep,
    Network,
    Strict,
    one_of,
)
from gpucheck.cli.screen import saying, show
from gpucheck.host import Local
from gpucheck.model import Failure

if TYPE_CHECKING:
    from gpucheck.sampling import Watch

ONE_DEVICE = ("keras", "xgboost")
TOGETHER = ("tensorflow", "pytorch", "jax")  # on several nodes
MOST = 2**31 - 1  # of a count that the payload takes


def verify(
    framework: Framework = "tensorflow",
    backend: Backend = None,
    device: Device = "gpu",
    devices: Annotated[int, typer.Option(help="Train on so many of them, and prove each one's share.", min=1)] = 1,
    where: Annotated[
        str,
        typer.Option(
            "--on",
            help="docker, podman, host (an environment of its own), or auto: the first of them that is there.",
            callback=one_of("auto", "docker", "podman", "host"),
        ),
    ] = "auto",
    python: Annotated[
        str | None,
        typer.Option(help="Run on this host in an interpreter that has the framework already.", metavar="PATH"),
    ] = None,
    image: Image = None,
    base: Base = None,
    ca_bundle: CaBundle = None,
    network: Network = None,
    data: Annotated[
        str,
        typer.Option(help="auto (the cache, else synthetic), synthetic, download, a mirror, a folder, an archive."),
    ] = "auto",
    recipe: Annotated[
        str,
        typer.Option(
            help="How it trains: fast, or tutorial, exactly as TensorFlow's tutorial does (10 epochs).",
            callback=one_of("fast", "tutorial"),
        ),
    ] = "fast",
    epochs: Annotated[int | None, typer.Option(help="Else the recipe's.", min=1, max=MOST)] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Of all devices together; else the recipe's.", min=1, max=MOST)
    ] = None,
    validation_split: Annotated[
        float, typer.Option(help="Share of the training images; 0: validate on the test set.", min=0.0, max=0.9)
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same run, where it can.", min=0, max=MOST)] = 0,
    limit: Annotated[int | None, typer.Option(help="Use only so many training images.", min=64, max=50_000)] = None,
    control: Annotated[
        bool, typer.Option("--control/--no-control", help="Also run it with the GPU hidden, which must be told apart.")
    ] = True,
    world: Annotated[
        str | None,
        typer.Option(
            help="Train together with other nodes, of which this is one; auto: as Slurm says.",
            metavar="RANK@HOST,HOST,...[:PORT]",
        ),
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds that the run may take.", min=1, max=30 * 86400)] = 3600.0,
    keep: Keep = None,
    evidence: Evidence = None,
    format: Format = "terminal",
    strict: Strict = False,
) -> int:
    """Did it really run on the GPU? Train the CIFAR-10 CNN in the container and judge what was observed."""
    from gpucheck import verification

    if backend and framework != "keras":
        raise Failure("Keras alone has backends", f"leave out --backend, or `--framework keras --backend {backend}`")
    if python and (where in ("docker", "podman") or image or not shutil.which(python)):
        raise Failure(
            f"{python} is no interpreter to run on this host", "`--python PATH`, without --image and --on docker"
        )
    if devices > 1 and framework in ONE_DEVICE:
        raise Failure(
            f"{framework} trains on one device here", "leave out --devices, or take tensorflow, pytorch or jax"
        )
    if world is not None and framework not in TOGETHER:
        raise Failure(f"{framework} trains on one node here", f"leave out --world, or take {', '.join(TOGETHER)}")
    if evidence:
        report = verification.rejudge(evidence)
    else:
        wish = verification.Wish(
            framework=framework, backend=backend, device=device, devices=devices, where=where, python=python,
            image=image, base=base, ca_bundle=ca_bundle, network=network, data=data, recipe=recipe, epochs=epochs,
            batch_size=batch_size, validation_split=validation_split, seed=seed, limit=limit, control=control,
            timeout=timeout, keep=keep, world=_world(world),
        )  # fmt: skip
        watches: list[Watch] = []
        try:
            with saying(lambda: glances(watches)) as say:
                report = verification.verify(wish, Local(), cache_folder(), say, watches.append)
        except Failure as failure:  # what could not be carried out has proven nothing, and that is no "no"
            raise Failure(str(failure), failure.tip, 3 if failure.exit_code == 1 else failure.exit_code) from failure
    return show(report, format, strict)


def _world(text: str | None) -> str | None:
    from gpucheck import worlds

    if text is None:  # "" is a variable that was not set, and no wish to train alone
        return None
    return worlds.of_slurm(Local(), os.environ) if text == worlds.AUTO else worlds.whole(text)


def cache_folder() -> Path:
    """Of this user, after the XDG base directory specification."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gpucheck"
