"""`gpucheck prove`: its command line, and programs without a framework."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gpucheck import proving
from gpucheck.host import CannotLook

GPU = "/job:localhost/replica:0/task:0/device:GPU:0"
Prove = Callable[..., Any]


def test_output_and_exit_code_are_the_commands_and_the_report_is_on_stderr(prove: Prove) -> None:
    proved = prove("import sys; print(input()); print('mine', file=sys.stderr); sys.exit(3)", given="hello\n")
    assert (proved.code, proved.out) == (3, "hello\n")
    mine, _, report = proved.err.partition("\n")
    assert mine == "mine"
    assert report.startswith("gpucheck prove")


def test_the_reports_exit_code(prove: Prove) -> None:
    assert prove("", "--exit", "verdict").code == 3  # nothing was seen, so nothing is known


def test_a_report_in_a_file(prove: Prove, tmp_path: Path) -> None:
    proved = prove("print(1)", "--report", "report.json", "--format", "json")
    assert (proved.out, proved.err) == ("1\n", "")
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["command"] == "prove"
    assert report["facts"]["known"]["Run"]["command"][0] == sys.executable


def test_a_killed_command(prove: Prove) -> None:
    proved = prove("import os; os.kill(os.getpid(), 9)")
    assert proved.code == 137
    assert (proved.run.exit_code, proved.run.signal) == (None, 9)


def test_a_hanging_command(prove: Prove) -> None:
    proved = prove(["sleep", "1000"], "--timeout", "1")
    assert proved.code == 124
    assert "did not end within 1 s" in proved.err
    assert proved.run.signal == 15


@pytest.mark.parametrize(("exit", "code"), [("command", 127), ("verdict", 2)])
def test_no_such_command(prove: Prove, exit: str, code: int) -> None:
    proved = prove(["no-such-command-here"], "--exit", exit)
    assert proved.code == code
    assert proved.err.startswith("gpucheck: no-such-command-here: command not found\n")


def test_what_is_not_executable(prove: Prove, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    proved = prove([str(tmp_path / "data")])
    assert proved.code == 126
    assert "Permission denied" in proved.err


def test_the_report_says_how_to_ask_again(prove: Prove) -> None:
    proved = prove(["true", "a b"], "--timeout", "60", "--report", "report.json", "--format", "json")
    known = json.loads((proved.evidence.parent / "report.json").read_text())["facts"]["known"]
    assert known["Request"]["command"] == ["gpucheck", "prove", "--timeout", "60.0", "--", "true", "a b"]
    assert [known["Request"][name] for name in ("image", "recipe", "reason", "lock_sha256")] == [None] * 4


def test_nothing_to_run(prove: Prove) -> None:
    assert prove([]).code == 2
    assert prove(["true"], "--shell", "true").code == 2


def test_a_line_for_the_shell(prove: Prove) -> None:
    proved = prove([], "--shell", f"{sys.executable} -c 'print(6 * 7)' | tr 4 5")
    assert (proved.code, proved.out) == (0, "52\n")


def test_earlier_evidence_is_judged_alike(prove: Prove) -> None:
    before = prove("1/0", "--exit", "verdict")
    again = prove([], "--from", str(before.evidence))
    assert again.code == before.code == 1
    assert "the command ended with exit code 1" in again.out


def test_options_of_the_command_are_its_own(prove: Prove) -> None:
    assert prove(["echo", "--keep", "x", "--help", "-v"]).out == "--keep x --help -v\n"


# --- without a framework ---


def test_no_framework_at_all(prove: Prove) -> None:
    proved = prove("import json")
    assert proved.run.frameworks == ()
    assert proved.run.processes == ()
    with pytest.raises(CannotLook, match=r"seen \(1\) imported none of TensorFlow"):
        _ = proved.placement
    with pytest.raises(CannotLook, match="imported none"):
        _ = proved.kernels


def test_no_python_at_all(prove: Prove) -> None:
    with pytest.raises(CannotLook, match="no Python process was seen"):
        _ = prove(["true"]).placement


def test_forged_placement_lines_are_evidence_and_the_output_is_as_it_was(prove: Prove) -> None:
    line = f"x: (Conv2D): {GPU}"
    proved = prove(f"for _ in range(3): print({line!r})")
    assert proved.out == f"{line}\n" * 3  # TensorFlow was not there, so they are not ours to take out
    assert [(op.op, op.device, op.count) for op in proved.placement.ops] == [("Conv2D", "GPU:0", 3)]
    assert proved.placement.gpu_kernels is None
    assert proved.run.frameworks == ()


def test_a_forged_log_is_never_believed(prove: Prove) -> None:
    """Of a program without a framework; test_frameworks.py has the same of one that trains on the CPU."""
    line = f"x: (Conv2D): {GPU}"
    proved = prove(f"print({line!r})", "--exit", "verdict")
    assert proved.code == 3
    assert "not proven" in proved.err


def test_a_deleted_folder(prove: Prove, tmp_path: Path) -> None:
    folder = tmp_path / "deleted"
    folder.mkdir()
    proved = prove("import os, shutil; shutil.rmtree(os.getcwd())", "--report", str(tmp_path / "report"), cwd=folder)
    assert proved.code == 0
    assert (tmp_path / "report").read_text()


def test_a_notebook_without_nbclient(prove: Prove, tmp_path: Path) -> None:
    (tmp_path / "train.ipynb").write_text("{}")
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    proved = prove(["train.ipynb"], env={"PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"})
    assert proved.code == 2
    assert "has no nbclient" in proved.err


def test_the_hooks_files_are_where_they_are_looked_for() -> None:
    """Names that two programs agree on without knowing each other."""
    marks = (proving.PAYLOADS / "hook" / "marks.py").read_text()
    for name in (proving.SWITCHED_ON, proving.PLACEMENT_WANTED, proving.PROFILER_WANTED):
        assert f'"{name}"' in marks
    assert (proving.PAYLOADS.parent / proving.HOOK / "sitecustomize.py").exists()
