"""The script of remedies: what a shell makes of it, run with harmless commands and a gpucheck that only notes."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gpucheck import compat, engine
from gpucheck.facts import Facts
from gpucheck.host import Recorded
from gpucheck.model import Finding, Remedy, Report, Severity, Status
from gpucheck.probes import PROBES
from gpucheck.remedying import looks, script
from gpucheck.rules import HOST_RULES

SHELLS = [shell for shell in ("sh", "dash", "bash", "busybox") if shutil.which(shell)]
RECORDINGS = sorted((Path(__file__).parent / "machines").glob("*/recording.json"))


def failed(rule: str, *commands: str, severity: Severity = Severity.ERROR, **more: Any) -> Finding:
    remedy = Remedy(**{"text": f"put {rule} right", "commands": {"": commands}, **more})
    return found(rule, Status.FAIL, severity=severity, remedy=remedy)


def found(rule: str, status: Status, **more: Any) -> Finding:
    given = {"title": f"title of {rule}", "severity": Severity.ERROR, "message": f"message of {rule}", **more}
    return Finding(rule=rule, status=status, **given)


def report(*findings: Finding, host: str = "box") -> Report:
    return Report(tool="gpucheck 0", when="2026-01-01T00:00:00+00:00", host=host, command="doctor", facts=Facts(),
                  findings=findings)  # fmt: skip


class Machine:
    """A folder with a gpucheck that notes its arguments and fails for the rules of `broken`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.broken = folder, folder / "broken"
        self.broken.write_text("")
        (folder / "bin").mkdir()
        fake = folder / "bin" / "gpucheck"
        fake.write_text(
            f'#!/bin/sh\necho "$*" >> {folder}/asked\nfor rule; do :; done\n! grep -qx "$rule" {folder}/broken\n'
        )
        fake.chmod(0o755)

    def run(self, text: str, *, shell: str = "sh", piped: bool = False) -> subprocess.CompletedProcess[str]:
        path = self.folder / "script"
        path.write_text(text)
        argv = [shell, *(["sh"] if shell == "busybox" else []), *([] if piped else [str(path)])]
        return subprocess.run(
            argv, input=text if piped else "an answer\n", cwd=self.folder, capture_output=True, text=True, check=False,
            env={"PATH": f"{self.folder}/bin:/usr/bin:/bin"},
        )  # fmt: skip

    def touched(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()} - {"bin", "broken", "script", "asked"}

    def asked(self) -> list[str]:
        path = self.folder / "asked"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.parent.name)
def test_a_machine_s_script_is_a_script(path: Path) -> None:
    facts = engine.collect(PROBES, Recorded.load(path))
    text = script(engine.report("doctor", facts, engine.judge(HOST_RULES, facts, compat.load()), host=path.parent.name))
    for shell in ("sh", "bash"):
        checked = subprocess.run([shell, "-n"], input=text, capture_output=True, text=True, check=False)
        assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize("piped", [False, True], ids=["file", "stdin"])
@pytest.mark.parametrize("shell", SHELLS)
def test_it_does_the_steps_and_looks_after_each(machine: Machine, shell: str, piped: bool) -> None:
    steps = (
        failed("a.note", "touch 3", severity=Severity.NOTE),
        failed("b.warning", "touch 2", severity=Severity.WARNING, verify="gpucheck doctor --deep --only b"),
        failed("c.error", "test ! -e 2 && touch 1", "touch '1 too'", verify="gpucheck doctor --only c",
               check="test ! -e 1", precondition="there is no 1"),
    )  # fmt: skip
    done = machine.run(script(report(*steps)), shell=shell, piped=piped)
    assert (done.returncode, done.stderr) == (0, "")
    assert machine.touched() == {"1", "1 too", "2", "3"}
    assert machine.asked() == ["doctor --only c.error", "doctor --deep --only b.warning", "doctor --only a.note"]
    assert done.stdout.startswith("every step is carried out")


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("step", "said"),
    [
        (
            failed("a.error", "touch 1", precondition="it's there", check="test -e there"),
            "needed, and not so: it's there",
        ),
        (failed("a.error", "(exit 7)", "touch 1"), "exit code 7"),
        (failed("a.error", "test -e there && echo", "touch 1"), "exit code 1"),
        (failed("a.error", "true", verify="gpucheck doctor --only a"), "a.error does not hold yet"),
    ],
    ids=["precondition", "command", "first of two", "verify"],
)
def test_it_stops_and_says_where(machine: Machine, shell: str, step: Finding, said: str) -> None:
    machine.broken.write_text("a.error\n")
    done = machine.run(script(report(step, failed("b.error", "touch 2"))), shell=shell)
    assert done.returncode != 0
    assert said in done.stderr
    assert "stopped at step 1 of 2 (a.error)" in done.stderr
    assert machine.touched() == set()


