"""The doors: deadlines that hold whatever the child does, and recordings that replay."""

import json
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from gpucheck.host import MOST_OUTPUT, CannotLook, Local, Recorded, Recording, Result


def alive(pid: int) -> bool:
    """Running, and not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(path: Path) -> int:
    """The process id that a child of ours writes there."""
    end = time.monotonic() + 5
    while time.monotonic() < end:
        if path.exists() and path.read_text().strip():
            return int(path.read_text())
        time.sleep(0.01)
    raise AssertionError(f"nobody wrote {path}")


def test_a_command_answers_on_both_streams_with_its_exit_code() -> None:
    assert Local().run(("sh", "-c", "echo out; echo err >&2; exit 3")) == Result(code=3, out="out\n", err="err\n")


def test_a_command_that_is_killed_has_a_negative_code() -> None:
    assert Local().run(("sh", "-c", "kill -9 $$")).code == -signal.SIGKILL


def test_messages_are_english_and_input_is_empty() -> None:
    result = Local().run(("sh", "-c", "echo $LC_ALL; cat"))
    assert result.out == "C\n"


def test_bytes_that_are_not_utf8_are_replaced() -> None:
    assert Local().run(("sh", "-c", r"printf 'a\377b'")).out == "a\N{REPLACEMENT CHARACTER}b"


def test_python_is_this_interpreter() -> None:
    assert Local().run(("python", "-c", "import sys; print(sys.executable)")).out == f"{sys.executable}\n"


@pytest.mark.parametrize("script", ["sleep 60", "trap '' TERM INT HUP; while :; do sleep 60; done"])
def test_a_command_that_does_not_answer_is_ended_at_its_deadline(script: str, tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(CannotLook, match=r"^sh -c .* did not answer within 0\.3 s$"):
        Local().run(("sh", "-c", f"echo $$ > {tmp_path}/pid; {script}"), timeout=0.3)
    assert time.monotonic() - started < 2
    assert not alive(int((tmp_path / "pid").read_text()))


def test_children_of_a_command_end_with_it(tmp_path: Path) -> None:
    with pytest.raises(CannotLook):
        Local().run(("sh", "-c", f"sleep 60 & echo $! > {tmp_path}/pid; wait"), timeout=0.3)
    grandchild = int((tmp_path / "pid").read_text())
    end = time.monotonic() + 5
    while alive(grandchild) and time.monotonic() < end:
        time.sleep(0.01)
    assert not alive(grandchild)


def test_a_heir_that_holds_the_pipe_open_is_not_waited_for(tmp_path: Path) -> None:
    started = time.monotonic()
    result = Local().run(("sh", "-c", f"sleep 60 & echo $! > {tmp_path}/pid; echo done"), timeout=10)
    heir = wait_for(tmp_path / "pid")
    try:
        assert result == Result(code=0, out="done\n", err="")
        assert time.monotonic() - started < 5
    finally:
        os.kill(heir, signal.SIGKILL)


def test_a_heir_that_never_stops_writing_keeps_nobody_waiting_and_ends(tmp_path: Path) -> None:
    started = time.monotonic()
    with suppress(CannotLook):  # whether it is cut off depends on who is quicker
        Local().run(("sh", "-c", f"yes & echo $! > {tmp_path}/pid"), timeout=0.5)
    assert time.monotonic() - started < 2
    heir = wait_for(tmp_path / "pid")
    end = time.monotonic() + 5
    while alive(heir) and time.monotonic() < end:
        time.sleep(0.01)
    assert not alive(heir)


def test_output_without_end_costs_no_memory_and_ends_at_the_deadline() -> None:
    started = time.monotonic()
    with pytest.raises(CannotLook):
        Local().run(("yes",), timeout=0.5)
    assert time.monotonic() - started < 2


def test_of_long_output_a_part_is_kept_and_all_of_it_is_drained() -> None:
    result = Local().run(("sh", "-c", f"head -c {3 * MOST_OUTPUT} /dev/zero; echo end >&2"), timeout=30)
    assert result.code == 0
    assert MOST_OUTPUT <= len(result.out) <= MOST_OUTPUT + 65536
    assert result.err == "end\n"


def test_a_missing_command_is_127() -> None:
    assert Local().run(("gpucheck-no-such-command",)).code == 127


def test_a_file_of_that_name_that_may_not_be_executed_is_no_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gpucheck-not-executable").write_text("#!/bin/sh\n")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert Local().run(("gpucheck-not-executable",)).code == 127


def test_a_command_that_the_system_refuses_to_start_cannot_be_looked_at(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF, but not really")
    program.chmod(0o755)
    with pytest.raises(CannotLook, match="cannot be started: Exec format error"):
        Local().run((str(program),))


def test_the_hosts_own_deadline_replaces_the_callers() -> None:
    with pytest.raises(CannotLook, match=r"within 0\.2 s"):
        Local(deadline=0.2).run(("sleep", "60"), timeout=30)


def test_a_file_a_folder_and_nothing(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/b").write_text("text\n")
    (tmp_path / "etc/a").write_text("")
    host = Local(root=str(tmp_path))
    assert host.read("/etc/b") == "text\n"
    assert host.read("/etc/a") == ""
    assert host.read("/etc") == "a\nb\n"
    assert host.read("/etc/none") is None
    assert host.read("/etc/b/none") is None


def test_a_dangling_link_is_not_there_and_a_loop_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to("none")
    (tmp_path / "loop").symlink_to("loop")
    assert Local(root=str(tmp_path)).read("/dangling") is None
    with pytest.raises(CannotLook, match=r"^/loop: "):
        Local(root=str(tmp_path)).read("/loop")


def test_kernel_files_of_no_size_are_read() -> None:
    assert Local().read("/proc/sys/kernel/osrelease")
    assert "MemTotal" in (Local().read("/proc/meminfo") or "")


def test_a_fifo_and_a_device_do_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(CannotLook, match=r"^/fifo is not a regular file$"):
        Local(root=str(tmp_path)).read("/fifo")
    with pytest.raises(CannotLook, match="not a regular file"):
        Local().read("/dev/zero")


def test_an_unreadable_file_cannot_be_looked_at(tmp_path: Path) -> None:
    """Permissions do not stop root; reading /proc/self/mem from its start fails for everyone."""
    with pytest.raises(CannotLook, match=r"^/proc/self/mem: "):
        Local().read("/proc/self/mem")
    if os.geteuid() != 0:
        (tmp_path / "secret").write_text("x")
        (tmp_path / "secret").chmod(0)
        with pytest.raises(CannotLook, match=r"^/secret: Permission denied$"):
            Local(root=str(tmp_path)).read("/secret")


def test_a_recording_gives_back_every_answer(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    os.mkfifo(tmp_path / "fifo")
    recording = Recording(Local(root=str(tmp_path)))
    asked = recording.run(("sh", "-c", "echo out; exit 2"))
    recording.read("/file")
    recording.read("/none")
    for ask in (lambda: recording.read("/fifo"), lambda: recording.run(("sleep", "60"), timeout=0.1)):
        with pytest.raises(CannotLook):
            ask()
    path = tmp_path / "recording.json"
    path.write_text(json.dumps(recording.document()))

    recorded = Recorded.load(path)

    assert recorded.run(("sh", "-c", "echo out; exit 2")) == asked
    assert recorded.read("/file") == "text"
    assert recorded.read("/none") is None
    with pytest.raises(CannotLook, match=r"^/fifo is not a regular file$"):
        recorded.read("/fifo")
    with pytest.raises(CannotLook, match="did not answer within"):
        recorded.run(("sleep", "60"))
    with pytest.raises(CannotLook, match=r"^/other is not in the recording$"):
        recorded.read("/other")
    with pytest.raises(CannotLook, match=r"^uname -m is not in the recording$"):
        recorded.run(("uname", "-m"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not JSON"),
        ('{"schema": 1, "runs": [{"argv": ["a"], "co', "is the file complete"),
        ("[]", "is not a recording"),
        ("{}", "is not a recording"),
        ('{"schema": 2, "runs": [], "files": {}}', "has schema 2"),
        ('{"schema": 1, "runs": [{"code": 0}], "files": {}}', "is not a recording"),
        ('{"schema": 1, "runs": [{"argv": ["a"]}], "files": {}}', "is not a recording"),
        ('{"schema": 1, "runs": [{"argv": [["a"]]}], "files": {}}', "is not a recording"),
        ('{"schema": 1, "runs": [], "files": []}', "is not a recording"),
        ('{"schema": 1, "runs": [], "files": {"/a": {}}}', "is not a recording"),
        ('{"schema": 1, "runs": [], "files": {"/a": "text"}}', "is not a recording"),
    ],
)
def test_what_is_no_recording_says_so_in_one_sentence(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "recording.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=said) as caught:
        Recorded.load(path)
    assert "\n" not in str(caught.value)


def test_a_recording_that_is_not_text_says_so(tmp_path: Path) -> None:
    path = tmp_path / "recording.json"
    path.write_bytes(b"\x80\x81")
    with pytest.raises(ValueError, match="is not a recording"):
        Recorded.load(path)
