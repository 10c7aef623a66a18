"""The cell magic %%gpucheck, of `%load_ext gpucheck`."""

from __future__ import annotations

import argparse
import shlex
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from gpucheck.model import Failure
from gpucheck.notebooks.proof import Proof
from gpucheck.witnesses.request import CELL


def load_ipython_extension(shell: Any) -> None:
    """Of `%load_ext gpucheck`."""
    from IPython.core.error import UsageError
    from IPython.display import display

    show: Any = display

    def gpucheck(line: str, cell: str) -> None:
        """Run this cell, and say where its work was done.

        %%gpucheck [NAME] [--device gpu|cpu] [--keep DIR]

        NAME is what the proof is called afterwards; --device is where the work must be done; --keep keeps the evidence
        in a new folder. What the cell raises goes on, when the proof has been shown.
        """
        ran = False
        try:
            asked = _asked(line)
            keep = Path(asked.keep).absolute() if asked.keep else None
            proof = Proof(device=asked.device, keep=keep, strict=False, words=(CELL, *shlex.split(line)))
            with proof:
                ran = True
                result = shell.run_cell(cell)
                if error := result.error_before_exec or result.error_in_exec:
                    raise _quiet(error)
        except Failure as failure:
            if ran:
                raise
            raise UsageError(f"{failure}; {failure.tip}") from None
        finally:
            if ran:
                if asked.name:
                    shell.user_ns[asked.name] = proof
                show(proof)

    shell.register_magic_function(gpucheck, "cell")


def unload_ipython_extension(shell: Any) -> None:
    """Of `%unload_ext gpucheck`."""
    shell.magics_manager.magics["cell"].pop("gpucheck", None)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Failure(f"{CELL}: {message}", f"{CELL} [NAME] [--device gpu|cpu] [--keep DIR]")


def _asked(line: str) -> argparse.Namespace:
    """Raises Failure."""
    parser = _Parser(add_help=False)
    parser.add_argument("name", nargs="?")
    parser.add_argument("--device", default="gpu", choices=("gpu", "cpu"))
    parser.add_argument("--keep")
    try:
        asked = parser.parse_args(shlex.split(line))
    except ValueError as error:  # an open quote
        parser.error(str(error))
    if asked.name and not asked.name.isidentifier():
        parser.error(f"{asked.name!r} is no name")
    return asked


def _quiet(error: BaseException) -> BaseException:
    """IPython has shown its traceback, and shall not do so twice."""
    with suppress(AttributeError):
        error._render_traceback_ = list  # type: ignore[attr-defined]
    return error
