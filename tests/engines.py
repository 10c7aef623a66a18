"""Real engines, each asked the same: a run with evidence, GPUs by CDI, a build without a network, a limit, Ctrl-C, and
that nothing stays. `scripts/test-engines` runs it; it is no part of the test suite, as it installs a Debian of its own.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from gpucheck import containers, podman, recipes
from gpucheck.model import Failure
from tests.fakenvml import build as fakenvml

ROOT = Path(__file__).parents[1]
HOME = Path("/var/tmp/gpucheck-engines")  # noqa: S108 - a unix socket's path must be short
BASE = "gpucheck/base:bookworm"
SLEEP = "sleep 6161"  # seconds: to be found by
LIBRARY = "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1"
ASK = (
    "import ctypes, os; nvml = ctypes.CDLL('libnvidia-ml.so.1'); "
    "print('nvmlInit', nvml.nvmlInitWithFlags(0), os.path.exists('/dev/nvidia0'))"
)
SPEC = """cdiVersion: 0.6.0
kind: nvidia.com/gpu
devices:
  - name: "0"
    containerEdits: {{deviceNodes: [{{path: /dev/nvidia0, hostPath: /dev/null}}]}}
  - name: all
    containerEdits: {{deviceNodes: [{{path: /dev/nvidia0, hostPath: /dev/null}}]}}
containerEdits:
  env: [NVIDIA_VISIBLE_DEVICES=void, FAKE_NVML_PROFILE=/opt/machine]
  mounts:
    - {{hostPath: {machine}, containerPath: /opt/machine, options: [ro, nosuid, nodev, bind]}}
    - {{hostPath: {library}, containerPath: {inside}, options: [ro, nosuid, nodev, bind]}}
