"""Following a command: what a shell would see of it, and that nothing of it is left behind."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

RUNNER = """
import dataclasses, json, os, sys
from gpucheck import following
from gpucheck.placement_lines import PlacementLines
from gpucheck.sieve import Filter

result, deadline, *command = sys.argv[1:]
lines = PlacementLines()
try:
    ended = dataclasses.asdict(following.follow(
        command, dict(os.environ), lambda: Filter(lines.keep, lambda: True, lambda: True),
        deadline=float(deadline) or None, started=lambda pid: None, notice=lambda line: print(line, file=sys.stderr),
    ))
except following.CannotStart as error:
    ended = {"error": error.args}
ended["heads"] = None
with open(result, "w") as file:
    json.dump(ended, file)
"""


class Followed(NamedTuple):
    ended: dict[str, Any]
    out: str
    err: str


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start following a command."""
    program = tmp_path / "runner.py"
    program.write_text(RUNNER)
    children = []

    def begin(command: Sequence[str], deadline: float = 0, **how: Any) -> subprocess.Popen[str]:
        argv = [sys.executable, str(program), str(tmp_path / "ended.json"), str(deadline), *command]
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how}
        child = subprocess.Popen(argv, text=True, **streams)
        children.append(child)
        return child

    yield begin
    for child in children:
        child.kill()
        child.wait()
        for stream in (child.stdin, child.stdout, child.stderr):
            if stream:
                stream.close()


@pytest.fixture
def follow(start: Start, tmp_path: Path) -> Callable[..., Followed]:
    """Follow a command to its end: a list of words, or a Python script."""

    def run(command: Sequence[str] | str, given: str | None = None, **how: Any) -> Followed:
        words = [sys.executable, "-c", textwrap.dedent(command)] if isinstance(command, str) else command
        child = start(words, stdin=subprocess.PIPE if given is not None else subprocess.DEVNULL, **how)
        out, err = child.communicate(given, timeout=60)
        assert child.returncode == 0, err
        return Followed(json.loads((tmp_path / "ended.json").read_text()), out, err)

    return run


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(file: Path) -> str:
    for _ in range(1000):
        if file.exists() and file.read_text():
            return file.read_text()
        time.sleep(0.02)
    raise AssertionError(f"{file} never came")


# --- how it ends ---


@pytest.mark.parametrize(
    ("script", "code", "number"),
    [
        ("", 0, None), ("raise SystemExit(3)", 3, None), ("1/0", 1, None), ("import os; os._exit(255)", 255, None),
        ("import os; os.kill(os.getpid(), 9)", None, 9), ("import os; os.abort()", None, 6),
        ("raise KeyboardInterrupt", None, 2), ("import ctypes; ctypes.string_at(0)", None, 11),
    ],
)  # fmt: skip
def test_it_ends_as_it_ended(
    follow: Callable[..., Followed], script: str, code: int | None, number: int | None
) -> None:
    followed = follow(script)
    assert (followed.ended["exit_code"], followed.ended["signal"]) == (code, number)
    assert not followed.ended["timed_out"]


def test_output_is_the_same_and_its_end_is_kept(follow: Callable[..., Followed]) -> None:
    script = "import sys; print('out'); print('err', file=sys.stderr); 1/0"
    bare = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    followed = follow(script)
    assert (followed.out, followed.err) == (bare.stdout, bare.stderr)
    assert followed.ended["last_lines"][-1] == "ZeroDivisionError: division by zero"


@pytest.mark.parametrize(
    ("command", "number"), [("no-such-command-anywhere", 2), ("./no/such/file", 2), ("{folder}", 13), ("{file}", 13)]
)
def test_what_cannot_be_started(follow: Callable[..., Followed], tmp_path: Path, command: str, number: int) -> None:
    (tmp_path / "file").write_text("echo not executable")
    command = command.format(folder=tmp_path, file=tmp_path / "file")
    assert follow([command]).ended["error"][0] == number


