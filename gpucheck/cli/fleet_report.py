"""`gpucheck fleet report FILES…`: any set of reports, judged together."""

from __future__ import annotations

import errno
import importlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpucheck import extras
from gpucheck.cli.options import among, one_of
from gpucheck.cli.screen import give, manners
from gpucheck.model import Failure
from gpucheck.render import check

if TYPE_CHECKING:
    from gpucheck.matrix import Fleet

FORMATS = ("terminal", "html", "json", "junit", "prometheus")


def a_format(value: str) -> str:
    """A callback for --format: one that this installation can make."""
    check(one_of(*FORMATS)(value))
    return value


Format = Annotated[
    str,
    typer.Option(
        help=f"How to print the fleet: {', '.join(FORMATS)}.", callback=a_format, autocompletion=among(*FORMATS)
    ),
]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Write it to this file instead.", metavar="FILE")]


def report(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Reports of `--format json`, a line or a file each; folders of them; - is stdin.",
            metavar="FILES...",
            show_default=False,
        ),
    ],
    expect: Annotated[
        str | None,
        typer.Option(
            help="Every node that should be here: n1,n2 or a file; n[1-40] with ClusterShell.", metavar="NODES"
        ),
    ] = None,
    before: Annotated[
        list[Path] | None,
        typer.Option(help="Reports of an earlier run: what is new, mended, gone? Repeatable.", metavar="FILES"),
    ] = None,
    format: Format = "terminal",
    output: Output = None,
) -> int:
    """Many machines judged together: the verdicts, the common causes, the odd ones out, what has changed.

    Exit code 1 where any failed, 3 where any is missing, unread or unknown.
    """
    from dataclasses import replace

    from gpucheck import gathering, matrix, reports

    if output and reports.is_one_of(output, gathering.files((*files, *(before or ())))):
        raise Failure(f"{output} is one of the reports", "write to another file")
    expected = _nodes(expect) if expect else ()
    fleet = matrix.collect(gathering.each(files), expected)
    if before:
        earlier = matrix.collect(gathering.each(before), expected)
        if not any(node.command for node in earlier.nodes):  # else all would be new, and nothing broken since
            raise Failure(f"--before has no report in it: {', '.join(map(str, before))}", "a folder of an earlier run")
        fleet = replace(fleet, changes=matrix.changes(earlier, fleet))
    return show(fleet, format, output)


def show(fleet: Fleet, format: str, output: Path | None) -> int:
    """Print the fleet, or write it to a file; its exit code."""
    if format == "terminal":
        from gpucheck.render import fleet_terminal

        give(fleet_terminal.render(fleet, manners.detail), output)
    else:
        give(importlib.import_module(f"gpucheck.render.fleet_{format}").render(fleet), output)
    return fleet.exit_code


def _nodes(text: str) -> Sequence[str]:
    """A file's words, or a list with commas; a set like n[1-40] or @rack3 needs ClusterShell. Raises Failure."""
    file = Path(text)
    try:
        if file.is_file():
            lines = file.read_text(errors="replace").splitlines()
            text = ",".join(line.partition("#")[0] for line in lines)
        elif "/" in text or file.suffix == ".txt":
            raise Failure(f"there is no file {text[:200]}", "`--expect n1,n2` names the nodes")
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:  # a list of many nodes is no name of a file
            raise Failure(f"{file} cannot be read: {error.strerror}", "`--expect n1,n2` names the nodes") from error
    words = [word for word in re.split(r"[\s,]+(?![^\[]*\])", text) if word]
    if any(set(word) & set("[]@!&^") for word in words):
        try:
            from gpucheck.fleets import ssh_nodes
        except ModuleNotFoundError as missing:
            raise Failure("a set of nodes needs ClusterShell", f"{extras.tip('ssh')}, or n1,n2") from missing
        return ssh_nodes.names(words)
    if not words:
        raise Failure(f"--expect names no node: {text[:60]!r}", "`--expect n1,n2`, or a file with a node a line")
    return tuple(dict.fromkeys(words))