"""
GPU = "nvmlInit 0 True"


def run(engine: containers.Engine) -> str:
    with tempfile.TemporaryDirectory() as folder:
        command = ["sh", "-c", "ls /sys/class/net; id -u; echo seen > /evidence/file"]
        said: list[str] = []
        ran = containers.run(
            BASE, command, gpus=False, collect={"/evidence": Path(folder)}, say=lambda line, _: said.append(line),
            client=engine,
        )  # fmt: skip
        return f"{ran.exit_code} {' '.join(said)} {Path(folder, 'file').read_text().strip()}"


def gpus(engine: containers.Engine) -> str:
    said: list[str] = []
    containers.run(BASE, ["python3", "-c", ASK], gpus=True, say=lambda line, _: said.append(line), client=engine)
    return " ".join(said)


def limit(engine: containers.Engine) -> str:
    containers.run(BASE, ["sleep", "60"], gpus=False, timeout=1, client=engine)
    return "it went on"


def missing(engine: containers.Engine) -> str:
    containers.run(BASE, ["no-such-command"], gpus=False, client=engine)
    return "it ran"


@contextmanager
def small(dockerfile: str | None = None) -> Iterator[recipes.Recipe]:
    """A recipe with nothing to install."""
    row = recipes.load()["tensorflow-cpu"]
    beside = (row.folder / row.dockerfile).parent
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(beside, Path(folder) / beside.name)
        Path(folder, "lock.txt").write_text("")
        if dockerfile:
            Path(folder, row.dockerfile).write_text(dockerfile)
        yield dataclasses.replace(row, folder=Path(folder), lock="lock.txt", framework="test-engines")


def built(engine: containers.Engine) -> str:
    """And found again."""
    with small() as recipe:
        image = containers.build(recipe, base=BASE, network="none", plan="tested", client=engine)
        return "found" if containers.find_image(recipe, engine) == image else "not found again"


def interrupted(engine: containers.Engine) -> str:
    """Ctrl-C in a run, and in a step of a build."""

    def say(line: str, _share: float | None) -> None:
        if line == "begun":
            raise KeyboardInterrupt

    with small(f"ARG BASE\nFROM ${{BASE}}\nRUN echo begun; : {time.time()}; {SLEEP}\n") as recipe:
        for begin in (
            lambda: containers.run(BASE, ["sh", "-c", f"echo begun; {SLEEP}"], gpus=False, say=say, client=engine),
            lambda: containers.build(recipe, base=BASE, network="none", say=say, client=engine),
        ):
            try:
                begin()
            except KeyboardInterrupt:
                continue
            return "it went on"
    end = time.monotonic() + 10  # BuildKit ends a step when it notices that nobody listens
    while (now := left(engine)) != (0, 0) and time.monotonic() < end:
        time.sleep(0.1)
    return f"{now[0]} containers and {now[1]} processes are left"


def left(engine: containers.Engine) -> tuple[int, int]:
    """How many containers the engine has, those of unfinished builds too, and how many of our sleeping processes."""
    if isinstance(engine, podman.Podman):
        ask = [str(HOME / "b" / "bin" / "podman"), "ps", "--all", "--external", "--quiet"]
        ours = subprocess.run(ask, check=True, capture_output=True, text=True).stdout.split()
    else:
        ours = [str(container.id) for container in engine.containers.list(all=True)]
    sleeping = subprocess.run(["pgrep", "--full", "--exact", SLEEP], capture_output=True, text=True).stdout.split()
    return len(ours), len(sleeping)


ASKED: dict[str, Callable[[containers.Engine], str]] = {
    "run, evidence": run, "GPUs": gpus, "build, no network": built, "time limit": limit, "no such command": missing,
    "interrupted": interrupted,
}  # fmt: skip
EXPECTED = {
    "run, evidence": "0 lo 1000 seen", "GPUs": GPU, "build, no network": "found",
    "time limit": "the run did not end within 1 s", "no such command": "no-such-command",
    "interrupted": "0 containers and 0 processes are left",
}  # fmt: skip
REFUSED = {"GPUs": "could not select device driver"}  # by Docker 20.10: no CDI, and no hook of NVIDIA's here


def asked(name: str, engine: containers.Engine, expected: dict[str, str], table: Table) -> int:
    """Ask everything of one engine; how much of it was not as expected."""
    wrong = 0
    for what, ask in ASKED.items():
        began = time.monotonic()
        try:
            said = ask(engine)
        except Failure as failure:
            said = f"{failure} ({failure.__cause__})" if failure.__cause__ else str(failure)
        fits = expected[what] in said
        wrong += not fits
        table.add_row(name, what, "✓" if fits else "✗", f"{time.monotonic() - began:.1f} s", said[:110])
    return wrong


@contextmanager
def engine(home: Path, *options: str, keep: bool) -> Iterator[str]:
    """The socket of one that is started for the block."""
    script = str(ROOT / "scripts" / "engine")
    try:
        subprocess.run([script, "start", "--home", str(home), *options], check=True, stdout=sys.stderr)
        subprocess.run([script, "base", "--home", str(home)], check=True, stdout=sys.stderr)
        yield f"unix://{home}/docker.sock"
    finally:
        subprocess.run([script, "stop", "--home", str(home), *([] if keep else ["--purge"])], check=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="keep their folders: the next run starts in seconds")
    keep = parser.parse_args().keep
    table = Table("engine", "asked", "", "in", "it said", box=None)
    with engine(HOME / "a", keep=keep) as socket:
        os.environ["DOCKER_HOST"] = socket
        with closing(containers.connect()) as client:
            wrong = asked(f"Docker {client.version()['Version']}", client, {**EXPECTED, **REFUSED}, table)
    with engine(HOME / "b", "--release", "trixie", "--cdi", keep=keep) as socket:
        home = HOME / "b"
        subprocess.run([sys.executable, fakenvml.__file__, str(home / "lib")], check=True)
        library, machine = home / "lib" / "libnvidia-ml.so.1", home / "lib" / "machine"
        machine.write_text("driver_version=570.124.06\n")
        (home / "cdi" / "nvidia.yaml").write_text(SPEC.format(library=library, inside=LIBRARY, machine=machine))
        os.environ["DOCKER_HOST"] = socket
        with closing(containers.connect()) as client:
            wrong += asked(f"Docker {client.version()['Version']}", client, EXPECTED, table)
            with (home / "base.tar").open("wb") as file:
                file.writelines(client.images.get(BASE).save(named=True))
        tempfile.tempdir = str(home / "tmp")  # Podman sees of this machine its home alone
        Path(tempfile.tempdir).mkdir(exist_ok=True)
        here = podman.Podman(str(home / "bin" / "podman"))
        subprocess.run([home / "bin" / "podman", "load", "-q", "-i", home / "base.tar"], check=True, stdout=sys.stderr)
        wrong += asked(f"Podman {here.version}", here, EXPECTED, table)
    if not keep:
        HOME.rmdir()
    Console(width=200).print(table)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
