"""`gpucheck prove --image`: a command of the user's in a container, with the hook in its Python."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gpucheck.witnesses import command

if TYPE_CHECKING:
    from docker import DockerClient

Left = Callable[[], list[Any]]
pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]


def test_a_command_in_an_image(left: Left, base: str, tmp_path: Path) -> None:
    folder, evidence = tmp_path / "with", tmp_path / "evidence"
    folder.mkdir()
    (folder / "data.txt").write_text("some data")
    (folder / "jax.py").write_text("__version__ = '0.0'")
    (folder / "main.py").write_text("import jax, os, sys\nprint(open('data.txt').read(), os.getcwd())\nsys.exit(4)\n")
    options = ["--image", base, "--with", str(folder), "--keep", str(evidence)]
    ran = subprocess.run(
        [sys.executable, "-m", "gpucheck", "prove", *options, "--", "python3", "main.py"],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert (ran.returncode, ran.stdout) == (4, "some data /opt/gpucheck/with\n"), ran.stderr
    run = command.look_run(evidence)
    assert (run.where, run.exit_code, run.image_ran) == ("container", 4, run.image_asked)
    assert [process.frameworks for process in run.processes] == [("jax 0.0",)]
    assert left() == []


def test_no_such_image(engine: DockerClient) -> None:  # noqa: ARG001
    ran = subprocess.run(
        [sys.executable, "-m", "gpucheck", "prove", "--image", "gpucheck/no-such-image:1", "--", "true"],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert ran.returncode in (2, 3)
    assert ran.stdout == ""
