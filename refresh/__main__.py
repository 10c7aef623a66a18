"""What the package indexes and the wheels say, for the tables and recipes of this checkout. No file is changed.

usage: scripts/refresh [NAME | NAME==VERSION]...  rows to add to gpucheck/data/frameworks.toml; --confirm also reads the
                                                  wheels of the rows that are there, and says what differs
       scripts/refresh --sizes [LOCK]...          MB to download and on disk, for a row of images/recipes.toml
       scripts/refresh --digests                  the digests of the bases in images/recipes.toml that have none
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from gpucheck import compat
from gpucheck.model import Failure
from refresh import builds, digests, index, locks, rows


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/refresh", usage=(__doc__ or "").partition("usage: ")[2])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--confirm", action="store_true")
    parser.add_argument("--sizes", action="store_true")
    parser.add_argument("--python", metavar="3.12", help="of --sizes: for another Python than the recipe's")
    parser.add_argument("--digests", action="store_true")
    asked = parser.parse_args()
    try:
        for said in _said(asked):
            sys.stdout.write(said)
            sys.stdout.flush()
    except Failure as failed:
        sys.stderr.write(f"{failed}\ntip: {failed.tip}\n")
        return failed.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


def _said(asked: argparse.Namespace) -> Iterator[str]:
    if asked.digests:
        yield from digests.lines()
    elif asked.sizes:
        yield from locks.sizes([Path(name) for name in asked.names], asked.python, index.of_this_machine())
    else:
        table, found = compat.load().builds, index.of_this_machine()
        said = 0
        for name in asked.names or builds.READERS:
            for row in rows.proposed(name, table, found, confirm=asked.confirm):
                said += 1
                yield f"{row}\n"
        if not said:
            yield "# nothing to add: every minor release on the index has a row\n"


sys.exit(main())
