"""The payload's parent, with a toy for a framework: however a part ends, run.json says so and nothing stays running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

PACKAGE = Path(__file__).parents[1] / "gpucheck"
TOY = """
import os, sys, time
from payloads import parts

options = parts.parser("toy").parse_args()
if options.part:
    say = parts.speaker(options.progress)
    os.write(1, b"from C\\n")
    say(f"{options.stem} is at work, {os.environ.get('TOY_SECRET')} and {os.environ['TOY_SET']}")
    time.sleep(60 if options.stem == "long" else 0)
    sys.exit(3 if options.stem == "bad" else 0)

def work(done):
    for part in os.environ["TOY_PARTS"].split():
        more = ["--part", "probe", "--stem", part]
        if not parts.start(done, part, more, options.out / part, ("TOY_SECRET",), {"TOY_SET": "1"}):
            return

sys.exit(parts.run("toy", options.out, work))
"""
AT_WORK = "{} is at work, None and 1"
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    (tmp_path / "toy.py").write_text(TOY)
    children: list[subprocess.Popen[str]] = []

    def run(parts: str, *options: str) -> subprocess.Popen[str]:
        path = os.pathsep.join([str(PACKAGE), str(tmp_path)])
        child = subprocess.Popen(
            [sys.executable, "-m", "toy", "--out", str(tmp_path), *options],
            env={**os.environ, "PYTHONPATH": path, "TOY_PARTS": parts, "TOY_SECRET": "x", "CUDA_VISIBLE_DEVICES": "-1"},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        children.append(child)
        return child

    yield run
    for child in children:
        child.kill()
        child.communicate()


def report(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return document


def child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def await_line(child: subprocess.Popen[str], text: str) -> None:
    assert child.stdout is not None
    assert child.stdout.readline() == f"{text}\n"


def test_parts_that_end_well(start: Start, tmp_path: Path) -> None:
    before = time.time()
    child = start("one two", "--seed", "7")
    out, err = child.communicate(timeout=30)
    assert (child.returncode, out, err) == (0, f"one: {AT_WORK.format('one')}\ntwo: {AT_WORK.format('two')}\n", "")
    run = report(tmp_path)
    assert [(part["name"], part["exit_code"], part["signal"]) for part in run["parts"]] == [
        ("one", 0, None), ("two", 0, None),
    ]  # fmt: skip
    one, two = (part["began"] for part in run["parts"])
    assert round(before, 3) <= one < two <= time.time()
    assert (run["payload"], run["env"]["CUDA_VISIBLE_DEVICES"]) == ("toy", "-1")
    assert (tmp_path / "one.out").read_text() == "from C\n"


def test_after_a_bad_part_there_is_no_other(start: Start, tmp_path: Path) -> None:
    child = start("bad two")
    child.communicate(timeout=30)
    assert child.returncode == 1
    assert [part["exit_code"] for part in report(tmp_path)["parts"]] == [3]


def test_a_killed_part_is_recorded_as_its_signal(start: Start, tmp_path: Path) -> None:
    child = start("long two")
    await_line(child, f"long: {AT_WORK.format('long')}")
    os.kill(child_of(child.pid), signal.SIGKILL)
    out, _ = child.communicate(timeout=30)
    assert (child.returncode, out) == (1, "long: killed by signal 9\n")
    (part,) = report(tmp_path)["parts"]
    assert (part["exit_code"], part["signal"]) == (None, 9)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_ended_parent_ends_its_child_and_still_reports(start: Start, tmp_path: Path, number: signal.Signals) -> None:
    child = start("one long")
    await_line(child, f"one: {AT_WORK.format('one')}")
    await_line(child, f"long: {AT_WORK.format('long')}")
    grandchild = child_of(child.pid)
    child.send_signal(number)
    child.communicate(timeout=30)
    assert child.returncode == 128 + number
    assert not Path(f"/proc/{grandchild}").exists()
    assert [(part["name"], part["signal"]) for part in report(tmp_path)["parts"]] == [
        ("one", None), ("long", signal.SIGTERM),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [
        ["--device", "tpu"], ["--epochs", "0"], ["--batch-size", "many"], ["--seed", "-1"], ["--limit", "1.5"],
        ["--validation-split", "1"], ["--validation-split", "nan"], ["--epochs", "99999999999"], ["--unknown"],
    ],
)  # fmt: skip
def test_bad_options_are_refused_before_anything_starts(start: Start, tmp_path: Path, options: list[str]) -> None:
    child = start("one", *options)
    out, err = child.communicate(timeout=30)
    assert (child.returncode, out) == (2, "")
    assert options[0] in err
    assert not (tmp_path / "run.json").exists()


def test_nobody_waits_for_a_child_whose_parent_is_gone(tmp_path: Path) -> None:
    program = (
        "import os, time\nfrom payloads import parts\nread, write = os.pipe()\nsay = parts.speaker(write)\n"
        "os.close(read)\nsay('anyone?')\nprint('still here')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": str(PACKAGE)}, capture_output=True, text=True,
        timeout=30, cwd=tmp_path,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")


def test_a_torn_data_set_is_one_sentence(tmp_path: Path) -> None:
    """Read before TensorFlow is loaded, so this needs none."""
    done = subprocess.run(
        [sys.executable, "-m", "payloads.tensorflow", "--part", "train", "--out", tmp_path, "--data", tmp_path],
        env={**os.environ, "PYTHONPATH": str(PACKAGE)}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert "data_batch_1.bin is not there" in done.stderr
    assert "Traceback" not in done.stderr
