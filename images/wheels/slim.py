"""Remove from a virtual environment what training never opens: python3 slim.py VENV [LOCK]

slim.toml, beside it, says what and why that is safe. LOCK names packages that a later layer brings. What was done is in
VENV/share/gpucheck/slimmed.txt, in RECORD's format: "path,," is a file removed, "path,sha256=...,size" one cut.
"""

# ruff: noqa: T201
import base64
import csv
import hashlib
import os
import re
import sys
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from slim_elf import TORN, needed, without_symbols

TABLE = Path(__file__).with_name("slim.toml")
COLUMNS = {"name", "paths", "keep", "of", "symbols", "named_by", "why", "evidence", "mb", "source", "checked"}
Done = dict[str, tuple[str, str]]  # a path in site-packages to RECORD's hash and size; ("", "") is gone


def main() -> int:
    venv, lock = Path(sys.argv[1]), "".join(Path(path).read_text() for path in sys.argv[2:3])
    sites = list(venv.glob("lib/python3*/site-packages"))
    if len(sites) != 1:
        print(f"slim: {venv} is no virtual environment: it has {len(sites)} folders lib/python3*/site-packages")
        return 2
    try:
        rows = read(TABLE.read_text())
    except (OSError, ValueError) as error:
        print(f"slim: slim.toml: {error}")
        return 2
    log = venv / "share/gpucheck/slimmed.txt"
    done = slim(sites[0], rows, lock)
    if log.exists():
        done = {path: (digest, size) for path, digest, size in csv.reader(log.read_text().splitlines())} | done
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows((path, *now) for path, now in sorted(done.items()))
    missed = sorted(set(missing(sites[0], done)))
    for library, name in missed:
        print(f"slim: slim.toml removes {name}, and {library} needs it")
    return 2 if missed else 0


def read(text: str) -> list[dict[str, Any]]:
    """The rows of slim.toml. Raises ValueError where one is not as it must be, or has a path that leaves the folder."""
    rows: list[dict[str, Any]] = tomllib.loads(text).get("row", [])
    for row in rows:
        if row.keys() - COLUMNS or not row.get("name") or not row.get("paths"):
            raise ValueError(f"{row.get('name', 'a row')}: name and paths are needed; known are {sorted(COLUMNS)}")
        for path in (*row["paths"], *row.get("keep", ())):
            if {"", ".", ".."} & set(path.split("/")) or not path.strip("*/"):
                raise ValueError(f"{row['name']}: {path!r} is not a path in site-packages")
    return rows


def slim(site: Path, rows: list[dict[str, Any]], lock: str = "") -> Done:
    """Do what the rows say and print the MB of each; what is different now."""
    done: Done = {}
    total, absent = 0, []
    here = packages(site, lock)
    for row in (row for row in rows if row.get("of") in (None, *here)):
        changed, saved = {}, 0
        for path in matches(row, site):
            size = (site / path).lstat().st_size
            now = cut(site / path) if row.get("symbols") else remove(site / path)
            if now is not None:
                changed[path] = now
                saved += size - int(now[1] or 0)
        if changed:
            print(f"{saved / 1e6:8.1f} MB  {row['name']}")
        else:
            absent.append(row["name"])
        done |= changed
        total += saved
    print(f"{total / 1e6:8.1f} MB  in all" + (f"; nothing here: {', '.join(absent)}" if absent else ""))
    for folder in sorted({folder for path in done for folder in Path(path).parents[:-1]}, reverse=True):
        if (site / folder).is_dir() and not any((site / folder).iterdir()):
            (site / folder).rmdir()
    return done


def packages(site: Path, lock: str = "") -> set[str]:
    """The names of what is installed, and of what the lock names."""
    names = re.findall(r"^([\w.-]+)(?:\[.*?\])?==", lock, re.MULTILINE)
    names += [folder.name.split("-")[0] for folder in site.glob("*.dist-info")]
    return {re.sub(r"[-_.]+", "-", name).lower() for name in names}


def inside(site: Path) -> Iterator[str]:
    """The paths of all files and links in it; no link is followed."""
    for folder, folders, files in os.walk(site):
        for name in (*files, *(name for name in folders if os.path.islink(os.path.join(folder, name)))):
            yield os.path.relpath(os.path.join(folder, name), site)


def matches(row: dict[str, Any], site: Path) -> list[str]:
    """What the row's paths name, with all that is in a folder, less what `keep` names; and the bytecode of each."""

    def pattern(paths: list[str]) -> re.Pattern[str]:
        parts = (re.escape(path).replace(r"\*\*/", "(?:[^/]+/)*").replace(r"\*", "[^/]*") for path in paths)
        return re.compile(f"(?:{'|'.join(parts)})(?:/.*)?")

    wanted, kept = pattern(row["paths"]), pattern(row.get("keep", ["/"]))
    paths = sorted(inside(site))
    found = {path for path in paths if wanted.fullmatch(path) and not kept.fullmatch(path)}
    source = re.compile(r"(.*/)?__pycache__/([^/]+)\.[^./]+(?:\.opt-\d)?\.pyc")
    made = ((path, source.fullmatch(path)) for path in paths)
    return sorted(found | {path for path, of in made if of and f"{of[1] or ''}{of[2]}.py" in found})


def remove(path: Path) -> tuple[str, str]:
    path.unlink()
    return "", ""


def cut(path: Path) -> tuple[str, str] | None:
    """Take off a library what only debuggers read; None where there is nothing of the kind."""
    new = None
    if not path.is_symlink():
        with suppress(*TORN):
            new = without_symbols(path.read_bytes())
    if new is None:
        return None
    whole = path.with_name(f"{path.name}.slim")
    whole.write_bytes(new)
    whole.chmod(path.stat().st_mode)
    whole.replace(path)
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(new).digest()).decode().rstrip("="), str(len(new))


def missing(site: Path, done: Done) -> Iterator[tuple[str, str]]:
    """Each library that stays with the name of one that it needs and that is removed everywhere."""
    there = list(inside(site))
    gone = {Path(path).name for path, (digest, _) in done.items() if not digest} - {Path(path).name for path in there}
    for path in there:
        if ".so" in Path(path).name and not (site / path).is_symlink():
            with suppress(*TORN):
                yield from ((path, name) for name in needed((site / path).read_bytes()) if name in gone)


if __name__ == "__main__":
    sys.exit(main())
