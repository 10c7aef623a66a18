"""A followed command's output: what passes and what is taken out, by literals; then pipes, terminals and a flood."""

from __future__ import annotations

import gzip
import os
import pty
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gpucheck import streams
from gpucheck.placement_lines import PlacementLines
from gpucheck.sieve import Filter
from gpucheck.streams import Stream

SAMPLES = Path(__file__).with_name("witnesses") / "samples"
GPU = b"/job:localhost/replica:0/task:0/device:GPU:0"
OLD = b"2026-11-21 03:11:11.249123: I tensorflow/core/common_runtime/placer.cc:114] "
NEW = b"I0000 00:00:1795226952.650136    3694 placer.cc:162] "
PLACED = b"sequential/conv2d/Conv2D: (Conv2D): " + GPU + b"\n"
EXECUTING = b"Executing op _MklMatMul in device " + GPU + b"\n"
SESSION = b"I0000 00:00:1795595017.619974    1390 profiler_session.cc:117] Profiler session initializing.\n"
DEVICE_LINE = re.compile(rb"(: \(\w+\): |Executing op \w+ in device )\S+:\d+$")
KINETO = b"USDT:2026-11-25 08:17:14 25673:25681 SyncActivityProfilerHandler.cpp:59] profiler_stop\n"


class Kept:
    def __init__(self, ours: bool = True) -> None:
        self.lines: list[tuple[bytes, bool]] = []
        self.filter = Filter(lambda line, prefixed: self.lines.append((line, prefixed)), lambda: ours, lambda: ours)

    def passed(self, *parts: bytes) -> bytes:
        return b"".join(self.filter.feed(part) for part in parts) + self.filter.flush()


# --- lines ---


@pytest.mark.parametrize("line", [PLACED, OLD + PLACED, NEW + PLACED, OLD + EXECUTING, NEW + EXECUTING, EXECUTING])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_placement_line_is_taken_out_and_kept(line: bytes, end: bytes) -> None:
    kept, line = Kept(), line[:-1] + end
    assert kept.passed(b"before\n" + line + b"after\n") == b"before\nafter\n"
    assert kept.lines == [(line, line.startswith((OLD, NEW)))]


@pytest.mark.parametrize("cut", [1, 20, 60, -1])
def test_a_placement_line_in_two_parts(cut: int) -> None:
    kept = Kept()
    assert kept.passed(b"a\n" + (NEW + PLACED)[:cut], (NEW + PLACED)[cut:] + b"b\n") == b"a\nb\n"


@pytest.mark.parametrize(
    "bar",
    [
        b"8/8 [====] - loss: 2.30\x08\x08", b"\r 12%|#   | 1/8 [00:01<00:07]", b"loss: 2.3026", b"loss: 1.2e-05",
        b"8/8 \x1b[32m--\x1b[0m\x1b[37m\x1b[0m", b"1s 3ms/step", b"50%", b"\xe2\x94\x81 ",
    ],
)  # fmt: skip
@pytest.mark.parametrize("line", [PLACED, NEW + PLACED, OLD + EXECUTING])
def test_a_progress_bar_before_it_stays_whole(bar: bytes, line: bytes) -> None:
    kept = Kept()
    assert kept.passed(b"Epoch 1\n" + bar + line + b"\r9/9\n") == b"Epoch 1\n" + bar + b"\r9/9\n"
    assert kept.lines[0][0] == line


def test_behind_what_was_passed_on_before_it_is_a_line_of_its_own() -> None:
    kept = Kept()
    assert kept.filter.feed(b"prompt> ") == b""
    assert kept.filter.flush() == b"prompt> "
    assert kept.passed(b"2layers" + PLACED) == b""


