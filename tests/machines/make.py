"""Write the recordings of the machines that were constructed, not recorded: python tests/machines/make.py [NAME ...]

Each is described by the answers of its files and commands, in the formats that README.md gives the sources of. Every
probe is asked, and what it asked for is the recording. NVML's part comes from tests/fakenvml by the real child process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from gpucheck.host import CannotLook, Recording, Result  # noqa: E402
from gpucheck.probes import PROBES, docker, dockerd, driver, nvml  # noqa: E402
from tests.conftest import FAKENVML, Machine, flat  # noqa: E402
from tests.machines.constructed import MACHINES  # noqa: E402
from tests.machines.parts import Described  # noqa: E402


class Answering(Machine):
    """Answers readlink and stat from the description's `links` and `nodes`; the rest is literal."""

    def __init__(self, described: Described) -> None:
        super().__init__(described.files, described.runs)
        self.times = described.times
        told = self.runs.get(docker.INFO)
        if isinstance(told, Result):  # the engine's kernel is this machine's, unless it was said to be another
            info = {"KernelVersion": (self.read("/proc/sys/kernel/osrelease") or "").strip()}
            self.runs[docker.INFO] = replace(told, out=json.dumps({**info, **json.loads(told.out)}) + "\n")
        self.links, self.nodes, self.rights = described.links, described.nodes, described.rights

    def run(self, argv: Sequence[str], timeout: float = 5.0) -> Result:
        if argv[0] == "readlink":
            found = [self.links[path] for path in takewhile(self.links.__contains__, argv[2:])]  # uutils stops there
            return Result(code=int(len(found) < len(argv) - 2), out="".join(f"{path}\n" for path in found), err="")
        if argv[0] == "stat":
            asked = argv[4:]
            if argv[3] == dockerd.STAT_FORMAT:
                told = "".join(
                    f"{'{} {} {}'.format(*self.times[path])} {path}\n" for path in asked if path in self.times
                )
                return Result(code=1, out=told, err="")
            lines = [self._stat(path) for path in asked if self._there(path)]
            gone = [
                f"stat: cannot statx '{path}': No such file or directory\n" for path in asked if not self._there(path)
            ]
            return Result(code=int(bool(gone)), out="".join(lines), err="".join(gone))
        return super().run(argv, timeout)

    def _there(self, path: str) -> bool:
        return path in self.nodes or path in self.links or path in self.links.values()

    def _stat(self, path: str) -> str:
        if path in self.nodes:
            major, minor = self.nodes[path]
            if (major, minor) == (0, 0):  # a program
                return f"89ed 0 0 4755 root {path}\n" if path == driver.MODPROBE else f"81ed 0 0 755 root {path}\n"
            rights = self.rights.get(path, "666 root")
            return f"{0x2000 | int(rights[:3], 8):x} {major:x} {minor:x} {rights} {path}\n"
        return f"81a4 0 0 644 root {path}\n"


def nvml_answer(library: Path, profile: str | None, changes: Mapping[str, object]) -> Result:
    """What the child of the NVML probe prints on such a machine; without a profile there is no library."""
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
    with tempfile.NamedTemporaryFile("w", suffix=".profile") as file:
        if profile:
            table = dict(flat(tomllib.loads((FAKENVML / "profiles" / f"{profile}.toml").read_text())))
            told = {**table, **changes}.items()
            file.write("".join(f"{key}={value}\n" for key, value in told if value is not None))
            file.flush()
            environment |= {"FAKE_NVML_PROFILE": file.name, "LD_LIBRARY_PATH": str(library)}
        run = subprocess.run(
            [sys.executable, *nvml.COMMAND[1:]], env=environment, capture_output=True, text=True, check=True
        )
    return Result(code=run.returncode, out=run.stdout, err=run.stderr)


def main(names: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, FAKENVML / "build.py", folder], check=True)
        for name, described in MACHINES.items():
            if names and name not in names:
                continue
            answering = Answering(described)
            answering.runs[nvml.COMMAND] = nvml_answer(Path(folder), described.nvml, described.nvml_changes)
            recording = Recording(answering)
            for subject, probe in PROBES.items():
                try:
                    probe(recording)
                except CannotLook as reason:
                    print(f"{name}: {subject.__name__} cannot be looked at: {reason}")  # noqa: T201
            (HERE / name).mkdir(exist_ok=True)
            (HERE / name / "recording.json").write_text(json.dumps(recording.document(), indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
