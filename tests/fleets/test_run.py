"""`gpucheck fleet run --engine ssh`, as it is typed, against the rack."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fleets.rack import Rack

ROOT = Path(__file__).parents[2]
RUN = (sys.executable, "-m", "gpucheck", "fleet", "run", "--engine", "ssh")


def run(racked: Rack, *words: str) -> subprocess.CompletedProcess[str]:
    command = (*RUN, "--option", f"config={racked.config}", *words)
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, "COLUMNS": "300"})


def test_every_node_is_a_line_as_it_comes_and_a_row_at_the_end(racked: Rack, tmp_path: Path) -> None:
    home = tmp_path / "home"
    ran = run(racked, "--nodes", "good,full,key-refused", "--output", str(home))
    assert ran.returncode == 1, ran.stderr  # of the one that has no GPU
    lines = {line.split()[1]: line for line in ran.stderr.splitlines()}
    assert lines["full"].startswith("– full  missing: gpucheck ended with exit code 3")
    assert "it calls itself" in lines["good"]
    assert "our key was refused" in lines["key-refused"]
    for node in ("good", "full", "key-refused"):
        assert node in ran.stdout
    assert sorted(file.name for file in home.iterdir()) == ["good.json", "nodes"]
    assert json.loads((home / "good.json").read_bytes()) == json.loads((racked.folder / "report").read_bytes())
    again = run(racked, "--nodes", "good", "--output", str(home))
    assert again.returncode == 2
    assert "has reports already: good.json" in again.stderr
    later = subprocess.run(
        (sys.executable, "-m", "gpucheck", "fleet", "report", str(home), "--expect", str(home / "nodes")),
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert later.returncode == 1
    assert "key-refused" in later.stdout


def test_a_missing_node_is_never_green(racked: Rack) -> None:
    ran = run(racked, "--nodes", "key-refused", "--quiet", "--format", "json")
    assert ran.returncode == 3
    assert ran.stderr == ""
    assert "our key was refused" in ran.stdout


def test_a_file_of_nodes_injects_nothing(racked: Rack, tmp_path: Path) -> None:
    (tmp_path / "nodes").write_text(f"good  # the best\n\n-oProxyCommand=touch {tmp_path}/pwned\n")
    ran = run(racked, "--hostfile", str(tmp_path / "nodes"))
    assert ran.returncode == 2
    assert "is no name of a node" in ran.stderr
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_every_ssh_and_leaves_whole_files(racked: Rack, tmp_path: Path, number: int) -> None:
    command = (*RUN, "--option", f"config={racked.config}", "--nodes", "good,hung,mute", "--output", str(tmp_path))
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as running:
        until = time.monotonic() + 60
        while not (tmp_path / "good.json").exists() and time.monotonic() < until:
            time.sleep(0.05)
        assert not racked.idle(0)
        running.send_signal(number)
        out, err = running.communicate(timeout=60)
    assert running.returncode == 128 + number, err
    assert "interrupted" in err
    later = subprocess.run(
        (sys.executable, "-m", "gpucheck", "fleet", "report", str(tmp_path)), capture_output=True, text=True, cwd=ROOT
    )
    assert "was broken off" in later.stdout
    assert later.returncode != 0
    assert "Traceback" not in err
    assert out == ""
    assert racked.idle()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["asking", "good.json"]
    assert json.loads((tmp_path / "good.json").read_bytes())["command"] == "doctor"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--command", "rm -rf /"), "not 'rm'"),
        (("--command", "doctor --bundle x"), "--bundle is not for a fleet"),
        (("--command", ""), "--command is empty"),
        (("--remote", "'"), "--remote is no command"),
        (("--option", "fanout"), "no NAME=VALUE"),
        (("--option", "fanuot=3"), "no option 'fanuot'"),
        (("--world", "--command", "verify"), "the engine ssh starts no run over several nodes"),
        (("--engine", "slurm", "--world"), "doctor trains nothing"),
        (("--command", "verify --world auto"), "told its own place"),
        (("--hostfile", "/nowhere/at/all"), "cannot be read"),
        (("--output", "/proc/nowhere"), "cannot be a folder"),
    ],
)
def test_what_cannot_be_asked_is_told_before_anything_runs(words: tuple[str, ...], said: str) -> None:
    from gpucheck.cli.app import app
    from gpucheck.model import Failure

    with pytest.raises(Failure) as refused:
        app(["fleet", "run", "--engine", "ssh", "--nodes", "n1", *words], standalone_mode=False)
    assert said in str(refused.value)