def test_a_script_without_an_interpreter_line_is_a_shells(follow: Callable[..., Followed], tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text('echo "$1 from a shell"')
    script.chmod(0o755)
    assert follow([str(script), "hello"]).out == "hello from a shell\n"


# --- what it reads, closes and deletes ---


def test_stdin_is_its_own(follow: Callable[..., Followed]) -> None:
    assert follow("print(input()[::-1])", given="drowssap\n").out == "password\n"


def test_it_may_close_its_output(follow: Callable[..., Followed]) -> None:
    followed = follow("import os, time; os.close(1); os.close(2); time.sleep(0.5); os._exit(4)")
    assert followed.ended["exit_code"] == 4


def test_it_may_delete_its_folder(follow: Callable[..., Followed], tmp_path: Path) -> None:
    folder = tmp_path / "deleted"
    folder.mkdir()
    followed = follow("import os, shutil; shutil.rmtree(os.getcwd()); print('gone')", cwd=folder)
    assert (followed.out, followed.ended["exit_code"]) == ("gone\n", 0)


def test_a_reader_that_has_gone_ends_it_as_ever(start: Start, tmp_path: Path) -> None:
    child = start([sys.executable, "-c", "while True: print('y' * 1000)"])
    assert child.stdout is not None
    child.stdout.read(10)
    child.stdout.close()
    child.wait(60)
    assert json.loads((tmp_path / "ended.json").read_text())["exit_code"] == 1  # BrokenPipeError


def test_a_descriptor_that_was_left_open_for_it(follow: Callable[..., Followed], tmp_path: Path) -> None:
    with (tmp_path / "three").open("w") as three:
        number = three.fileno()
        follow(f"import os; os.write({number}, b'hello')", pass_fds=[number])
    assert (tmp_path / "three").read_text() == "hello"


def test_its_environment_and_signals_are_as_ever(follow: Callable[..., Followed]) -> None:
    script = """
        import os, signal
        print(sorted(os.environ), os.getcwd(), signal.getsignal(signal.SIGTERM), signal.pthread_sigmask(0, ()))
        os.execvp("grep", ["grep", "^Sig[BI]", "/proc/self/status"])
    """
    bare = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True)
    assert follow(script).out == bare.stdout


# --- its children ---

LATE = "import sys, time; time.sleep(0.7); print('late'); open(sys.argv[1], 'w').write('done')"


@pytest.mark.parametrize("daemon", [False, True])
def test_a_child_that_outlives_it_is_waited_for(follow: Callable[..., Followed], tmp_path: Path, daemon: bool) -> None:
    done = tmp_path / "done"
    followed = follow(f"""
        import subprocess, sys
        subprocess.Popen([sys.executable, "-c", {LATE!r}, {str(done)!r}], start_new_session={daemon})
        sys.exit(5)
    """)
    assert (followed.ended["exit_code"], followed.out, done.read_text()) == (5, "late\n", "done")


def test_a_fork_that_goes_on_alone(follow: Callable[..., Followed], tmp_path: Path) -> None:
    done = tmp_path / "done"
    follow(f"""
        import os, time
        if os.fork(): os._exit(0)
        os.setsid()
        if os.fork(): os._exit(0)
        for number in range(3): os.close(number)
        time.sleep(0.5)
        open({str(done)!r}, "w").write("done")
    """)
    assert done.read_text() == "done"


def test_it_says_what_it_waits_for(follow: Callable[..., Followed]) -> None:
    followed = follow(["/bin/sh", "-c", "sleep 4 & exit 0"])
    assert "waiting for what it left running" in followed.err
    assert "(sleep)" in followed.err


# --- being told to end ---

STUBBORN = """
    import os, signal, subprocess, sys, time
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP): signal.signal(number, signal.SIG_IGN)
    child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    open(sys.argv[1], "w").write(f"{os.getpid()} {child.pid}")
    time.sleep(1000)
"""


def stubborn(file: Path) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(STUBBORN), str(file)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_goes_on_to_it(start: Start, tmp_path: Path, number: signal.Signals) -> None:
    script = """
        import signal, sys, time
        def heard(number, frame):
            print("heard", number); sys.exit(9)
        for number in (1, 2, 10, 15): signal.signal(number, heard)
        open(sys.argv[1], "w").write("ready")
        time.sleep(100)
    """
    child = start([sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "ready")])
    wait_for(tmp_path / "ready")
    child.send_signal(number)
    out, _ = child.communicate(timeout=60)
    assert out == f"heard {number.value}\n"
    assert json.loads((tmp_path / "ended.json").read_text())["exit_code"] == 9


def test_what_does_not_end_in_time_is_ended(follow: Callable[..., Followed]) -> None:
    followed = follow(["sleep", "1000"], deadline=0.5)
    assert (followed.ended["timed_out"], followed.ended["signal"]) == (True, 15)


