"""`gpucheck fleet hooks`: what a node runs by itself, put where Slurm, Kubernetes, Prometheus or systemd expects it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from gpucheck import hooks as texts
from gpucheck.cli.options import among, one_of
from gpucheck.cli.screen import complain
from gpucheck.hooks import File
from gpucheck.model import Failure


def hooks(
    kind: Annotated[
        str,
        typer.Argument(
            help=f"{', '.join(texts.KINDS)}.", callback=one_of(*texts.KINDS), autocompletion=among(*texts.KINDS)
        ),
    ],
    install: Annotated[bool, typer.Option("--install", help="Write its files; never over somebody else's.")] = False,
    uninstall: Annotated[bool, typer.Option("--uninstall", help="Remove exactly what --install wrote.")] = False,
    show: Annotated[
        bool, typer.Option("--print", help="Print its files, and write nothing; so it is unless told.")
    ] = False,
    root: Annotated[Path, typer.Option(help="Below this folder: an image, a package.", metavar="DIR")] = Path("/"),
    command: Annotated[
        str | None,
        typer.Option("--gpucheck", help="How the node calls gpucheck. Default: as here.", metavar="PATH"),
    ] = None,
    textfiles: Annotated[
        Path, typer.Option(help="For textfile: where node_exporter reads.", metavar="DIR")
    ] = texts.TEXTFILES,
) -> int:
    """A hook for each node of a fleet: its files, and the line to put into the configuration of whoever runs it."""
    if install + uninstall + show > 1:
        raise Failure("--install, --uninstall and --print do not go together", "give one of them")
    words = texts.here() if command is None else tuple(command.split())
    if not words:
        raise Failure("--gpucheck names no command", "its path: /opt/gpucheck/bin/gpucheck")
    files = texts.files(kind, words, textfiles)
    from gpucheck.hooks import placing

    if uninstall:
        _is_called_no_more(files, root)
        removed, kept = placing.uninstall(kind, root)
        sys.stdout.writelines(f"removed {path}\n" for path in removed)
        sys.stdout.writelines(f"{line}\n" for line in texts.about(kind, "off", words, textfiles))
        for path in kept:
            complain(f"{path} was changed since it was written, so it stays", None)
        return 1 if kept else 0
    if not install:
        for file in files:
            sys.stdout.write(f"# --- /{file.path}\n{file.text}\n")
    else:
        _can_be_run(kind, command, root)
        placing.install(kind, root, files)
        sys.stdout.writelines(f"{root / file.path}\n" for file in files)
    for part in ("what", "on"):
        sys.stdout.writelines(f"# {line}\n" for line in texts.about(kind, part, words, textfiles))
    return 0


def _is_called_no_more(files: Sequence[File], root: Path) -> None:
    """Raises Failure where Slurm would still run it: it drains a node whose Prolog is not there."""
    from gpucheck.hooks import scheduler
    from gpucheck.host import Local

    if root != Path("/"):
        return
    for file in files:
        if "/slurm-" in file.path and scheduler.calls(Local(), f"/{file.path}"):
            raise Failure(
                f"slurm.conf still calls /{file.path}, and Slurm drains a node whose Prolog is missing",
                "take the line out of it, `scontrol reconfigure`, then --uninstall",
            )


def _can_be_run(kind: str, command: str | None, root: Path) -> None:
    """Raises Failure for what would fail in silence every five minutes; of another root we do not know."""
    if command is None and kind == "textfile":
        from gpucheck.render import check

        check("prometheus")
    if command and root == Path("/") and not os.access(command.split()[0], os.X_OK):
        raise Failure(f"{command} is no command here", "the path of gpucheck, as the node has it")
