"""A program for the inside of an image: are the files of a virtual environment as the RECORDs of its packages say?

    python3 -I -S records.py VENV SHARE FILE

It compares each file with its RECORD, or with VENV/share/gpucheck/slimmed.txt where that says that the file was cut or
removed on purpose, and writes what it found to FILE as JSON; SHARE is a folder whose files' sha256 it tells. It judges
nothing, and imports nothing but the standard library.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

STRONG = ("sha256", "sha384", "sha512")


def main() -> int:
    venv, share, out = map(Path, sys.argv[1:])
    sites = sorted(venv.glob("lib/python3*/site-packages"))
    if len(sites) != 1:
        print(f"{venv} is no virtual environment: it has {len(sites)} folders lib/python3*/site-packages")  # noqa: T201
        return 2
    shipped = {path.name: _digest(path, "sha256")[1].hex() for path in sorted(share.glob("*")) if path.is_file()}
    out.write_text(json.dumps({**examine(sites[0], venv), "environment": environment(), "shipped": shipped}))
    return 0


def examine(site: Path, venv: Path) -> dict[str, Any]:
    """What is installed there. Paths are relative to `site`."""
    found: dict[str, Any] = {"distributions": [], "files": 0, "bytecode": 0}
    lists: dict[str, list[str]] = {
        key: [] for key in ("without_record", "changed", "missing", "unreadable", "unhashed", "unowned")
    }
    slimmed = {path: (digest, size) for path, digest, size in _rows(venv / "share" / "gpucheck" / "slimmed.txt")}
    owned = set()
    for folder in sorted(site.glob("*.dist-info")):
        found["distributions"].append(_distribution(folder))
        if not (folder / "RECORD").is_file():
            lists["without_record"].append(folder.name)
            continue
        for path, digest, size in _rows(folder / "RECORD"):
            owned.add(os.path.normpath(path))
            mine = path == f"{folder.name}/RECORD"
            if path.endswith(".pyc") and not digest:
                found["bytecode"] += 1
            elif kind := _compare(site / path, *slimmed.get(path, (digest, size)), gone=path in slimmed, bare=mine):
                lists[kind].append(path)
            found["files"] += 1
    for path in _inside(site):
        if path in owned:
            continue
        if _source(path) in owned:
            found["bytecode"] += 1
        else:
            lists["unowned"].append(path)
    return {**found, **{key: sorted(paths) for key, paths in lists.items()}}


def environment() -> dict[str, str]:
    """The variables of markers (PEP 508), as packaging.markers.default_environment has them."""
    version = platform.python_version()
    return {
        "implementation_name": sys.implementation.name, "implementation_version": version, "os_name": os.name,
        "platform_machine": platform.machine(), "platform_release": platform.release(),
        "platform_system": platform.system(), "platform_version": platform.version(),
        "python_full_version": version, "platform_python_implementation": platform.python_implementation(),
        "python_version": ".".join(platform.python_version_tuple()[:2]), "sys_platform": sys.platform,
    }  # fmt: skip


def _distribution(folder: Path) -> dict[str, str]:
    """Its name and version: by its METADATA, or else by the folder's own name."""
    name, _, version = folder.name[: -len(".dist-info")].partition("-")
    told = {"name": name, "version": version}
    try:
        lines = (folder / "METADATA").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return told
    for line in lines[: lines.index("") if "" in lines else None]:  # the head ends at the first empty line
        key, _, value = line.partition(":")
        if key.lower() in told:
            told[key.lower()] = value.strip()
    return told


def _compare(path: Path, want: str, size: str, *, gone: bool, bare: bool) -> str | None:
    """What is wrong with a file; None where nothing is. It may be `gone`, or `bare`: without a hash."""
    algorithm, _, digest = want.partition("=")
    try:
        if algorithm not in STRONG:
            if not os.path.lexists(path):
                return None if gone else "missing"
            return None if gone or bare else "unhashed"
        length, actual = _digest(path, algorithm)
    except (FileNotFoundError, NotADirectoryError):
        return "missing"
    except OSError:
        return "unreadable"
    same = base64.urlsafe_b64encode(actual).decode().rstrip("=") == digest and size in ("", str(length))
    return None if same else "changed"


def _digest(path: Path, algorithm: str) -> tuple[int, bytes]:
    whole, length = hashlib.new(algorithm), 0
    with path.open("rb") as file:
        while chunk := file.read(2**20):
            whole.update(chunk)
            length += len(chunk)
    return length, whole.digest()


def _rows(path: Path) -> list[tuple[str, str, str]]:
    """The lines of a RECORD; none where there is no such file. What is not of three columns is filled up."""
    try:
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            rows = ([*row, "", ""] for row in csv.reader(file) if row)
            return [(path, digest, size) for path, digest, size, *_ in rows]
    except FileNotFoundError:
        return []


def _inside(site: Path) -> list[str]:
    """All files and links in it; no link is followed."""
    found = []
    for folder, folders, files in os.walk(site):
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        found += [os.path.relpath(os.path.join(folder, name), site) for name in (*files, *links)]
    return sorted(found)


def _source(path: str) -> str | None:
    """What the bytecode of a __pycache__ was made of; None for any other file."""
    folder, name = os.path.split(path)
    if os.path.basename(folder) != "__pycache__" or not name.endswith(".pyc"):
        return None
    return os.path.join(os.path.dirname(folder), f"{name.split('.')[0]}.py")


if __name__ == "__main__":
    sys.exit(main())
