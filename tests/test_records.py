"""records.py on small environments: what it says of each file. Nobody imports it; images run it."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import default_environment

from gpucheck import codec, installed

PROGRAM = Path(installed.__file__).with_name("records.py")
Look = Callable[[], installed.Records]


def digest(content: bytes) -> str:
    return f"sha256={base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip('=')},{len(content)}"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """site-packages with one package, as a wheel leaves it."""
    site = tmp_path / "venv" / "lib" / "python3.12" / "site-packages"
    files = {
        "alpha/__init__.py": b"one = 1\n",
        "alpha/data.bin": b"\0" * 10,
        "../../../bin/alpha": b"#!/bin/sh\n",
        "Alpha_One-1.0.dist-info/METADATA": b"Metadata-Version: 2.4\nName: Alpha.One\nVersion: 1.0\n\nName: no\n",
    }
    for path, content in files.items():
        (site / path).resolve().parent.mkdir(parents=True, exist_ok=True)
        (site / path).resolve().write_bytes(content)
    (site / "alpha/__pycache__").mkdir()
    for name in ("__init__.cpython-312.pyc", "__init__.cpython-312.opt-1.pyc"):
        (site / "alpha/__pycache__" / name).write_bytes(b"code")
    rows = [f"{path},{digest(content)}" for path, content in files.items()]
    rows += ["alpha/__pycache__/__init__.cpython-312.pyc,,", "Alpha_One-1.0.dist-info/RECORD,,"]
    (site / "Alpha_One-1.0.dist-info/RECORD").write_text("\n".join(rows) + "\n")
    return site


@pytest.fixture
def look(site: Path, tmp_path: Path) -> Look:
    def run() -> installed.Records:
        (tmp_path / "share").mkdir(exist_ok=True)
        out = tmp_path / "out.json"
        words = [sys.executable, "-I", "-S", *map(str, (PROGRAM, site.parents[2], tmp_path / "share", out))]
        subprocess.run(words, check=True)
        return codec.load(installed.Records, json.loads(out.read_text()))

    return run


def wrong(records: installed.Records) -> dict[str, Any]:
    kinds = ("without_record", "changed", "missing", "unreadable", "unhashed", "unowned")
    return {kind: list(paths) for kind in kinds if (paths := getattr(records, kind))}


def slimmed(site: Path, text: str) -> None:
    (site.parents[2] / "share/gpucheck").mkdir(parents=True)
    (site.parents[2] / "share/gpucheck/slimmed.txt").write_text(text)


def test_a_whole_environment_has_nothing_wrong(look: Look, tmp_path: Path) -> None:
    (tmp_path / "share").mkdir()
    (tmp_path / "share" / "lock.txt").write_text("a==1\n")
    records = look()
    assert wrong(records) == {}
    assert [(one.name, one.version) for one in records.distributions] == [("Alpha.One", "1.0")]
    assert (records.files, records.bytecode) == (6, 2)
    assert records.shipped == {"lock.txt": hashlib.sha256(b"a==1\n").hexdigest()}
    assert records.environment == default_environment()


@pytest.mark.parametrize("path", ["alpha/data.bin", "../../../bin/alpha"])
def test_a_changed_file_and_a_missing_one(site: Path, look: Look, path: str) -> None:
    content = (site / path).read_bytes()
    (site / path).write_bytes(bytes([content[0] ^ 1]) + content[1:])
    assert wrong(look()) == {"changed": [path]}
    (site / path).unlink()
    assert wrong(look()) == {"missing": [path]}


def test_what_no_package_brought(site: Path, look: Look) -> None:
    (site / "evil.pth").write_text("import this\n")
    (site / "alpha/__pycache__/gone.cpython-312.pyc").write_bytes(b"code")
    (site / "alpha/linked").symlink_to(site.parent)
    assert wrong(look()) == {"unowned": ["alpha/__pycache__/gone.cpython-312.pyc", "alpha/linked", "evil.pth"]}


def test_a_package_that_tells_less(site: Path, look: Look) -> None:
    record = site / "Alpha_One-1.0.dist-info/RECORD"
    record.write_text(record.read_text().replace(f"alpha/data.bin,{digest(bytes(10))}", "alpha/data.bin,,"))
    (site / "beta-2.dist-info").mkdir()
    records = look()
    assert wrong(records) == {"unhashed": ["alpha/data.bin"], "without_record": ["beta-2.dist-info"]}
    assert {one.name: one.version for one in records.distributions} == {"Alpha.One": "1.0", "beta": "2"}


def test_what_the_diet_removed_or_cut_is_no_fault(site: Path, look: Look) -> None:
    (site / "alpha/__init__.py").unlink()
    for bytecode in (site / "alpha/__pycache__").iterdir():
        bytecode.unlink()
    (site / "alpha/data.bin").write_bytes(b"cut")
    slimmed(
        site, f"alpha/__init__.py,,\nalpha/__pycache__/__init__.cpython-312.pyc,,\nalpha/data.bin,{digest(b'cut')}\n"
    )
    assert wrong(look()) == {}
    (site / "alpha/data.bin").write_bytes(b"cut more")
    assert wrong(look()) == {"changed": ["alpha/data.bin"]}


def test_what_is_no_environment_is_told(tmp_path: Path) -> None:
    words = [sys.executable, str(PROGRAM), str(tmp_path), str(tmp_path), str(tmp_path / "out")]
    ended = subprocess.run(words, capture_output=True, text=True)
    assert ended.returncode == 2
    assert "no virtual environment" in ended.stdout