@pytest.mark.parametrize(
    "line",
    [SESSION, KINETO, b"2026-11-21 03:11:11.249123: I external/x/cupti_tracer.cc:1500] Profiler found 1 GPUs\n",
     b"ERROR: External init callback must run in same thread as registerClient (-553478464 != 16690048)\n",
     b"I1125 08:23:31.924111    1343 save_profile.cc:124] Creating directory: /tmp/x/plugins\n\n"],
)  # fmt: skip
def test_what_the_profilers_say_is_taken_out(line: bytes) -> None:
    kept = Kept()
    assert kept.passed(b"a\nloss: 1" + line + b"\nb\n") == b"a\nloss: 1\nb\n"
    assert Kept(ours=False).passed(b"a\n" + line + b"b\n") == b"a\n" + line + b"b\n"
    assert kept.lines == []


def test_what_the_program_itself_wants_to_see_passes_and_is_kept() -> None:
    kept = Kept(ours=False)
    assert kept.passed(PLACED + EXECUTING) == PLACED + EXECUTING
    assert [line for line, _ in kept.lines] == [PLACED, EXECUTING]


@pytest.mark.parametrize(
    "text",
    [
        b"", b"\n", b"\n\n\r\n", b"no newline", b"bytes \x00\xff\xfe\n", b"Conv2D on /job:localhost\n", b"a.cc:12] b\n",
        b": (Conv2D): " + GPU + b"\n", b"Conv2D: (Conv2D): " + GPU + b" and more\n", b"x.cpp:12] y\n",
        b"Created device " + GPU + b" with 22446 MB memory\n", b"Execution of op x in device " + GPU + b"\n",
    ],
)  # fmt: skip
def test_everything_else_passes_byte_for_byte(text: bytes) -> None:
    assert Kept().passed(text) == text


def test_a_torn_line_passes_and_is_kept_as_one_that_could_not_be_read() -> None:
    kept, lines = Kept(), PlacementLines()
    torn = NEW + b"x: (Conv2D): /job:localhost/replica:0/ta\n"
    assert kept.passed(torn) == torn
    for line, prefixed in kept.lines:
        lines.keep(line, prefixed)
    assert lines.read()["unread"] == 1


def test_two_threads_in_one_line_are_taken_out_together() -> None:
    kept = Kept()
    assert kept.passed(PLACED[:-1] + EXECUTING) == b""
    assert kept.lines == [(PLACED[:-1] + EXECUTING, True)]


def test_a_line_of_100_kib_passes_unsearched() -> None:
    kept, line = Kept(), b"a" * 100_000 + b" " + PLACED
    assert kept.passed(line) == line
    assert kept.lines == []
    pieces = [b"b" * 10_000] * 10
    assert kept.passed(*pieces, b"\n") == b"b" * 100_000 + b"\n"


