"""A bundle: everything that a helper needs to judge a machine elsewhere, in one file, redacted.

Its report was made from the redacted recording, so what `--from` says of it is what it says itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import stat
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from gpucheck import __version__, codec
from gpucheck.host import Recorded
from gpucheck.model import Failure, Report

SCHEMA = 1
OURS = ("nvidia-ml-py", "typer", "rich", "pyyaml", "docker")


def document(recording: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Of a recording that is redacted already, and the report made of it."""
    return {
        "schema": SCHEMA,
        "kind": "gpucheck bundle",
        "versions": {"gpucheck": __version__, "python": platform.python_version(), **dict(_versions())},
        "report": {**codec.dump(report), "verdict": report.verdict, "exit_code": report.exit_code},
        "recording": recording,
    }


def write(path: Path, bundle: Mapping[str, Any]) -> None:
    """Whole or not at all, readable by its owner alone, and never through a link. Raises Failure."""
    if path.is_symlink():
        raise Failure(f"{path} is a link, which is not followed", "give another file")
    if path.exists() and not stat.S_ISREG(path.stat().st_mode):
        raise Failure(f"{path} is not a regular file", "give another file")
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        number = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(number, "w") as file:
            file.write(json.dumps(bundle, indent=1) + "\n")
        partial.replace(path)
    except OSError as error:
        raise Failure(f"{path} cannot be written: {error.strerror}", "give another file") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


def load(path: Path) -> Recorded | Report:
    """A machine from its bundle or its recording, or the report that a file of `--format json` holds.

    Raises Failure with one sentence where it is none of them.
    """
    tip = "write one with `gpucheck doctor --bundle FILE`"
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise Failure(f"{path} cannot be read: {reason}", tip) from error
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        if text.count("\n") > 1 and error.msg == "Extra data":
            raise Failure(f"{path} holds several reports", "give a file with one") from error
        raise Failure(f"{path} is not JSON (line {error.lineno}): is the file complete?", tip) from error
    except RecursionError as error:
        raise Failure(f"{path} is not of gpucheck", tip) from error
    if not isinstance(data, dict):
        raise Failure(f"{path} is not of gpucheck", tip)
    try:
        if "findings" in data:
            return codec.load(Report, {k: v for k, v in data.items() if k not in ("verdict", "exit_code")})
        return Recorded.of(data.get("recording", data), str(path))
    except ValueError as error:
        raise Failure(str(error), tip) from error


def _versions() -> list[tuple[str, str]]:
    found = []
    for name in OURS:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found.append((name, metadata.version(name)))
    return found
