"""`gpucheck prove -- CMD...`: run any command as it is, and say from what was observed where its work was done.

The command's own stdout and stderr pass unchanged; the report is written to stderr when the command has ended, or to
`--report FILE`, so that a pipe behind the command gets what it always got. A command of `--image` runs without network
and without this machine's files, but for those of `--with DIR`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from gpucheck.cli.options import Device, Evidence, Format, Image, Keep, Strict, one_of
from gpucheck.cli.screen import complain, text_of, write_whole
from gpucheck.host import Local
from gpucheck.model import Failure, Report

TIMED_OUT = 124  # as timeout(1) has it
NOTEBOOK = Path(__file__).parents[1] / "payloads" / "hook" / "notebook.py"


def prove(
    command: Annotated[
        list[str] | None, typer.Argument(help="After `--`: a program, a script, a notebook.", metavar="CMD...")
    ] = None,
    shell: Annotated[str | None, typer.Option(help="A line for the shell instead: 'a | b'.", metavar="LINE")] = None,
    device: Device = "gpu",
    image: Image = None,
    folder: Annotated[
        Path | None, typer.Option("--with", help="With --image: copy this folder in, and start there.", metavar="DIR")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds; then it is ended, with exit code 124.", min=1, max=365 * 86400)
    ] = None,
    exit: Annotated[
        str,
        typer.Option(
            help="The exit code: command (the command's own; 128 + the signal that ended it) or verdict.",
            callback=one_of("command", "verdict"),
        ),
    ] = "command",
    report: Annotated[
        Path | None, typer.Option(help="Write the report here instead of to stderr.", metavar="FILE")
    ] = None,
    keep: Keep = None,
    evidence: Evidence = None,
    format: Format = "terminal",
    strict: Strict = False,
) -> int:
    """Run any command of yours, unchanged, and say where its work was done.

    Example: gpucheck prove -- python train.py --epochs 3

    Three Ctrl-C in a row kill what does not end. The command is over when everything that it started has ended.
    """
    from gpucheck import proving

    if evidence:
        judged = replace(proving.rejudge(evidence), strict=strict)
        _show(judged, format, report, sys.stdout.write)
        return judged.exit_code
    words = _words(command or [], shell, image)
    if folder and not (image and folder.is_dir()):
        raise Failure(f"--with {folder} goes with --image and names a folder", "leave it out")
    wish = proving.Wish(
        command=words, device=device, timeout=timeout, image=image, folder=folder, keep=keep and keep.absolute()
    )
    report = report and report.absolute()  # the command may delete the folder that it is in
    try:
        proof = proving.prove(wish, Local(), lambda line, _share: complain(line, None))
    except proving.NotStarted as failure:
        failure.exit_code = failure.code if exit == "command" else failure.exit_code
        raise
    except Failure as failure:  # what could not be carried out has proven nothing, and that is no "no"
        raise Failure(str(failure), failure.tip, 3 if failure.exit_code == 1 else failure.exit_code) from failure
    judged = replace(proof.report, strict=strict)
    _show(judged, format, report, sys.stderr.write)
    if proof.timed_out:
        complain(f"the command did not end within {timeout:g} s, and was ended", None)
    if exit == "verdict":
        return judged.exit_code
    return TIMED_OUT if proof.timed_out else proof.exit_code


def _show(judged: Report, format: str, file: Path | None, write: object) -> None:
    text = text_of(judged, format)
    if file:
        write_whole(file, text)
    else:
        assert callable(write)
        write(text)


def _words(command: list[str], shell: str | None, image: str | None) -> tuple[str, ...]:
    """Raises Failure where there is none, or a notebook that cannot be run."""
    if bool(command) == (shell is not None):
        raise Failure("what shall be run?", "`gpucheck prove -- python train.py`, or `--shell 'a | b'`")
    if shell is not None:
        return ("/bin/sh", "-c", shell)
    if not command[0].endswith(".ipynb") or (not image and not Path(command[0]).is_file()):
        return tuple(command)
    if image:
        return ("python3", "/opt/gpucheck/payloads/hook/notebook.py", *command)
    python = shutil.which("python") or shutil.which("python3")
    asked = [str(python), "-c", "import nbclient, nbformat"]
    if not python or subprocess.run(asked, capture_output=True).returncode:
        found = f"{python} has no nbclient" if python else "there is no python on PATH"
        raise Failure(f"{command[0]} is a notebook, and {found}", f"`{python or 'python3'} -m pip install nbclient`")
    return (python, str(NOTEBOOK), *command)
