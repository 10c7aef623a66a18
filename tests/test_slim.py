"""The diet: slim.py on made-up trees and on real libraries, and slim.toml's table in docs/diet.md."""

from __future__ import annotations

import csv
import importlib.util
import re
import shutil
import struct
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from gpucheck.recipes import IMAGES, load

WHEELS = IMAGES / "wheels"
DOCS = Path(__file__).parents[1] / "docs" / "diet.md"
BEGIN, END = "<!-- slim.toml: begin -->\n", "<!-- slim.toml: end -->\n"
RECIPES = ("tensorflow-cuda12", "jax-cuda13", "pytorch-cuda13")


@pytest.fixture
def slim(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(WHEELS))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    specification = importlib.util.spec_from_file_location("slim", WHEELS / "slim.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A tree of a few files, in an environment."""
    folder = tmp_path / "venv/lib/python3.12/site-packages"
    for name in (
        "big/include/a.h", "big/include/deep/b.h", "big/lib.so", "big/core.py", "big/__pycache__/core.cpython-312.pyc",
        "big/sub/tests/test_one.py", "big/sub/tests/__pycache__/test_one.cpython-312.pyc", "big/tests.py", "big/old.py",
        "big/__pycache__/old.cpython-312.pyc", "big/__pycache__/older.cpython-312.pyc", "other/tests/test_two.py",
        "Big_One-1.0.dist-info/RECORD",
    ):  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x" * 1000)
    return folder


def left(site: Path) -> set[str]:
    return {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()}


def run(site: Path, table: str, *more: str) -> subprocess.CompletedProcess[str]:
    """slim.py as the Dockerfile runs it, with a table of the test's."""
    folder = site.parents[3] / "wheels"
    folder.mkdir(exist_ok=True)
    for name in ("slim.py", "slim_elf.py"):
        shutil.copy(WHEELS / name, folder)
    (folder / "slim.toml").write_text(table)
    command = [sys.executable, str(folder / "slim.py"), str(site.parents[2]), *more]
    return subprocess.run(command, capture_output=True, text=True)


def listed(site: Path) -> dict[str, tuple[str, str]]:
    rows = csv.reader((site.parents[2] / "share/gpucheck/slimmed.txt").read_text().splitlines())
    return {path: (digest, size) for path, digest, size in rows}


def test_it_removes_the_rows_and_nothing_else(site: Path) -> None:
    before = left(site)
    table = """
[[row]]
name = "headers"
paths = ["big/include"]
[[row]]
name = "tests"
paths = ["big/**/tests", "big/o*.py"]
keep = ["big/older.py"]
[[row]]
name = "what is not there"
paths = ["nowhere/*.a"]
"""
    ran = run(site, table)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    gone = {
        "big/include/a.h", "big/include/deep/b.h", "big/sub/tests/test_one.py", "big/old.py",
        "big/sub/tests/__pycache__/test_one.cpython-312.pyc", "big/__pycache__/old.cpython-312.pyc",
    }  # fmt: skip
    assert before - left(site) == gone
    assert not (site / "big/include").exists()
    assert not (site / "big/sub").exists()
    assert listed(site) == dict.fromkeys(gone, ("", ""))
    assert "what is not there" in ran.stdout
    again = run(site, table)
    assert again.returncode == 0
    assert set(listed(site)) == gone


def test_a_row_of_one_package(site: Path) -> None:
    table = '[[row]]\nname = "headers"\nof = "{}"\npaths = ["big/include"]\n'
    run(site, table.format("absent"))
    assert "big/include/a.h" in left(site)
    lock = site.parents[3] / "names.txt"
    lock.write_text("absent==\n")
    run(site, table.format("absent"), str(lock))
    assert "big/include/a.h" not in left(site)
    run(site, table.format("big-one").replace("big/include", "big/lib.so"))
    assert "big/lib.so" not in left(site)


@pytest.mark.parametrize("path", ["../outside", "/etc", "big/../../outside", "*", "**", "", "big//lib.so", "./big"])
def test_no_path_leaves_the_tree(site: Path, path: str) -> None:
    before = left(site)
    ran = run(site, f'[[row]]\nname = "wrong"\npaths = ["{path}"]\n')
    assert ran.returncode == 2
    assert "Traceback" not in ran.stderr
    assert left(site) == before


def test_no_link_is_followed(site: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept.h").write_text("kept")
    (site / "big/include/away").symlink_to(outside)
    (site / "big/file.h").symlink_to(outside / "kept.h")
    (site / "away").symlink_to(outside)
    ran = run(site, '[[row]]\nname = "all"\npaths = ["big/include", "big/file.h", "away/*.h", "**/kept.h"]\n')
    assert ran.returncode == 0
    assert (outside / "kept.h").read_text() == "kept"
    assert not (site / "big/file.h").is_symlink()
    assert (site / "away").is_symlink()
    assert listed(site)["big/include/away"] == ("", "")


def test_what_is_no_environment(tmp_path: Path) -> None:
    ran = subprocess.run([sys.executable, str(WHEELS / "slim.py"), str(tmp_path)], capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (2, "")


def compiled(folder: Path, name: str, *options: str) -> Path:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler (cc), so no library was cut")
    source = folder / f"{name}.c"
    source.write_text(
        f"static int hidden_{name}(int a) {{ return a + 1; }}\nint {name}(int a) {{ return hidden_{name}(a); }}\n"
    )
    library = folder / f"lib{name}.so"
    named = f"-Wl,-soname,lib{name}.so"
    subprocess.run(
        ["cc", "-O0", "-g", "-shared", "-fPIC", named, "-o", str(library), str(source), *options], check=True
    )
    return library


def mapped(library: bytes) -> list[tuple[Any, ...]]:
    """All that the loader reads: each segment's kind, rights, address, sizes and content, less the tables' places."""
    at, count = struct.unpack_from("<Q", library, 32)[0], struct.unpack_from("<H", library, 56)[0]
    found = []
    for number in range(count):
        kind, rights, offset, address, _, size, memory, page = struct.unpack_from(
            "<IIQQQQQQ", library, at + number * 56
        )
        content = bytearray(library[offset : offset + size])
        for start, end in ((40, 48), (32, 40), (at, at + count * 56)):
            if offset <= start and end <= offset + size:
                content[start - offset : end - offset] = bytes(end - start)
        if kind == 1:
            assert offset % page == address % page
        found.append((kind, rights, address, size, memory, page, bytes(content)))
    return found


def test_a_cut_library_is_the_same_to_the_loader(site: Path, tmp_path: Path) -> None:
    library = site / "big/lib.so"
    shutil.copy(compiled(tmp_path, "one"), library)
    library.chmod(0o755)
    before = library.read_bytes()
    assert b"hidden_one" in before
    ran = run(site, '[[row]]\nname = "symbols"\nsymbols = true\npaths = ["big/**/*.so"]\n')
    after = library.read_bytes()
    assert ran.returncode == 0, ran.stdout
    assert b"hidden_one" not in after
    assert len(after) < len(before)
    assert mapped(before) == mapped(after)
    assert library.stat().st_mode & 0o777 == 0o755
    call = [sys.executable, "-c", "import ctypes, sys; print(ctypes.CDLL(sys.argv[1]).one(41))", str(library)]
    assert subprocess.run(call, capture_output=True, text=True).stdout == "42\n"
    assert listed(site) == {"big/lib.so": (digest(library), str(len(after)))}
    run(site, '[[row]]\nname = "symbols"\nsymbols = true\npaths = ["big/**/*.so"]\n')
    assert library.read_bytes() == after


def digest(path: Path) -> str:
    import base64
    import hashlib

    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).decode().rstrip("=")


def test_the_libraries_of_a_wheel(slim: ModuleType, tmp_path: Path) -> None:
    """numpy's: patchelf has put parts of some of them behind the symbols, as it has PyTorch's."""
    if sys.platform != "linux":
        pytest.skip("no ELF libraries here")
    folder = Path(np.__file__).parents[1]
    cut = []
    for original in sorted([*folder.glob("numpy.libs/*.so*"), *folder.glob("numpy/**/*.so")]):
        copy = tmp_path / original.name
        shutil.copy(original, copy)
        if slim.cut(copy) is not None:
            assert mapped(original.read_bytes()) == mapped(copy.read_bytes()), original.name
            cut.append(original.name)
    assert cut


def test_what_a_library_that_stays_needs_is_not_removed_silently(site: Path, tmp_path: Path) -> None:
    first = compiled(tmp_path, "one")
    shutil.copy(compiled(tmp_path, "two", "-Wl,--no-as-needed", str(first)), site / "big/libtwo.so")
    shutil.copy(first, site / "other/libone.so")
    table = '[[row]]\nname = "one"\npaths = ["other/libone.so"]\n'
    ran = run(site, table)
    assert ran.returncode == 2
    assert "removes libone.so, and big/libtwo.so needs it" in ran.stdout
    (site / "big/libtwo.so").unlink()
    assert run(site, table).returncode == 0


@pytest.mark.parametrize("junk", [b"", b"\x7fELF", b"\x7fELF\2\1" + bytes(10), b"\x7fELF\2\1" + b"\xff" * 200])
def test_a_file_that_is_no_whole_library_stays(slim: ModuleType, tmp_path: Path, junk: bytes) -> None:
    path = tmp_path / "lib.so"
    path.write_bytes(junk)
    assert slim.cut(path) is None
    assert path.read_bytes() == junk


def rows(slim: ModuleType) -> list[dict[str, Any]]:
    read: list[dict[str, Any]] = slim.read((WHEELS / "slim.toml").read_text())
    return read


def test_every_row_says_why_and_where_that_is_from(slim: ModuleType) -> None:
    names = [row["name"] for row in rows(slim)]
    assert len(set(names)) == len(names)
    for row in rows(slim):
        assert {"why", "evidence", "source", "checked", "mb"} <= row.keys(), row["name"]
        assert row["mb"].keys() <= load().keys(), row["name"]


def test_the_table_was_traced_with_what_the_locks_hold() -> None:
    """Another version may open other files: `scripts/trace-image` says so, and then it belongs into `traced`."""
    wanted = re.compile(
        r"^((?:tensorflow|tensorflow-cpu|torch|triton|jaxlib|xgboost|xgboost-cpu)==[^\s;]+)", re.MULTILINE
    )
    held = {found for lock in (IMAGES / "locks").glob("*.txt") for found in wanted.findall(lock.read_text())}
    traced = set(tomllib.loads((WHEELS / "slim.toml").read_text())["traced"])
    assert held
    assert not held - traced, "run scripts/trace-image in an environment of the lock that holds it"


def test_the_docs_show_the_table(slim: ModuleType, request: pytest.FixtureRequest) -> None:
    lines = [
        f"| what | {' | '.join(RECIPES)} | why it is safe | how one sees it |",
        f"|---|{'--:|' * len(RECIPES)}---|---|",
    ]
    total = dict.fromkeys(RECIPES, 0.0)
    for row in rows(slim):
        numbers = [row["mb"].get(recipe, 0.0) for recipe in RECIPES]
        total = {recipe: total[recipe] + number for recipe, number in zip(RECIPES, numbers, strict=True)}
        paths = ", ".join(f"`{path}`" for path in row["paths"])
        shown = " | ".join(f"{number:.0f}" if number else "" for number in numbers)
        lines.append(f"| {row['name']}: {paths} | {shown} | {row['why']} | {row['evidence']} |")
    lines.append(f"| **all, MB** | {' | '.join(f'**{number:.0f}**' for number in total.values())} | | |")
    table = "".join(f"{line}\n" for line in lines)
    text = DOCS.read_text()
    head, tail = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
    if request.config.getoption("--update"):
        DOCS.write_text(head + table + tail)
    assert head + table + tail == DOCS.read_text()
