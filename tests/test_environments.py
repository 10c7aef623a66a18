"""The environment of its own and the run in it: real interpreters, a lock that needs no index."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import zipfile
from pathlib import Path

import pytest

from gpucheck import environments
from gpucheck.model import Failure

OWN = f"{sys.version_info.major}.{sys.version_info.minor}"


FULL = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n" + "\n".join(
    ["in ensurepip"] * 12
)


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
    python = environments.prepare(lock, (OWN,), tmp_path / "cache", lambda _line, share: shares.append(share))
    assert shares
    code = "import sys, tiny_thing; print(tiny_thing.answer, sys.prefix)"
    out = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split() == ["42", str(python.parent.parent)]
    monkeypatch.setenv("PIP_FIND_LINKS", "/nonexistent")
    assert environments.prepare(lock, (OWN,), tmp_path / "cache", quiet) == python


def test_recipes_with_the_same_lock_share_one(lock: Path, tmp_path: Path) -> None:
    first = environments.prepare(lock, (OWN,), tmp_path / "cache", quiet)
    assert first.parts[-3].startswith("lock-"), "it is named after its lock"
    assert environments.prepare(lock, ("3.2", OWN), tmp_path / "cache", quiet, "a hint") == first
    other = lock.with_name("other.txt")
    other.write_text("# another\n" + lock.read_text())
    assert environments.prepare(other, (OWN,), tmp_path / "cache", quiet) != first


def test_where_there_is_no_such_wheel_the_recipe_says_what_to_do(lock: Path, tmp_path: Path) -> None:
    lock.write_text(lock.read_text().replace("==1.0", "==2.0"))
    with pytest.raises(Failure, match=r"No matching distribution found for tiny-thing==2\.0") as failed:
        environments.prepare(lock, (OWN,), tmp_path / "cache", quiet, "it is elsewhere")
    assert failed.value.tip == "it is elsewhere"
    with pytest.raises(Failure) as failed:
        environments.prepare(lock, (OWN,), tmp_path / "cache", quiet)
    assert "reachable" in failed.value.tip


@pytest.mark.parametrize("gone", ["bin/python", f"lib/python{OWN}"])
def test_it_is_made_again_where_python_was_upgraded(lock: Path, tmp_path: Path, gone: str) -> None:
    python = environments.prepare(lock, (OWN,), tmp_path / "cache", quiet)
    part = python.parent.parent / gone
    part.rename(part.with_name("of-another-version"))
    if gone == "bin/python":
        part.symlink_to(tmp_path / "python-that-was-removed")
    assert environments.prepare(lock, (OWN,), tmp_path / "cache", quiet) == python
    subprocess.run([python, "-c", "import tiny_thing"], check=True)


def test_nothing_of_the_callers_gets_in(lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "current"
    folder.mkdir()
    for name in ("venv", "pip", "tiny_thing"):
        (folder / f"{name}.py").write_text("raise SystemExit('from the current folder')")
    monkeypatch.chdir(folder)
    for name in ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP"):
        monkeypatch.setenv(name, str(folder))
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.setenv("PYTHONINSPECT", "1")
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    python = environments.prepare(lock, (OWN,), tmp_path / "cache", quiet)
    environment = environments.clean_environment(PYTHONPATH="given")
    code = "import os, tiny_thing; print(tiny_thing.answer, *sorted(n for n in os.environ if n.startswith('PYTHON')))"
    out = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True, env=environment).stdout
    assert out.split() == ["42", "PYTHONNOUSERSITE", "PYTHONPATH", "PYTHONSAFEPATH", "PYTHONUNBUFFERED"]


def test_two_at_once_make_one(lock: Path, tmp_path: Path) -> None:
    """The first waits in the middle, for a line of its stdin, until the second has come."""
    program = """
        import sys
        from pathlib import Path
        from gpucheck import environments
        def say(line, share):
            print(line, flush=True)
            if line == "making an environment":
                sys.stdin.readline()
        print(environments.prepare(Path(sys.argv[1]), (sys.argv[2],), Path(sys.argv[3]), say))
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(lock), OWN, str(tmp_path / "cache")]
    both = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(1)]
    try:
        assert both[0].stdout is not None
        assert both[0].stdout.readline() == "making an environment\n"
        both.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True))
        assert both[1].stdout is not None
        assert both[1].stdout.readline() == "another gpucheck is setting it up\n"
        first = both[0].communicate("\n", timeout=60)[0].splitlines()
        assert both[1].communicate(timeout=60)[0].splitlines() == first[-1:]
    finally:
        for child in both:
            child.kill()
            child.communicate()


def test_each_stage_is_said(lock: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    environments.prepare(lock, (OWN,), tmp_path / "cache", lambda line, _share: lines.append(line))
    assert (lines[0], lines[-1]) == ("making an environment", "installing the packages")


def test_a_wheel_with_another_hash_is_refused_and_nothing_is_left(lock: Path, tmp_path: Path) -> None:
    lock.write_text(f"tiny-thing==1.0 \\\n    --hash=sha256:{'0' * 64}\n")
    with pytest.raises(Failure, match=r"HASHES|hashes"):
        environments.prepare(lock, (OWN,), tmp_path / "cache", quiet)
    assert not [p for p in (tmp_path / "cache" / "environments").iterdir() if p.is_dir()]


def test_no_interpreter_that_fits(lock: Path, tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"wheels for Python 3\.2;"):
        environments.prepare(lock, ("3.2",), tmp_path, quiet)


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
            [sys.executable, "-c", code], os.environ, tmp_path / "err", lambda line, _share: pids.append(int(line)), 3.0
        )
    assert pids
    end = time.monotonic() + 10  # who inherited it has to bury it
    while alive(pids[0]) and time.monotonic() < end:
        time.sleep(0.05)
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
        (FULL, "the disk is full"),
        ("subprocess.CalledProcessError: Command '[/x/bin/python, -m, ensurepip]' died", "python, -m, ensurepip"),
        ("/x/bin/python: No module named ensurepip", "cannot make environments"),
        ("/usr/bin/python3: No module named venv", "cannot make environments"),
        ("ERROR: No matching distribution found for x", "No matching distribution"),
    ],
)
def test_what_pip_says_becomes_a_sentence(said: str, sentence: str) -> None:
    with pytest.raises(Failure, match=sentence):
        environments._pip(["sh", "-c", 'echo "$1"; exit 1', "sh", said], 0, 1, quiet)


def test_an_index_that_does_not_answer_is_not_one_without_the_wheel() -> None:
    said = (
        "WARNING: Retrying after connection broken by 'NewConnectionError'\nERROR: No matching distribution found for x"
    )
    with pytest.raises(Failure) as failed:
        environments._pip(["sh", "-c", 'echo "$1"; exit 1', "sh", said], 0, 1, quiet, "it is elsewhere")
    assert "reachable" in failed.value.tip


def test_nvidia_s_wheels_are_named_for_tensorflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/given")
    python = tmp_path / "bin" / "python"
    assert environments.nvidia_libraries(python) == {}
    folders = [tmp_path / f"lib/python3.11/site-packages/nvidia/{name}/lib" for name in ("cublas", "cusolver")]
    for folder in folders:
        folder.mkdir(parents=True)
    assert environments.nvidia_libraries(python) == {"LD_LIBRARY_PATH": f"{folders[0]}:{folders[1]}:/given"}
