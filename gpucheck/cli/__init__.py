"""The command line: it parses, calls, renders and exits, and does nothing else."""

from __future__ import annotations

import signal
import sys
from types import FrameType

from gpucheck import __version__

WINDOWS = "gpucheck: this is Windows: use it inside WSL2 (`wsl --install`), where Windows' own driver serves Linux\n"
ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


def main() -> None:
    """Console entry. Exit codes: 0, 1, 2, 3, 70 as in the README; 130 and 143 when interrupted."""
    if sys.argv[1:] == ["--version"]:  # before the imports: this must be instant
        sys.stdout.write(f"gpucheck {__version__}\n")
        return
    if sys.platform.startswith("win"):
        sys.stderr.write(WINDOWS)
        sys.exit(2)
    end_on_signals()
    from gpucheck.cli.app import run

    sys.exit(run())


class Interrupted(BaseException):
    """A signal that ends the command; `args[0]` is its number. No KeyboardInterrupt, which Typer keeps for itself."""


def end_on_signals() -> None:
    """Ctrl-C, SIGTERM and SIGHUP as an exception, so that every `finally` on the way out removes what it made."""
    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup's, and a shell's `&`
            signal.signal(number, _interrupted)


def _interrupted(number: int, _frame: FrameType | None) -> None:
    for each in ENDING:  # one is enough: a second would interrupt the tidying up
        signal.signal(each, signal.SIG_IGN)
    raise Interrupted(number)
