"""Saved reports, one after the other: files of `--format json` (a document or lines), bundles, folders of them, stdin.

A file is read as it comes and never kept whole, so a fleet's reports need the memory of what is made of them alone.
"""

from __future__ import annotations

import codecs
import io
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from gpucheck import __version__, codec
from gpucheck.model import REPORT_SCHEMA, Failure, Report

STDIN = Path("-")
LARGEST = 64 << 20  # bytes of one report; the largest of a real machine has a hundredth of that
MAKE = "make one with `gpucheck doctor --format json > FILE`"


def files(paths: Sequence[Path]) -> tuple[Path, ...]:
    """The files that are meant, each once: of a folder its *.json and *.jsonl, by name. Raises Failure."""
    found: dict[Any, Path] = {}
    for path in (file for given in paths for file in inside(given)):
        try:
            about = None if path == STDIN else path.stat()
        except OSError as error:
            raise Failure(f"{path} cannot be read: {error.strerror}", MAKE) from error
        same = found.setdefault(path if about is None else (about.st_dev, about.st_ino), path)
        if same is not path:
            named = f"{path} is given twice" if same == path else f"{same} and {path} are the same file"
            raise Failure(named, "name each report once")
    return tuple(found.values())


def inside(path: Path) -> list[Path]:
    """The file itself, or a folder's reports. Raises Failure."""
    if path == STDIN or not path.is_dir():
        return [path]
    try:
        inside = sorted(child for child in path.iterdir() if child.suffix in (".json", ".jsonl"))
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror}", MAKE) from error
    if not inside:
        raise Failure(f"the folder {path} has no report in it: no *.json and no *.jsonl", MAKE)
    return inside


def read(paths: Sequence[Path]) -> Iterator[Report]:
    """Every report of these files, in their order. Raises Failure with the file's name, and the line's number."""
    for path in paths:
        try:
            if path == STDIN:
                yield from _of(sys.stdin.buffer, "stdin")
            else:
                with path.open("rb") as file:
                    yield from _of(file, str(path))
        except OSError as error:
            raise Failure(f"{path} cannot be read: {error.strerror}", MAKE) from error


def of_bytes(data: bytes, name: str) -> Report:
    """The one report that these are. Raises Failure, which calls it `name`."""
    return next(_of(io.BytesIO(data), name))


def _of(file: BinaryIO, name: str) -> Iterator[Report]:
    number = found = 0
    while line := file.readline(LARGEST + 1):
        number += 1
        line = line.removeprefix(codecs.BOM_UTF8)
        if not line.strip():
            continue
        if len(line) > LARGEST:
            raise Failure(f"{name} is no report of gpucheck: line {number} is longer than {LARGEST >> 20} MB", MAKE)
        if not found and line.lstrip()[:1] not in (b"{", b"["):
            raise Failure(f"{name} is no report of gpucheck: it is not JSON", MAKE)
        try:
            data = parsed(line, name)
        except json.JSONDecodeError as error:
            if found:
                _torn(name, number, error)
            data = _whole(line + file.read(LARGEST + 1 - len(line)), name)
        yield from (of_data(each, name) for each in (data if isinstance(data, list) and data else [data]))
        found += 1
    if not found:
        raise Failure(f"{name} is empty: what should have written it has not", MAKE)


def _whole(text: bytes, name: str) -> Any:
    """A document that is laid out over many lines."""
    if len(text) > LARGEST:
        raise Failure(f"{name} is no report of gpucheck: it is larger than {LARGEST >> 20} MB", MAKE)
    try:
        return parsed(text, name)
    except json.JSONDecodeError as error:
        _torn(name, error.lineno, error)


def parsed(text: bytes, name: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except (ValueError, RecursionError) as error:  # not UTF-8, a number of 5,000 digits, ten thousand brackets
        raise Failure(f"{name} is no report of gpucheck: it is not text that JSON is made of", MAKE) from error


def _torn(name: str, line: int, error: json.JSONDecodeError) -> NoReturn:
    raise Failure(
        f"{name} is not whole: line {line} is not JSON ({error.msg})", "copy it again; or it is no report of gpucheck"
    ) from error


def of_data(data: Any, name: str) -> Report:
    if isinstance(data, dict) and data.get("kind") == "gpucheck bundle":
        data = data.get("report")
    if not isinstance(data, dict) or "findings" not in data:
        recorded = isinstance(data, dict) and "runs" in data and "files" in data
        tip = f"it is a recording: `gpucheck doctor --from {name} --format json` makes a report of it"
        raise Failure(f"{name} is no report of gpucheck", tip if recorded else MAKE)
    schema, tool = data.get("schema"), str(data.get("tool"))[:60]
    if isinstance(schema, int) and schema > REPORT_SCHEMA:
        raise Failure(
            f"{name} is of a newer gpucheck: its schema is {schema}, and this one reads up to {REPORT_SCHEMA}",
            "update gpucheck where you have it from",
        )
    try:
        return codec.load(Report, {key: value for key, value in data.items() if key not in ("verdict", "exit_code")})
    except codec.WrongShape as error:
        mine = f"gpucheck {__version__}"
        of = f" of {tool}, which {mine} does not read" if tool != mine else " that is not as gpucheck wrote it"
        raise Failure(
            f"{name} is a report{of}: {str(error)[:300]}", "use the gpucheck that wrote it, or a newer one"
        ) from error


def is_one_of(target: Path, paths: Sequence[Path]) -> bool:
    """Whether writing `target` would overwrite one of the reports."""
    return any(path != STDIN and target.exists() and os.path.samefile(path, target) for path in paths)
