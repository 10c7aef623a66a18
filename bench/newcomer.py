"""The first hour's first minute: from a clean clone to the doctor's answer, in commands, seconds and bytes.

usage: scripts/bench newcomer

The bytes are those of the wheels in requirements/gpucheck.txt for this Python, as the package index serves them,
whatever of them a cache has already; the seconds are with whatever the cache has.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.request import Request, urlopen

from bench import rows
from bench.measure import ROOT

COMMAND = ("scripts/gpucheck", "doctor")


def downloads() -> int:
    """Bytes of all wheels, as an index answers."""
    done = subprocess.run(
        (sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", "--report", "-",
         "--disable-pip-version-check", "--only-binary", ":all:", "-r", str(ROOT / "requirements" / "gpucheck.txt")),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    urls = [each["download_info"]["url"] for each in json.loads(done.stdout)["install"]]
    total = 0
    for url in urls:
        with urlopen(Request(url, method="HEAD"), timeout=30) as answer:  # noqa: S310 - pip named it
            total += int(answer.headers["Content-Length"])
    return total


def main() -> None:
    add, told = rows.Rows().add, ("scripts/bench", "newcomer")
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "gpucheck"
        subprocess.run(("git", "clone", "--quiet", str(ROOT), str(clone)), check=True)
        started = time.monotonic()
        subprocess.run((sys.executable, "-m", "venv", f"{folder}/bare"), check=True)
        bare = time.monotonic() - started
        started = time.monotonic()
        done = subprocess.run(COMMAND, cwd=clone, capture_output=True)
        seconds = time.monotonic() - started
        if done.returncode not in (0, 1, 3):
            sys.exit(done.stderr.decode())
        size = sum(file.stat().st_size for file in clone.rglob("*") if file.is_file() and not file.is_symlink())
    add("newcomer: commands after the clone", 1, "", "-", None, "1", told)
    add("newcomer: to the doctor's answer", seconds, "s", "an empty environment", bare, "-", told)
    add("newcomer: wheels downloaded", downloads() / 2**20, "MiB", "-", None, "-", told)
    add("newcomer: the checkout with its environment", size / 2**20, "MiB", "-", None, "-", told)


if __name__ == "__main__":
    main()
