"""Every command as it is typed: what it prints, its exit code, and that bad input costs one sentence."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gpucheck import cli
from gpucheck.cli import Interrupted
from gpucheck.render import json as json_lines
from gpucheck.rules import HOST_RULES
from tests.conftest import Gpucheck

MACHINES = Path(__file__).parent / "machines"
RUNS = Path(__file__).parent / "runs"
RECORDING = MACHINES / "debian12-no-gpu" / "recording.json"


def one_sentence_and_a_tip(err: str) -> bool:
    lines = err.strip().splitlines()
    return len(lines) == 2 and lines[0].startswith("gpucheck: ") and lines[1].startswith("tip: ")


def test_doctor_judges_a_recording(gpucheck: Gpucheck) -> None:
    code, out, err = gpucheck("doctor", "--from", RECORDING)
    assert (code, err) == (1, "")
    assert "no: " in out.splitlines()[1]
    code, line, _ = gpucheck("doctor", "--from", RECORDING, "--format", "json")
    report = json_lines.read(line)
    assert (report.exit_code, report.root_cause and report.root_cause.rule) == (1, "pci.gpu-present")


def test_doctor_records_what_it_then_judges_alike(gpucheck: Gpucheck, tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    live = json_lines.read(gpucheck("doctor", "--record", file, "--format", "json")[1])
    again = json_lines.read(gpucheck("doctor", "--from", file, "--format", "json")[1])
    assert [(f.rule, f.status) for f in again.findings] == [(f.rule, f.status) for f in live.findings]
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["mine.json"]


def test_doctor_of_some_rules_only(gpucheck: Gpucheck) -> None:
    line = gpucheck("doctor", "--from", RECORDING, "--only", "pci", "--format", "json")[1]
    found = {f.rule for f in json_lines.read(line).findings}
    assert {rule.id for rule in HOST_RULES if rule.id.startswith("pci.")} <= found  # and what they rest on
    assert {name.partition(".")[0] for name in found} <= {"pci", "system"}
    line = gpucheck("doctor", "--from", RECORDING, "--skip", "pci", "--format", "json")[1]
    assert "pci" not in {f.rule.split(".")[0] for f in json_lines.read(line).findings}


def test_a_rule_brings_what_it_rests_on(gpucheck: Gpucheck) -> None:
    code, line, _ = gpucheck("doctor", "--from", RECORDING, "--only", "nvml.fabric-ready", "--format", "json")
    report = json_lines.read(line)
    assert (code, report.verdict) == (1, "no: there is no NVIDIA GPU on the PCI bus")


def test_strict_is_in_the_report_too(gpucheck: Gpucheck) -> None:
    healthy = MACHINES / "t4-ubuntu2204-healthy" / "recording.json"
    code, line, _ = gpucheck("doctor", "--from", healthy, "--strict", "--format", "json")
    assert json.loads(line)["exit_code"] == code


def test_a_device_is_written_to_and_not_replaced(gpucheck: Gpucheck, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE)
    gpucheck("doctor", "--record", tmp_path / "pipe")
    assert reader.communicate(timeout=20)[0].startswith(b"{")
    assert (tmp_path / "pipe").is_fifo()


def test_an_interrupt_ends_a_hung_command(tmp_path: Path) -> None:
    hung = tmp_path / "python3"
    hung.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\nsleep 60\n")
    hung.chmod(0o755)
    child = subprocess.Popen(
        [sys.executable, "-m", "gpucheck", "doctor"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )  # fmt: skip
    deadline = time.monotonic() + 20
    while not (tmp_path / "started").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=20)
    assert (child.returncode, out, err) == (130, "", "gpucheck: interrupted\n")
    while _runs(str(hung)):  # it was killed, and the kernel may need a moment
        assert time.monotonic() < deadline + 20
        time.sleep(0.05)


def _runs(program: str) -> bool:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has just ended
            if program.encode() in path.read_bytes():
                return True
    return False


def test_a_terminal_without_the_signs_still_gets_the_page() -> None:
    command = [sys.executable, "-m", "gpucheck", "doctor", "--from", str(RECORDING)]
    done = subprocess.run(command, env={**os.environ, "PYTHONIOENCODING": "latin-1"}, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (1, b"")


TORN = {
    "absent.json": None,
    "empty.json": "",
    "torn.json": '{"schema": 1, "runs": [',
    "other.json": '{"a": 1}',
    "list.json": "[]",
    "later.json": '{"schema": 99, "runs": [], "files": {}}',
    "binary.json": "\udcff",
}


@pytest.mark.parametrize("name", TORN)
def test_a_recording_that_is_none(gpucheck: Gpucheck, tmp_path: Path, name: str) -> None:
    text = TORN[name]
    if text is not None:
        (tmp_path / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    code, out, err = gpucheck("doctor", "--from", tmp_path / name)
    assert (code, out) == (2, "")
    assert one_sentence_and_a_tip(err), err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("doctor", "--only", "pci.gpu-presen"), "did you mean pci.gpu-present?"),
        (("doctor", "--skip", "nonsense"), "there is no rule 'nonsense'"),
        (("doctor", "--format", "xml"), "not one of terminal, json"),
        (("doctor", "--timeout", "0"), "timeout"),
        (("doctor", "--from", "x", "--record", "y"), "either"),
        (("explain", "pci.gpu-presen"), "did you mean pci.gpu-present?"),
        (("build", "tensorflow-cuda13"), "did you mean tensorflow-cuda12?"),
        (("build", "--framework", "theano"), "there are some for tensorflow, pytorch, jax, keras, xgboost"),
        (("build", "--framework", "pytroch"), "did you mean pytorch?"),
        (("build", "--framework", "pytorch==2.9", "--assume-gpu", "T4", "--explain"), "did you mean 2.10.0?"),
        (("build", "--assume-gpu", "T5"), "did you mean T4?"),
        (("build", "--assume-gpu", "P4, H100", "--explain"), "'P4, H100' names more than one GPU"),
        (("build", "tensorflow-cuda12", "--notebook"), "a recipe that is named says all this itself"),
        (("build", "--assume-driver", "535.104.05"), "a driver alone is no machine"),
        (("build", "--assume-driver", "new", "--assume-gpu", "T4"), "'new' is not the version of a driver"),
        (("build", "tensorflow-cpu", "--explain"), "a recipe that is named needs no plan"),
        (("build", "--from-pack", "/nonexistent"), "/nonexistent is no pack"),
        (("pack", "tensorflow-cuda13", "/nonexistent/x"), "did you mean tensorflow-cuda12?"),
        (("build", "--framework", "jax", "--backend", "torch", "--device", "cpu"), "jax has no backend torch"),
        (("verify", "--image", "tensorfow-cpu"), "did you mean tensorflow-cpu?"),
        (("verify", "--device", "tpu"), "not one of gpu, cpu"),
        (("verify", "--epochs", "3000000000"), "epochs"),
        (("verify", "--timeout", "1e12"), "timeout"),
        (("verify", "--device", "cpu", "--on", "host", "--keep", "/dev/null"), "/dev/null cannot be used"),
        (("verify", "--device", "cpu", "--on", "host", "--keep", "/proc/x"), "/proc/x cannot be used"),
        (("verify", "--device", "cpu", "--data", "/nonexistent/data"), "no data at"),
        (("verify", "--from", "/nonexistent"), "holds no evidence"),
        (("nonsense",), "nonsense"),
    ],
)
def test_bad_input_is_one_sentence_and_a_tip(gpucheck: Gpucheck, arguments: tuple[str, ...], said: str) -> None:
    code, out, err = gpucheck(*arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert one_sentence_and_a_tip(err), err


def test_a_record_that_cannot_be_written_leaves_nothing(gpucheck: Gpucheck, tmp_path: Path) -> None:
    code, out, err = gpucheck("doctor", "--record", tmp_path / "absent" / "x.json")
    assert (code, out) == (2, "")
    assert one_sentence_and_a_tip(err), err
    assert not (tmp_path / "absent").exists()


def test_evidence_is_never_mixed(gpucheck: Gpucheck, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    code, _, err = gpucheck("verify", "--device", "cpu", "--on", "host", "--keep", tmp_path / "full")
    assert code == 2
    assert one_sentence_and_a_tip(err), err


def test_no_engine_where_one_was_asked_for(gpucheck: Gpucheck, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    code, _, err = gpucheck("verify", "--device", "cpu", "--on", "docker")
    assert code == 3
    assert one_sentence_and_a_tip(err), err


def test_explain_lists_and_explains_every_rule(gpucheck: Gpucheck) -> None:
    code, out, _ = gpucheck("explain")
    assert code == 0
    for line in out.splitlines():
        code, page, _ = gpucheck("explain", line.split()[0])
        assert code == 0
        assert "needs: " in page


def test_a_bug_of_ours_is_told_as_one(gpucheck: Gpucheck, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpucheck.compat.load", lambda: 1 / 0)
    code, _, err = gpucheck("doctor", "--from", RECORDING)
    assert code == 70
    assert "bug in gpucheck: ZeroDivisionError" in err


def test_windows_is_told_to_use_wsl2(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(sys, "argv", ["gpucheck", "doctor"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert "WSL2" in said
    assert len(said.splitlines()) == 1


def test_the_command_line_loads_where_there_is_no_sighup() -> None:
    """On Windows: there the signal is not even a name, and the sentence above must still come."""
    code = "import signal; del signal.SIGHUP; import gpucheck.cli as cli; print(len(cli.ENDING))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (run.stdout, run.stderr) == ("2\n", "")


def test_an_interrupt_is_not_a_trace(gpucheck: Gpucheck, monkeypatch: pytest.MonkeyPatch) -> None:
    def terminated() -> None:
        raise Interrupted(signal.SIGTERM)

    monkeypatch.setattr("gpucheck.compat.load", terminated)
    assert gpucheck("doctor", "--from", RECORDING)[::2] == (143, "gpucheck: interrupted\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="not run: no /dev/full here")
def test_a_full_disk_is_a_sentence() -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "gpucheck", "doctor", "--from", str(RECORDING)]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 3
    assert "No space left on device" in done.stderr
    assert one_sentence_and_a_tip(done.stderr), done.stderr


def test_a_closed_pipe_is_quiet() -> None:
    command = f"{sys.executable} -m gpucheck doctor --from {RECORDING} | true"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr == ""


def python(code: str, **environment: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    ).stdout


def test_the_command_line_starts_light() -> None:
    loaded = set(json.loads(python("import gpucheck.cli.app, json, sys; print(json.dumps(list(sys.modules)))")))
    heavy = {"docker", "requests", "jinja2", "matplotlib", "pynvml", "yaml", "boto3", "numpy", "tensorflow"}
    assert not heavy & loaded
    version = "import sys; sys.argv = ['gpucheck', '--version']; import gpucheck.cli; gpucheck.cli.main()"
    assert "typer" not in python(f"{version}; print(*sys.modules)")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("gpucheck do", "doctor"),
        ("gpucheck explain driver.libr", "driver.libraries-match"),
        ("gpucheck doctor --only nvml.", "nvml.all-gpus"),
        ("gpucheck build jax-", "jax-cuda13"),
        ("gpucheck verify --framework pyt", "pytorch"),
        ("gpucheck doctor --format ju", "junit"),
    ],
)
def test_completion_knows_commands_rules_recipes_and_choices(shell: str, line: str, offered: str) -> None:
    words = {"bash": {"COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}}.get(
        shell, {"_TYPER_COMPLETE_ARGS": line}
    )
    action = {"_TYPER_COMPLETE_FISH_ACTION": "get-args"} if shell == "fish" else {}
    out = subprocess.run(
        [sys.executable, "-m", "gpucheck"], capture_output=True, text=True, check=False,
        env={**os.environ, **words, **action, "_GPUCHECK_COMPLETE": f"complete_{shell}"},
    ).stdout  # fmt: skip
    assert offered in out
