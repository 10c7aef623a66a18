"""The folder that a run's evidence is gathered in: a temporary one, kept where that was asked for."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gpucheck import codec
from gpucheck.facts import Facts
from gpucheck.model import Failure


@contextmanager
def folder(keep: Path | None) -> Iterator[Path]:
    """A temporary folder; what is in it at the end goes to `keep`, also when the run failed, not when interrupted."""
    made = keep is not None and not keep.exists()
    if keep:
        try:
            keep.mkdir(parents=True, exist_ok=True)
            full = any(keep.iterdir())
        except OSError as error:
            raise Failure(
                f"{keep} cannot be used: {error.strerror}", "give a new folder where you may write"
            ) from error
        if full:
            raise Failure(f"{keep} is not empty", "give a new folder: evidence is never mixed")
    with tempfile.TemporaryDirectory(prefix="gpucheck-") as temporary:
        evidence = Path(temporary) / "evidence"
        evidence.mkdir()
        interrupted = True
        try:
            yield evidence
            interrupted = False
        except Exception:
            interrupted = False
            raise
        finally:
            if keep and interrupted and made:
                keep.rmdir()
            elif keep and not interrupted:
                shutil.copytree(evidence, keep, dirs_exist_ok=True)


def host_of(evidence: Path) -> Facts:
    """What was known of the machine when the run was kept. Raises Failure where the folder is no run's."""
    try:
        return codec.load(Facts, json.loads((evidence / "host.json").read_text()))
    except (OSError, ValueError, RecursionError) as error:
        raise Failure(f"{evidence} holds no evidence of a run: {error}", "keep one with `--keep DIR`") from error


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def write(path: Path, data: dict[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=1) + "\n")