@pytest.mark.parametrize("fill", [b"a", b"a: (b", b"1", b"I0000 ", b"(", b"/job:", b" /job:x"])
def test_a_line_made_to_be_slow_is_not(fill: bytes) -> None:
    line = fill * (60_000 // len(fill)) + b" /job:x.cc:\n"
    assert Kept().passed(line * 20) == line * 20  # in quadratic time it would be minutes


@pytest.mark.parametrize(
    ("name", "graph"), [("tf2.13.1.graph", 10), ("tf2.18.1.graph", 10), ("tf2.21.graph", 10), ("tf2.21.fit_F", 1287)]
)
def test_recorded_logs_are_taken_out_whole(name: str, graph: int) -> None:
    lines = PlacementLines()
    for stream in ("out", "err"):
        text = gzip.decompress((SAMPLES / f"{name}.{stream}.gz").read_bytes())
        others = [line for line in text.splitlines(keepends=True) if not DEVICE_LINE.search(line)]
        assert Filter(lines.keep, lambda: True, lambda: True).feed(text) == b"".join(others)
    found = lines.read()
    assert found["unread"] == 0
    assert sum(op["count"] for op in found["ops"] if op["mode"] == "graph") == graph


def test_many_lines_are_counted_and_few_are_kept(tmp_path: Path) -> None:
    lines = PlacementLines()
    for _ in range(60_000):
        lines.keep(NEW + PLACED, True)
        lines.keep(PLACED, False)
    for number in range(50):
        lines.keep(b"x: (Op%d): " % number + GPU + b"\n", False)
    lines.write(tmp_path, "command")
    assert {op["op"]: op["count"] for op in lines.read()["ops"]}["Conv2D"] == 60_000
    assert len(gzip.decompress((tmp_path / "command.placement.log.gz").read_bytes())) < 5 << 20


# --- descriptors ---


@pytest.fixture
def copied() -> Callable[..., bytes]:
    """A function (write, terminal) that passes on what `write` writes to a descriptor, and returns it."""

    def run(write: Callable[[int], object], terminal: bool = False) -> bytes:
        source, end = pty.openpty() if terminal else os.pipe()
        status, over = os.pipe()
        result, target = os.pipe()

        def command() -> None:
            write(end)
            for descriptor in (end, over):
                os.close(descriptor)

        chunks: list[bytes] = []
        threads = [threading.Thread(target=command), threading.Thread(target=lambda: chunks.extend(_read(result)))]
        for thread in threads:
            thread.start()
        stream = Stream(source, target, Kept().filter, lambda _data: None)
        streams.copy([stream], status, lambda _data: None, lambda: None)
        for descriptor in (target, status):
            os.close(descriptor)
        for thread in threads:
            thread.join()
        os.close(result)
        return b"".join(chunks)

    return run


def _read(descriptor: int) -> Iterator[bytes]:
    while chunk := os.read(descriptor, 65536):
        yield chunk


def test_a_pipe_is_passed_on(copied: Callable[..., bytes]) -> None:
    text = os.urandom(300_000)

    def write(end: int) -> None:
        for start in range(0, len(text), 777):
            os.write(end, text[start : start + 777])

    assert copied(write) == text


def test_a_terminal_is_passed_on(copied: Callable[..., bytes]) -> None:
    assert copied(lambda end: os.write(end, b"no newline at the end"), terminal=True) == b"no newline at the end"


def test_what_has_no_newline_does_not_wait_for_one() -> None:
    """It is there before the command goes on."""
    source, end = os.pipe()
    status, over = os.pipe()
    result, target = os.pipe()
    stream = Stream(source, target, Kept().filter, lambda _data: None)
    copying = threading.Thread(target=streams.copy, args=([stream], status, lambda _data: None, lambda: None))
    copying.start()
    os.write(end, b"50%")
    assert os.read(result, 100) == b"50%"
    for descriptor in (end, over):
        os.close(descriptor)
    copying.join()
    for descriptor in (status, result, target):
        os.close(descriptor)


def test_a_flood_of_200_mb_is_passed_on_whole_in_little_memory(tmp_path: Path) -> None:
    """Measured in a process of its own by VmHWM: getrusage's peak is inherited from this one through exec."""
    flood = "import os; line = b'x' * 99 + b'\\n'; [os.write(2, line * 10000) for _ in range(200)]"
    program = tmp_path / "run.py"
    program.write_text(
        "import os, pathlib, re, sys\n"
        "from gpucheck import following\n"
        "from gpucheck.placement_lines import PlacementLines\n"
        "from gpucheck.sieve import Filter\n"
        "lines = PlacementLines()\n"
        "ended = following.follow(\n"
        f"    [sys.executable, '-c', {flood!r}], dict(os.environ), lambda: Filter(lines.keep, lambda: 1, lambda: 1),\n"
        "    deadline=None, started=lambda pid: None, notice=print)\n"
        "peak = re.search(r'VmHWM:\\s+(\\d+)', pathlib.Path('/proc/self/status').read_text())\n"
        "sys.stdout.write(f'{ended.exit_code} {peak[1]}')\n"
    )
    out, err = tmp_path / "out", tmp_path / "err"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        subprocess.run([sys.executable, str(program)], stdout=stdout, stderr=stderr, check=True)
    code, kib = out.read_text().split()
    assert (code, err.stat().st_size) == ("0", 200_000_000)
    assert int(kib) < 100_000
