"""Every CPU recipe whose wheels the package index has, really built, and the training in it verified."""

from __future__ import annotations

import pytest

from bench.recipes import verdict
from gpucheck import containers, recipes
from gpucheck.refusals import BuildFailed

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
