"""The GPUs on the progress line: in few words, on a terminal alone."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from gpucheck.cli.glances import glances, words
from gpucheck.sampling import Glance, Watch

GIB = 2**30
SHOWN = """
import os, time
from gpucheck.cli.screen import saying
with saying(lambda: os.write(1, b"asked") and "GPU 0 87 % 6.1 GiB") as say:
    say("train: epoch 2/5, step 352/391, loss 1.168", 0.4)
    time.sleep(0.3)
"""


@pytest.mark.parametrize(
    ("gpus", "told"),
    [
        ([], ""),
        ([Glance(0, 87, int(6.1 * GIB))], "GPU 0 87 % 6.1 GiB"),
        ([Glance(3, None, GIB)], "GPU 3 1.0 GiB"),
        ([Glance(0, 0, None)], "GPU 0 0 %"),
        ([Glance(0, None, None)], "GPU 0"),
        ([Glance(0, 0, 0), Glance(1, 5, GIB), Glance(2, 0, GIB)], "GPU 1 5 % 1.0 GiB, GPU 2 0 % 1.0 GiB, +1"),
    ],
)
def test_in_few_words(gpus: list[Glance], told: str) -> None:
    assert words(gpus) == told


def test_nothing_is_watched_yet() -> None:
    assert glances([]) == glances([Watch(None)]) == ""


def shown(stderr: int) -> str:
    """What the program that shows a line says on stdout: how often it was asked."""
    ran = subprocess.run(
        [sys.executable, "-c", SHOWN], stdout=subprocess.PIPE, stderr=stderr, text=True, check=True,
        cwd=Path(__file__).parents[1], env={**os.environ, "TERM": "xterm", "COLUMNS": "80", "NO_COLOR": "1"},
    )  # fmt: skip
    return ran.stdout


def test_on_a_terminal_they_are_beside_the_progress() -> None:
    ours, theirs = pty.openpty()
    try:
        assert "asked" in shown(theirs)
        seen = os.read(ours, 65536).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    line = next(line for line in seen.splitlines() if "epoch 2/5" in line)
    assert "GPU 0 87 % 6.1 GiB" in line
    assert "step 352" in line


def test_elsewhere_nobody_is_asked() -> None:
    with open(os.devnull, "wb") as nowhere:
        assert shown(nowhere.fileno()) == ""
