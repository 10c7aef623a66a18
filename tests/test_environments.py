"""The environment of its own and the run in it: real interpreters, a lock that needs no index."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import pytest

from gpucheck import environments
from gpucheck.model import Failure

OWN = f"{sys.version_info.major}.{sys.version_info.minor}"


def quiet(_line: str, _share: float | None) -> None:
    pass


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lock of one wheel, made here, with its hash."""
    house = tmp_path / "wheels"
    house.mkdir()
    wheel = house / "tiny_thing-1.0-py3-none-any.whl"
    info = "tiny_thing-1.0.dist-info"
    files = {
        "tiny_thing.py": "answer = 42\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: tiny-thing\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in (*files, f"{info}/RECORD"))
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    digest = subprocess.run(["sha256sum", wheel], capture_output=True, text=True, check=True).stdout.split()[0]
    path = tmp_path / "lock.txt"
    path.write_text(f"tiny-thing==1.0 \\\n    --hash=sha256:{digest}\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(house))
    return path


def test_it_holds_the_lock_and_is_made_once(lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shares: list[float | None] = []
    python = environments.prepare("tiny", lock, (OWN,), tmp_path / "cache", lambda _line, share: shares.append(share))
    assert shares
    code = "import sys, tiny_thing; print(tiny_thing.answer, sys.prefix)"
    out = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split() == ["42", str(python.parent.parent)]
    monkeypatch.setenv("PIP_FIND_LINKS", "/nonexistent")
    assert environments.prepare("tiny", lock, (OWN,), tmp_path / "cache", quiet) == python


def test_a_wheel_with_another_hash_is_refused_and_nothing_is_left(lock: Path, tmp_path: Path) -> None:
    lock.write_text(f"tiny-thing==1.0 \\\n    --hash=sha256:{'0' * 64}\n")
    with pytest.raises(Failure, match=r"HASHES|hashes"):
        environments.prepare("tiny", lock, (OWN,), tmp_path / "cache", quiet)
    assert not [p for p in (tmp_path / "cache" / "environments").iterdir() if p.is_dir()]


def test_no_interpreter_that_fits(lock: Path, tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"wheels for Python 3\.2;"):
        environments.prepare("tiny", lock, ("3.2",), tmp_path, quiet)


def test_lines_are_said_and_the_end_is_told(tmp_path: Path) -> None:
    lines: list[str] = []
    code = "import sys; print('one'); print('two'); sys.stderr.write('oops'); sys.exit(3)"
    ended = environments.run(
        [sys.executable, "-c", code], os.environ, tmp_path / "err", lambda line, _share: lines.append(line)
    )
    assert (lines, ended.exit_code, ended.signal) == (["one", "two"], 3, None)
    assert (tmp_path / "err").read_text() == "oops"


def test_a_killed_child_is_told_by_its_signal(tmp_path: Path) -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    ended = environments.run([sys.executable, "-c", code], os.environ, tmp_path / "err", quiet)
    assert (ended.exit_code, ended.signal) == (None, signal.SIGKILL)


def test_the_deadline_ends_grandchildren_too(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, time; p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True); time.sleep(60)"
    )
    pids: list[int] = []
    with pytest.raises(Failure, match="did not end within"):
        environments.run(
            [sys.executable, "-c", code], os.environ, tmp_path / "err", lambda line, _share: pids.append(int(line)), 1.0
        )
    assert pids
    assert not alive(pids[0])


def test_an_interrupt_ends_the_run(tmp_path: Path) -> None:
    pids: list[int] = []

    def say(line: str, _share: float | None) -> None:
        pids.append(int(line))
        threading.Timer(0.2, signal.raise_signal, [signal.SIGINT]).start()

    code = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    with pytest.raises(KeyboardInterrupt):
        environments.run([sys.executable, "-c", code], os.environ, tmp_path / "err", say)
    time.sleep(0.1)
    assert not alive(pids[0])


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
        ("The virtual environment was not created because ensurepip is not available", "cannot make environments"),
        ("ERROR: No matching distribution found for x", "No matching distribution"),
    ],
)
def test_what_pip_says_becomes_a_sentence(said: str, sentence: str) -> None:
    with pytest.raises(Failure, match=sentence):
        environments._pip(["sh", "-c", f"echo '{said}'; exit 1"], 0, 1, quiet)
