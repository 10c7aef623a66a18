"""compose/ on a real engine, without a GPU: the README's commands, and JupyterLab behind its token."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gpucheck import containers, recipes

if TYPE_CHECKING:
    from docker import DockerClient

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]
ROOT = Path(__file__).parents[2]
BOOK = recipes.load()
TOKEN = "JUPYTER_TOKEN"  # noqa: S105 - the variable's name
Compose = Callable[..., subprocess.CompletedProcess[str]]


def block(after: str) -> str:
    """The commands in README.md that follow these words."""
    return (ROOT / "compose" / "README.md").read_text().partition(after)[2].split("```")[1].strip()


def test_the_block_without_a_gpu_is_true(
    engine: DockerClient, base: str, docker_config: Mapping[str, str], tmp_path: Path
) -> None:
    containers.build(BOOK["tensorflow-cpu"], base=base, client=engine)
    command = tmp_path / "bin" / "gpucheck"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m gpucheck "$@"\n')
    command.chmod(0o755)
    lines = block("Without a GPU:").replace("--device cpu", "--device cpu --limit 512 --epochs 1").splitlines()
    assert lines.pop(0) == "gpucheck build tensorflow-cpu"  # on another base, above
    script = "\n".join(lines).replace("compose/", f"{ROOT}/compose/")
    env = {**docker_config, "PATH": f"{command.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(["bash", "-ec", script], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "yes: every heavy op ran on the CPU: the placement log" in ran.stdout
    assert "✓ What was observed is the image that was asked for" in ran.stdout
    told = subprocess.run(
        [sys.executable, ROOT / "compose" / "gather.py", "evidence"], cwd=tmp_path, env=env, input="", text=True,
        capture_output=True,
    )  # fmt: skip
    assert (told.returncode, "evidence is not empty" in told.stderr) == (2, True)


@pytest.fixture
def server(engine: DockerClient, base: str, compose: Compose, tmp_path: Path) -> Iterator[str]:
    """The address of notebook.yaml's JupyterLab, on the host's network: a throwaway engine has no bridge."""
    recipe = BOOK["tensorflow-cpu-notebook"]
    containers.build(recipe, base=base, client=engine)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    asked = json.loads(compose(("notebook",), "config", "--format", "json").stdout)
    (start,) = asked["services"]["work"]["command"][2:]
    start = start.replace("--ip=0.0.0.0", f"--ip=127.0.0.1 --port={port} --ServerApp.port_retries=0")
    override = tmp_path / "override.yaml"
    override.write_text(
        "services:\n  work:\n    network_mode: host\n    ports: !reset []\n"
        f"    command: !override {json.dumps(['sh', '-c', start])}\n"
    )
    names = ("notebook", "cpu", override)
    try:
        said = compose(names, "up", "--detach", GPUCHECK_IMAGE=recipe.image_tag, **{TOKEN: "of-the-test"})
        assert said.returncode == 0, said.stderr
        yield f"http://127.0.0.1:{port}"
    finally:
        compose(names, "down", "--volumes", "--timeout", "2")


class Here(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def answer(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.build_opener(Here).open(url, timeout=20) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_the_notebook_opens_to_its_token_alone(server: str, compose: Compose) -> None:
    deadline = time.monotonic() + 90
    while True:
        try:
            assert answer(f"{server}/api/status")[0] == 403
            break
        except urllib.error.URLError:
            assert time.monotonic() < deadline, compose(("notebook",), "logs").stdout
            time.sleep(0.3)
    assert answer(f"{server}/lab")[0] == 302
    assert answer(f"{server}/api/contents?token=another")[0] == 403
    code, contents = answer(f"{server}/api/contents?token=of-the-test")
    assert (code, [row["name"] for row in json.loads(contents)["content"]]) == (200, ["cifar10.ipynb"])
    asked = ("exec", "-T", "work", "sh", "-c", "id -u; touch kept; python -m gpucheck --version")
    said = compose(("notebook",), *asked)
    assert said.stdout.splitlines()[0] == "1000"
    assert said.stdout.splitlines()[1].startswith("gpucheck "), said.stderr
    imported = compose(("notebook",), "exec", "-T", "work", "python", "-c", "import nbclient, seaborn, matplotlib")
    assert imported.returncode == 0, imported.stderr
