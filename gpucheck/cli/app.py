"""The Typer application: one command a file, and what becomes of an error."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import traceback
from typing import Annotated

import typer

from gpucheck import __version__
from gpucheck.cli import (
    Interrupted,
    build,
    cloud,
    diff,
    doctor,
    explain,
    fleet,
    images,
    init,
    pack,
    prove,
    report,
    verify,
)
from gpucheck.cli.examples import epilog
from gpucheck.cli.manners import mannered
from gpucheck.cli.screen import complain
from gpucheck.model import Failure

NOT_KNOWN, BUG = 3, 70
TIPS = {  # of the errors of a file system that are nobody's bug
    errno.ENOSPC: "free some space; TMPDIR and XDG_CACHE_HOME may be on another disk",
    errno.EDQUOT: "free some of your quota; TMPDIR and XDG_CACHE_HOME may be on another disk",
    errno.EROFS: "set TMPDIR and XDG_CACHE_HOME to where you may write",
    errno.EACCES: "set TMPDIR and XDG_CACHE_HOME to where you may write",
}

app = typer.Typer(
    name="gpucheck", no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None,
    help="Is the GPU stack right, give me an image that fits, and did it really run on the GPU.",
)  # fmt: skip
app.command(epilog=epilog("doctor"))(mannered(doctor.doctor))
app.command(epilog=epilog("diff"))(mannered(diff.diff))
app.command(epilog=epilog("build"))(mannered(build.build))
app.command(epilog=epilog("verify"))(mannered(verify.verify))
app.command(epilog=epilog("prove"))(mannered(prove.prove))
app.command(epilog=epilog("report"))(mannered(report.report))
app.command(epilog=epilog("explain"))(mannered(explain.explain))
app.command(epilog=epilog("init"))(mannered(init.init))
app.command(epilog=epilog("pack"))(mannered(pack.pack))
app.add_typer(cloud.app, name="cloud", epilog=epilog("cloud"))
app.add_typer(fleet.app, name="fleet", epilog=epilog("fleet"))
app.add_typer(images.app, name="images", epilog=epilog("images"))


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"gpucheck {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass


def run() -> int:
    """Run the command line of this process; the exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without ✓ gets a question mark, not a trace
    try:
        code = app(prog_name="gpucheck", standalone_mode=False)
        sys.stdout.flush()
    except Failure as failure:
        complain(str(failure), failure.tip)
        return failure.exit_code
    except typer.TyperException as usage:
        complain(usage.format_message(), "gpucheck --help")
        return 2
    except Interrupted as interrupted:
        complain("interrupted", None)
        return 128 + int(interrupted.args[0])
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains at its end
        if error.errno == errno.EPIPE:
            return 128 + signal.SIGPIPE
        if error.errno not in TIPS:
            return _bug(error)
        complain(f"{error.strerror}{f': {error.filename}' if error.filename else ''}", TIPS[error.errno])
        return NOT_KNOWN
    except Exception as error:  # noqa: BLE001 - the last one to see it
        return _bug(error)
    return code if isinstance(code, int) else 0


def _bug(error: Exception) -> int:
    traceback.print_exc()
    complain(f"bug in gpucheck: {type(error).__name__}: {error}", "please report it with the lines above")
    return BUG
