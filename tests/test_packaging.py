"""The wheel is whole: built, unpacked elsewhere and run, it finds its images and payloads."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from gpucheck import extras

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", out], cwd=ROOT, check=True,
                   capture_output=True)  # fmt: skip
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(out / "site")
    return out / "site"


def gpucheck(unpacked: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gpucheck", *arguments], cwd="/", env={**os.environ, "PYTHONPATH": str(unpacked)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_what_ships(unpacked: Path) -> None:
    names = {str(path.relative_to(unpacked)) for path in unpacked.rglob("*")}
    for needed in ("images/recipes.toml", "images/wheels/Dockerfile", "payloads/tensorflow.py", "py.typed",
                   "data/report.schema.json", "images/locks/tensorflow-cpu.txt",
                   "images/locks/tensorflow-cpu.txt.cdx.json", "records.py", "render/page/page.html.j2",
                   "render/page/style.css", "compose/verify.yaml", "compose/gather.py",
                   "compose/notebook/cifar10.ipynb", "compose/monitor/dashboard.json", "data/rentals.toml",
                   "data/cloud_init/first-boot.sh", "data/targets/aws/main.tf"):  # fmt: skip
        assert f"gpucheck/{needed}" in names
    assert not [name for name in names if "tests/" in name or name.endswith(".pyc")]


def test_it_runs_from_there(unpacked: Path) -> None:
    where = subprocess.run(
        [sys.executable, "-c", "import gpucheck.recipes as r; print(r.IMAGES)"], cwd="/", text=True,
        env={**os.environ, "PYTHONPATH": str(unpacked)}, capture_output=True, check=True,
    ).stdout  # fmt: skip
    assert Path(where.strip()) == unpacked / "gpucheck" / "images"
    listed = gpucheck(unpacked, "build", "--list")
    assert listed.returncode == 0, listed.stderr
    assert "tensorflow-cuda12" in listed.stdout
    assert gpucheck(unpacked, "--version").stdout.startswith("gpucheck ")


def test_the_extras_are_pyprojects() -> None:
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    names = {extra: tuple(re.split("[<>=]", each)[0] for each in told[extra]) for extra in extras.EXTRAS}
    assert names == extras.EXTRAS
