"""Real engines, each asked the same: a run with evidence, GPUs by CDI, a build, a build without a network, a limit, and
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


def built(engine: containers.Engine) -> str:
    """A recipe with nothing to install, and found again."""
    row = recipes.load()["tensorflow-cpu"]
    with tempfile.TemporaryDirectory() as folder:
        beside = (row.folder / row.dockerfile).parent
        shutil.copytree(beside, Path(folder) / beside.name)
        Path(folder, "lock.txt").write_text("")
        recipe = dataclasses.replace(row, folder=Path(folder), lock="lock.txt", framework="test-engines")
        image = containers.build(recipe, base=BASE, network="none", plan="tested", client=engine)
        return "found" if containers.find_image(recipe, engine) == image else "not found again"


ASKED: dict[str, Callable[[containers.Engine], str]] = {
    "run, evidence": run, "GPUs": gpus, "build, no network": built, "time limit": limit, "no such command": missing,
}  # fmt: skip
EXPECTED = {
    "run, evidence": "0 lo 1000 seen", "GPUs": GPU, "build, no network": "found",
    "time limit": "the run did not end within 1 s", "no such command": "no-such-command",
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
        (home / "lib").mkdir(exist_ok=True)
        built_in = subprocess.run([sys.executable, fakenvml.__file__, str(home / "lib")], check=False)
        library = home / "lib" / "libnvidia-ml.so.1"
        machine = home / "lib" / "machine"
        machine.write_text("driver_version=570.124.06\n")
        (home / "cdi" / "nvidia.yaml").write_text(SPEC.format(library=library, inside=LIBRARY, machine=machine))
        wrong += built_in.returncode != 0
        os.environ["DOCKER_HOST"] = socket
        with closing(containers.connect()) as client:
            wrong += asked(f"Docker {client.version()['Version']}", client, EXPECTED, table)
            with (home / "base.tar").open("wb") as file:
                for chunk in client.images.get(BASE).save(named=True):
                    file.write(chunk)
        tempfile.tempdir = str(home / "tmp")  # Podman sees of this machine its home alone
        Path(tempfile.tempdir).mkdir(exist_ok=True)
        here = podman.Podman(str(home / "bin" / "podman"))
        subprocess.run([home / "bin" / "podman", "load", "-q", "-i", home / "base.tar"], check=True, stdout=sys.stderr)
        wrong += asked(f"Podman {here.version}", here, EXPECTED, table)
    Console(width=200).print(table)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
