"""Putting a hook's files into a root and taking them away again: never over somebody else's, and exactly what we wrote.

What was written is listed, with its digest, in ROOT/etc/gpucheck/hooks/KIND.json.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from gpucheck.hooks import KINDS, File
from gpucheck.model import Failure

LIST = "etc/gpucheck/hooks"


def install(kind: str, root: Path, files: Sequence[File]) -> None:
    """All of them, or nothing where one place is taken. Raises Failure."""
    ours = _list(kind, root)
    for file in files:
        place = root / file.path
        there = _digest(place)
        if there is not None and there not in (ours.get(file.path), _of(file.text.encode())):
            whose = "was changed since we wrote it" if file.path in ours else "is there already, and is not ours"
            raise Failure(f"{place} {whose}; nothing was written", "move it away, or give another --root")
    new = {**ours, **{file.path: _of(file.text.encode()) for file in files}}
    try:
        _write(root / LIST / f"{kind}.json", json.dumps({"files": new}, indent=1) + "\n", 0o644)  # first: else unlisted
        for file in files:
            _write(root / file.path, file.text, file.mode)
    except OSError as error:
        raise Failure(
            f"{error.filename or root} cannot be written: {error.strerror}",
            f"as root, or into a folder: --root DIR; `gpucheck fleet hooks {kind} --uninstall` takes away what was",
        ) from error


def uninstall(kind: str, root: Path) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """What was removed, and what stays because it was changed since. Raises Failure."""
    ours = _list(kind, root)
    if not ours:
        raise Failure(
            f"the hook {kind} is not installed in {root}", f"`gpucheck fleet hooks {kind}` says where it goes"
        )
    removed, kept = [], []
    try:
        for path, digest in ours.items():
            there = _digest(root / path)
            if there == digest:
                (root / path).unlink()
                removed.append(root / path)
            elif there is not None:
                kept.append(root / path)
        (root / LIST / f"{kind}.json").unlink()
    except OSError as error:
        raise Failure(f"{error.filename} cannot be removed: {error.strerror}", "as root") from error
    for folder in {(root / LIST), *((root / path).parent for path in ours)}:
        for empty in (folder, *folder.parents[:1]):
            if "gpucheck" in (empty.name, empty.parent.name) and empty.is_relative_to(root):
                with suppress(OSError):  # not empty
                    empty.rmdir()
    return tuple(removed), tuple(kept)


def _list(kind: str, root: Path) -> dict[str, str]:
    """What we wrote: none where there is no list. Raises Failure."""
    file = root / LIST / f"{kind}.json"
    known = {path for _, path, _ in KINDS[kind]}
    try:
        told: Any = json.loads(file.read_text())
        files = {str(path): str(digest) for path, digest in told["files"].items() if path in known}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise Failure(f"{file} cannot be read: {error.strerror}", "as root") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Failure(
            f"{file} is not whole, so what we wrote is not known", f"remove it and {known} by hand"
        ) from error
    return files


def _write(place: Path, text: str, mode: int) -> None:
    """As a whole. A link in its place is replaced, not followed."""
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = place.with_name(f".{place.name}.partial")
    try:
        partial.unlink(missing_ok=True)
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as opened:
            os.fchmod(opened.fileno(), mode)
            opened.write(text)
        partial.replace(place)
    finally:
        partial.unlink(missing_ok=True)


def _digest(place: Path) -> str | None:
    """None where nothing is there; of a link or a folder one that no text has."""
    if place.is_symlink() or place.is_dir():
        return "not a file"
    try:
        return _of(place.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise Failure(f"{place} cannot be read: {error.strerror}", "as root, or into a folder: --root DIR") from error


def _of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
