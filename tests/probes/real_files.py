"""What stat and readlink say of files, as gpucheck.probes.files asks them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gpucheck.host import Result
from gpucheck.probes import files


def answers(asked: Iterable[str], real: Mapping[str, str]) -> dict[tuple[str, ...], Result]:
    """Of the paths asked for, those in `real` are there: links, each with its real file."""
    paths = tuple(asked)
    there = [path for path in paths if path in real]
    told = "".join(f"81a4 0 0 644 root {path}\n" for path in there)
    gone = "".join(f"stat: cannot statx '{path}': No such file or directory\n" for path in paths if path not in real)
    readlink = {("readlink", "-e", *there): Result(code=0, out="".join(f"{real[p]}\n" for p in there), err="")}
    stat = ("stat", "-L", "-c", files.STAT_FORMAT, *paths)
    return {stat: Result(code=int(bool(gone)), out=told, err=gone), **(readlink if there else {})}