def test_without_gpucheck_nothing_is_done(machine: Machine) -> None:
    (machine.folder / "bin" / "gpucheck").unlink()
    done = machine.run(script(report(failed("a.error", "touch 1"))))
    assert (done.returncode, machine.touched()) == (1, set())
    assert "not on PATH" in done.stderr


@pytest.mark.parametrize(
    ("step", "why"),
    [
        (failed("a.error", "touch 1", impact="reboot"), "it takes a reboot"),
        (failed("a.error", "touch 1", impact="data"), "it puts data or work at risk"),
        (failed("a.error", "unset X", "touch 1"), "it is for the shell that you work in"),
        (failed("a.error", "ls -l 1", "cat x | grep 1"), "its commands only look"),
        (failed("a.error"), "no command does it"),
        (failed("a.error", "touch '1\n2'"), "cannot be shown"),
        (failed("a.error", "touch 1", check="touch 2\ntrue", precondition="x"), "cannot be shown"),
    ],
    ids=["reboot", "data", "shell", "look", "none", "unprintable", "unprintable check"],
)
def test_what_a_script_does_not_do_is_a_comment(machine: Machine, step: Finding, why: str) -> None:
    text = script(report(step))
    done = machine.run(text)
    assert (done.returncode, machine.touched(), machine.asked()) == (0, set(), [])
    assert done.stdout == "left to you, as the comments say: step 1\n"
    assert why in text
    assert "#   does: put a.error right\n" in text


def test_what_is_beside_a_step_left_to_you_is_done(machine: Machine) -> None:
    done = machine.run(script(report(failed("a.error", "touch 1", impact="reboot"), failed("b.error", "touch 2"))))
    assert (done.returncode, machine.touched()) == (0, {"2"})
    assert "left to you, as the comments say: step 1" in done.stdout


def test_one_remedy_of_two_rules_is_carried_out_once(machine: Machine) -> None:
    first = failed("a.error", "mkdir 1")
    text = script(report(first, found("b.error", Status.FAIL, remedy=first.remedy)))
    assert machine.run(text).returncode == 0
    assert "the commands are those of step 1" in text


def test_where_nothing_failed_it_says_so(machine: Machine) -> None:
    done = machine.run(script(report(found("a.error", Status.PASS))))
    assert (done.returncode, done.stdout) == (0, "nothing failed: there is nothing to put right\n")


def test_not_knowing_has_no_remedy(machine: Machine) -> None:
    remedy = Remedy(text="touch", commands={"": ("touch 1",)})
    text = script(report(found("a.error", Status.UNKNOWN, remedy=remedy), found("b.error", Status.SKIP, remedy=remedy)))
    done = machine.run(text)
    assert machine.touched() == set()
    assert "touch" not in text
    assert "what is unknown (1) has no remedy" in done.stdout


def test_it_cannot_ask(machine: Machine) -> None:
    done = machine.run(script(report(failed("a.error", "read -r answer || touch 'no answer'"))))
    assert (done.returncode, machine.touched()) == (0, {"no answer"})


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    "end", ["\n", "\r", "\r\n", "\x0b", "\x0c", "\x85", "\u2028", "\0", "'\n", '"\n', "`", "\\\n", "$("]
)
def test_text_from_a_machine_is_never_run(machine: Machine, shell: str, end: str) -> None:
    text = f"x{end}touch pwned{end})`'\"\n}}\ntouch pwned #\udcff"
    by_hand = failed("a.error", f"cat {shlex.quote(text)}", text=text, url=text, precondition=text, impact="reboot")
    live = failed("b.error", "touch 1", text=text, precondition=text, check="true")
    stopped = failed("c.error", "touch 2", precondition=text, check="false")
    steps = [Finding(**{**{name: getattr(f, name) for name in Finding.__slots__}, "message": text, "affects": (text,)})
             for f in (by_hand, live, stopped)]  # fmt: skip
    done = machine.run(script(report(*steps, host=text)), shell=shell)
    assert machine.touched() == {"1"}
    assert "stopped at step 3 of 3 (c.error)" in done.stderr


@pytest.mark.parametrize(
    ("command", "only_looks"),
    [
        ("nvidia-smi", True), ("nvidia-smi -q -d ECC", True), ("sudo dmesg | grep -iE 'a|b' | tail", True),
        ("id", True), ("systemctl status docker --no-pager", True),
        ("env -u DOCKER_HOST docker --context default version", True),
        ("sudo nvidia-smi -pl 100", False), ("nvidia-smi --gpu-reset", False), ("cat a | sudo tee b", False),
        ("systemctl restart docker", False), ("docker run x", False), ("test -e a && sudo modprobe nvidia", False),
        ("docker context use x", False), ("lspciX", False), ("ls; touch x", False), ("ls > x", False),
    ],
)  # fmt: skip
def test_what_only_looks_is_told_from_what_does(command: str, only_looks: bool) -> None:
    assert looks(command) is only_looks