def test_what_does_not_want_to_end_in_time_is_killed_with_its_children(
    follow: Callable[..., Followed], tmp_path: Path
) -> None:
    followed = follow(stubborn(tmp_path / "pids"), deadline=0.5)
    assert (followed.ended["timed_out"], followed.ended["signal"]) == (True, 9)
    assert not any(map(alive, map(int, (tmp_path / "pids").read_text().split())))


def test_sigterm_leaves_nothing_behind(start: Start, tmp_path: Path) -> None:
    child = start(stubborn(tmp_path / "pids"))
    pids = list(map(int, wait_for(tmp_path / "pids").split()))
    child.terminate()
    child.communicate(timeout=60)
    assert not any(map(alive, pids))
    assert json.loads((tmp_path / "ended.json").read_text())["signal"] == 9


def test_three_times_ctrl_c_is_meant(start: Start, tmp_path: Path) -> None:
    child = start(stubborn(tmp_path / "pids"))
    pids = list(map(int, wait_for(tmp_path / "pids").split()))
    for _ in range(3):
        child.send_signal(signal.SIGINT)
        time.sleep(0.3)
    child.communicate(timeout=60)
    assert not any(map(alive, pids))


def test_nothing_outlives_a_follower_that_was_killed(start: Start, tmp_path: Path) -> None:
    child = start(stubborn(tmp_path / "pids"))
    pids = list(map(int, wait_for(tmp_path / "pids").split()))
    child.kill()
    child.communicate(timeout=60)
    for _ in range(1000):
        if not any(map(alive, pids)):
            break
        time.sleep(0.05)
    assert not any(map(alive, pids))


def test_ctrl_z_stops_it_and_goes_on(start: Start, tmp_path: Path) -> None:
    child = start([sys.executable, "-c", "import sys, time; open(sys.argv[1], 'w').write('x'); time.sleep(1); print(1)",
                   str(tmp_path / "ready")])  # fmt: skip
    wait_for(tmp_path / "ready")
    child.send_signal(signal.SIGTSTP)
    assert os.WIFSTOPPED(os.waitpid(child.pid, os.WUNTRACED)[1])
    child.send_signal(signal.SIGCONT)
    assert child.communicate(timeout=60)[0] == "1\n"


# --- on a terminal ---


def on_terminal(command: Sequence[str], tmp_path: Path, size: tuple[int, int] | None = None) -> bytes:
    """What the terminal gets to see when the command is followed on it; `size` is what it is changed to meanwhile."""
    program = tmp_path / "runner.py"
    program.write_text(RUNNER)
    main, end = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, str(program), str(tmp_path / "ended.json"), "0", *command], stdin=end, stdout=end, stderr=end,
        start_new_session=True,
    )  # fmt: skip
    os.close(end)
    seen = b""
    while True:
        if select.select([main], [], [], 0.1)[0]:
            try:
                chunk = os.read(main, 65536)
            except OSError:
                break
            seen += chunk
            if b"size?" in chunk and size:
                fcntl.ioctl(main, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
                child.send_signal(signal.SIGWINCH)
    child.wait(60)
    os.close(main)
    return seen


def test_on_a_terminal_it_has_a_terminal(tmp_path: Path) -> None:
    script = "import sys; print(sys.stdin.isatty(), sys.stdout.isatty(), sys.stderr.isatty()); print('a\\rb', end='')"
    assert on_terminal([sys.executable, "-c", script], tmp_path) == b"True True True\r\na\rb"


def test_both_streams_of_a_terminal_stay_in_their_order(tmp_path: Path) -> None:
    script = "import os\nfor number in range(300): os.write(1 + number % 2, b'%d\\n' % number)"
    seen = on_terminal([sys.executable, "-c", script], tmp_path)
    assert seen.split() == [b"%d" % number for number in range(300)]


def test_a_change_of_size_arrives(tmp_path: Path) -> None:
    script = """
        import os, signal, time
        changed = []
        signal.signal(signal.SIGWINCH, lambda *_: changed.append(os.get_terminal_size(1)))
        print("size?", flush=True)
        while not changed: time.sleep(0.01)
        print(*changed[0])
    """
    assert b"97 31" in on_terminal([sys.executable, "-c", textwrap.dedent(script)], tmp_path, (31, 97))
