"""`gpucheck cloud offers`, `init` and `render`: what can be rented for how much, and the set-up as a file."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from gpucheck.cli.cloud_options import Package
from gpucheck.cli.options import Framework, among, one_of
from gpucheck.cli.screen import give, write_whole
from gpucheck.clouds import CLOUDS, Asked
from gpucheck.model import Failure

FORMATS = ("user-data", "terraform", "skypilot")


def offers(
    gpu: Annotated[str | None, typer.Option(help="Only with this GPU: T4, L4, A100, H100.")] = None,
    max_price: Annotated[float | None, typer.Option(help="At most so many US dollars an hour.")] = None,
    cloud: Annotated[str | None, typer.Option(help=f"Only of {', '.join(CLOUDS)}.", callback=one_of(*CLOUDS))] = None,
    images: Annotated[bool, typer.Option("--images", help="The machine images instead.")] = False,
    format: Annotated[str, typer.Option(help="terminal, or json.", callback=one_of("terminal", "json"))] = "terminal",
) -> int:
    """Instance types with GPUs, the cheapest first, with the date of each price. Asks nobody: see `checked`."""
    from gpucheck import rentals
    from gpucheck.render import offers as page

    if images:
        sys.stdout.write(page.images(rentals.images(cloud)))
        return 0
    found = rentals.offers(gpu=gpu, max_price=max_price, provider=cloud)
    if not found:
        raise Failure(
            "no instance type fits", "a higher --max-price, another --gpu, or all of them: `gpucheck cloud offers`"
        )
    if format == "json":
        sys.stdout.writelines(f"{json.dumps(asdict(offer), default=str)}\n" for offer in found)
    else:
        sys.stdout.write(page.offers(found))
    return 0


def init(
    distribution: Annotated[
        str, typer.Argument(help="Of the image: ubuntu-24.04, ubuntu-22.04, debian-12, rhel-9, amazon-linux-2023.")
    ],
    driver: Annotated[
        str | None, typer.Option(help="The branch to install where the image has none: 580.", metavar="BRANCH")
    ] = None,
    proprietary: Annotated[
        bool, typer.Option("--proprietary", help="NVIDIA's proprietary kernel module: for GPUs before Turing.")
    ] = False,
    framework: Framework = "tensorflow",
    minutes: Annotated[int | None, typer.Option(help="To live: then it powers itself off. Default: it stays.")] = None,
    run: Annotated[str, typer.Option(help="Marks its lines on the console.")] = "gpucheck",
    package: Package = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write it here.", metavar="FILE")] = None,
) -> int:
    """Cloud-init user-data: driver, Docker, container toolkit, gpucheck; then doctor, build and verify at first boot.

    The reports are on the machine in /var/lib/gpucheck/reports and on its serial console.
    """
    from gpucheck import ordering
    from gpucheck.userdata import Setup, render

    setup = Setup(
        distribution=distribution, package=ordering.package(package), driver=driver, open_module=not proprietary,
        minutes=minutes, run=run, framework=framework,
    )  # fmt: skip
    give(render(setup), output)
    return 0


def render(
    asked: Asked,
    format: Annotated[
        str,
        typer.Option(help=f"{', '.join(FORMATS)}.", callback=one_of(*FORMATS), autocompletion=among(*FORMATS)),
    ] = "user-data",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A folder for its files; without it one alone is printed.")
    ] = None,
) -> int:
    """The set-up that `verify` would rent, for a launcher of your own. Asks no cloud."""
    from gpucheck import targets
    from gpucheck.ordering import ordered, target

    files = targets.files(format, target(asked, ordered(asked, timer=format == "user-data")))
    if output is None:
        if len(files) > 1:
            raise Failure(f"{format} is {len(files)} files", "`--output DIR` writes them")
        sys.stdout.writelines(files.values())
        return 0
    taken = [name for name in files if (output / name).exists()]
    if taken:
        raise Failure(f"{output / taken[0]} is there already; nothing was written", "another --output")
    try:
        output.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            write_whole(output / name, text)
    except OSError as error:
        raise Failure(f"{error.filename or output} cannot be written: {error.strerror}", "another --output") from error
    sys.stdout.writelines(f"{output / name}\n" for name in files)
    return 0
