"""Run a command and leave of it what any other build would leave too: python3 layer.py COMMAND ARGUMENT...

Then, where SLIM is set, slim.py removes what training never opens; Python files get bytecode that names no time; and
all that is newer than the command gets the time SOURCE_DATE_EPOCH. Exit code: the command's.
"""

import importlib.util
import os
import py_compile
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

VENV = Path("/opt/venv")
SLIM = Path(__file__).with_name("slim.py")
PIP_CACHE = Path("/root/.cache/pip")
NAMES = Path("/usr/share/gpucheck/names.txt")  # of packages that a later layer brings
UNCHECKED = py_compile.PycInvalidationMode.UNCHECKED_HASH  # never compared with its source, which does not change here
BEFORE = 2  # seconds: a file's time is of the kernel's coarse clock


def main() -> int:
    began = time.time() - BEFORE
    commands = [sys.argv[1:]]
    if os.environ.get("SLIM") and VENV.is_dir():
        commands.append([sys.executable, str(SLIM), str(VENV), *([str(NAMES)] if NAMES.exists() else [])])
    for command in commands:
        code = subprocess.run(command).returncode
        if code:
            return code if code > 0 else 128 - code
    if str(PIP_CACHE) not in mounts():
        shutil.rmtree(PIP_CACHE, ignore_errors=True)
    for source in sorted(VENV.rglob("*.py")):
        compile_once(source)
    when = int(os.environ["SOURCE_DATE_EPOCH"])
    for path in newer(began):
        os.utime(path, (when, when), follow_symlinks=False)
    return 0


def compile_once(source: Path) -> None:
    """Not again what an earlier layer has, which would be a copy of it; what cannot be compiled stays as it is."""
    bytecode = Path(importlib.util.cache_from_source(str(source)))
    try:
        with bytecode.open("rb") as file:
            if file.read(8)[4:] == b"\1\0\0\0":  # PEP 552: by hash, unchecked
                return
    except FileNotFoundError:
        pass
    py_compile.compile(str(source), quiet=2, invalidation_mode=UNCHECKED)


def mounts() -> set[str]:
    """Where something is mounted into the image."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return {line.split()[4] for line in lines} - {"/"}


def newer(since: float) -> Iterator[str]:
    """What was made or changed since then, in the image alone: nothing that is mounted into it."""
    mounted = mounts()
    for folder, folders, files in os.walk("/"):
        folders[:] = [name for name in folders if os.path.join(folder, name) not in mounted]
        for name in (*folders, *files):
            path = os.path.join(folder, name)
            if path not in mounted and os.lstat(path).st_mtime >= since:
                yield path


if __name__ == "__main__":
    sys.exit(main())
