"""`gpucheck verify`: train the CIFAR-10 CNN and confirm from what was observed where its ops ran."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from gpucheck.cli.options import Base, CaBundle, Format, Network, RecipeName, Strict, one_of
from gpucheck.cli.screen import saying, show
from gpucheck.host import Local
from gpucheck.model import Failure

MOST = 2**31 - 1  # of a count that the payload takes


def verify(
    device: Annotated[
        str, typer.Option(help="Where the ops must run: gpu or cpu.", callback=one_of("gpu", "cpu"))
    ] = "gpu",
    where: Annotated[
        str,
        typer.Option(
            "--on",
            help="docker, host (an environment of its own), or auto: Docker where an engine answers.",
            callback=one_of("auto", "docker", "host"),
        ),
    ] = "auto",
    recipe: RecipeName = None,
    base: Base = None,
    ca_bundle: CaBundle = None,
    network: Network = None,
    data: Annotated[
        str,
        typer.Option(help="auto (the cache, else synthetic), synthetic, download, a mirror, a folder, an archive."),
    ] = "auto",
    epochs: Annotated[int, typer.Option(min=1, max=MOST)] = 3,
    batch_size: Annotated[int, typer.Option(min=1, max=MOST)] = 32,
    validation_split: Annotated[
        float, typer.Option(help="Share of the training images; 0: validate on the test set.", min=0.0, max=0.9)
    ] = 0.0,
    seed: Annotated[int, typer.Option(min=0, max=MOST)] = 0,
    limit: Annotated[int | None, typer.Option(help="Use only so many training images.", min=64, max=50_000)] = None,
    timeout: Annotated[float, typer.Option(help="Seconds that the run may take.", min=1, max=30 * 86400)] = 3600.0,
    keep: Annotated[Path | None, typer.Option(help="Keep the evidence in this new folder.", metavar="DIR")] = None,
    evidence: Annotated[
        Path | None, typer.Option("--from", help="Judge the evidence of an earlier run.", metavar="DIR")
    ] = None,
    format: Format = "terminal",
    strict: Strict = False,
) -> int:
    """Did it really run on the GPU? Train the CIFAR-10 CNN in the container and judge what was observed."""
    from gpucheck import verification

    if evidence:
        report = verification.rejudge(evidence)
    else:
        wish = verification.Wish(
            device=device, where=where, recipe=recipe, base=base, ca_bundle=ca_bundle, network=network, data=data,
            epochs=epochs, batch_size=batch_size, validation_split=validation_split, seed=seed, limit=limit,
            timeout=timeout, keep=keep,
        )  # fmt: skip
        try:
            with saying() as say:
                report = verification.verify(wish, Local(), cache_folder(), say)
        except Failure as failure:  # what could not be carried out has proven nothing, and that is no "no"
            raise Failure(str(failure), failure.tip, 3 if failure.exit_code == 1 else failure.exit_code) from failure
    return show(report, format, strict)


def cache_folder() -> Path:
    """Of this user, after the XDG base directory specification."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gpucheck"
