"""Every CPU recipe whose wheels the package index has, really built, and the training in it verified."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.recipes import verdict
from gpucheck import containers, recipes, reports
from gpucheck.facts import World
from gpucheck.model import Status
from gpucheck.refusals import BuildFailed

ROOT = Path(__file__).parents[2]

BOOK = recipes.load()
# tests/docker/test_verify.py has TensorFlow's; notebooks add JupyterLab to these.
NAMES = [n for n, r in BOOK.items() if r.device == "cpu" and r.variant is None and n != "tensorflow-cpu"]

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_trains_on_the_cpu(base: str, name: str) -> None:
    try:
        containers.build(BOOK[name], base=base)
    except BuildFailed as failed:
        if BOOK[name].hint is None or failed.tip != BOOK[name].hint:
            raise
        pytest.skip(f"not run: {failed}")
    said = verdict(name, ["--base", base])
    assert said.startswith("yes: every heavy op ran on the CPU"), said


@pytest.mark.usefixtures("engine")
def test_two_containers_train_together(base: str, tmp_path: Path) -> None:
    """Each is a node of one world, on this machine's own network; what is left afterwards is two reports."""
    hosts = "127.0.0.1,127.0.0.2:29417"
    command = (
        sys.executable, "-m", "gpucheck", "verify", "--framework", "jax", "--device", "cpu", "--on", "docker",
        "--base", base, "--limit", "128", "--epochs", "1", "--format", "json",
    )  # fmt: skip
    containers.build(BOOK["jax-cpu"], base=base)
    with (tmp_path / "0").open("wb") as first, (tmp_path / "1").open("wb") as second:
        nodes = [
            subprocess.Popen((*command, "--world", f"{node}@{hosts}"), stdout=file, cwd=ROOT)
            for node, file in enumerate((first, second))
        ]
        assert [node.wait() for node in nodes] == [0, 0]
    for node in (0, 1):
        report = reports.of_bytes((tmp_path / str(node)).read_bytes(), str(node))
        told = {finding.rule: finding for finding in report.findings if finding.rule.startswith("world.")}
        assert {finding.status for finding in told.values()} == {Status.PASS}
        assert report.facts.known[World].node == node
        assert "2 ranks on 2 nodes" in told["world.ranks-met"].message
