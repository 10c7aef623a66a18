"""compose/notebook/cifar10.ipynb, executed from the import to the proof, with few images and on the CPU."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "compose" / "notebook" / "cifar10.ipynb"
RUN = "import sys; from nbclient.cli import main; sys.argv[1:] = ['--inplace', 'cifar10.ipynb']; main()"


def images(folder: Path) -> None:
    """CIFAR-10's six files with few images, of one grey for each class."""
    folder.mkdir()
    random = np.random.default_rng(0)
    for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
        labels = random.integers(0, 10, 80).astype(np.uint8)
        planes = np.repeat((labels * 25)[:, None], 3072, axis=1)
        np.hstack([labels[:, None], planes]).tofile(folder / f"{name}.bin")


def shown(cell: dict[str, Any]) -> str:
    """All text that a cell put out."""
    texts = [out.get("text") or out.get("data", {}).get("text/plain", "") for out in cell["outputs"]]
    return "\n".join("".join(text) for text in texts)


@pytest.mark.tensorflow
@pytest.mark.timeout(600)
def test_it_trains_and_says_where(tensorflow_python: str, tmp_path: Path) -> None:
    shutil.copy(NOTEBOOK, tmp_path)
    images(tmp_path / "few")
    beside = os.pathsep.join([str(ROOT), sysconfig.get_path("purelib")])  # gpucheck; nbclient, matplotlib and seaborn
    env = {
        **os.environ, "PATH": f"{Path(tensorflow_python).parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": beside,
        "GPUCHECK_CIFAR10": str(tmp_path / "few"), "GPUCHECK_EPOCHS": "2", "GPUCHECK_LIMIT": "320",
    }  # fmt: skip
    ran = subprocess.run([tensorflow_python, "-c", RUN], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    cells = json.loads((tmp_path / NOTEBOOK.name).read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    said = "\n".join(map(shown, code))
    assert "320 images to train on and 80 to test with" in said
    accuracy, f1 = re.search(r"accuracy (\d\.\d+), among .* mean F1 (\d\.\d+)", said).groups()  # type: ignore[union-attr]
    assert 0 <= float(accuracy) <= 1
    assert 0 <= float(f1) <= 1
    assert re.search(r"precision +recall +F1 +images\nairplane +\d", said)
    assert sum("image/png" in out.get("data", {}) for cell in code for out in cell["outputs"]) == 3
    proof = shown(code[-1])
    seen = re.search(
        r"^(?:no|yes): .*the placement log: (\d+) heavy ops of \d+ kinds on ([CG]PU):0", proof, re.MULTILINE
    )
    assert seen, proof
    assert "✓ What the framework says of its placement was there and read whole" in proof
    if not Path("/proc/driver/nvidia").exists():
        assert proof.splitlines()[1].startswith("no: 0 of its heavy ops ran on a GPU"), proof
        assert seen[2] == "CPU"


def test_it_is_stored_without_outputs() -> None:
    cells: list[dict[str, Any]] = json.loads(NOTEBOOK.read_text())["cells"]
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in cells)
    assert len({cell["id"] for cell in cells}) == len(cells)


def test_it_prepares_the_image_with_all_that_it_imports(recipe_names: Callable[[str], set[str]]) -> None:
    source = "\n".join("".join(cell["source"]) for cell in json.loads(NOTEBOOK.read_text())["cells"])
    wanted = set(re.findall(r"^import (matplotlib|numpy|pandas|seaborn|tensorflow)", source, re.MULTILINE))
    assert wanted == {"matplotlib", "numpy", "pandas", "seaborn", "tensorflow"}
    assert wanted | {"nbclient", "typer", "rich", "pyyaml"} <= recipe_names("tensorflow-cuda12-notebook")


@pytest.fixture
def recipe_names() -> Callable[[str], set[str]]:
    """A function (recipe) to the names of what its lock installs."""
    from gpucheck import locks, recipes

    def names(name: str) -> set[str]:
        recipe = recipes.load()[name]
        return set(locks.installs_on_linux(locks.read(recipe.lock_path.read_text()), recipe.python))

    return names
