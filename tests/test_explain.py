"""`gpucheck explain` as it is typed: rules, Xids, numbers, texts, logs by path and on stdin, and what is not known."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from gpucheck import answers, compat, signatures
from tests.conftest import Gpucheck

LOG = (
    "starting\n"
    "[   17.1] NVRM: API mismatch: the client has the version 570.148.08, but\r\n"
    "RuntimeError: CUDA unknown error - this may be due to an incorrectly set up environment\n"
    "[   17.2] NVRM: API mismatch: the client has the version 570.148.08, but\n"
    "NVRM: Xid (PCI:0000:44:00): 79, pid=1, GPU has fallen off the bus\n"
)


def piped(log: str | bytes, *arguments: str) -> tuple[int, str, str]:
    data = log.encode() if isinstance(log, str) else log
    done = subprocess.run([sys.executable, "-m", "gpucheck", "explain", *arguments], input=data, capture_output=True)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def ids(out: str) -> list[str]:
    return [answer["id"] for answer in json.loads(out)["answers"]]


def test_no_argument_lists_the_rules(gpucheck: Gpucheck) -> None:
    code, out, _ = gpucheck("explain")
    assert code == 0
    assert "pci.gpu-present" in out
    code, lines, _ = gpucheck("explain", "--format", "json")
    assert len(lines.splitlines()) == len(out.splitlines())
    assert json.loads(lines.splitlines()[0])["rule"] == out.split()[0]


def test_a_rule_in_both_formats(gpucheck: Gpucheck) -> None:
    code, page, _ = gpucheck("explain", "driver.libraries-match")
    assert code == 0
    assert "$ sudo modprobe" in page
    data = json.loads(gpucheck("explain", "driver.libraries-match", "--format", "json")[1])
    assert data["fix"]["commands"]


@pytest.mark.parametrize("asked", [("xid", "79"), ("xid:79",), ("Xid 79",), ("XID79",)])
def test_an_xid(gpucheck: Gpucheck, asked: tuple[str, ...]) -> None:
    code, out, err = gpucheck("explain", *asked)
    assert (code, err) == (0, "")
    assert "bus" in out
    assert "gpucheck doctor --only kernel_log.no-gpu-off-the-bus" in out


def test_every_xid_of_the_table_has_an_answer() -> None:
    for row in compat.load().xids:
        answer = answers.of_xid(row.code)
        assert row.meaning in answer.meaning
        assert answer.fix.text
        assert answer.rule in answers.RULES


@pytest.mark.parametrize("asked", ["802", "CUDA error 802", "cuda error: 802", "Error 802", "cudaErrorSystemNotReady"])
def test_the_number_of_a_cuda_error(gpucheck: Gpucheck, asked: str) -> None:
    code, out, _ = gpucheck("explain", asked, "--format", "json")
    assert (code, ids(out)) == (0, ["fabric-not-ready"])


def test_an_error_text_in_quotes_or_not(gpucheck: Gpucheck) -> None:
    for words in (("could not select device driver",), ("could", "not", "select", "device", "driver")):
        code, out, _ = gpucheck("explain", *words)
        assert code == 0
        assert "nvidia-container-toolkit" in out


def test_the_id_of_an_answer(gpucheck: Gpucheck) -> None:
    for row in signatures.load():
        assert ids(gpucheck("explain", row.id, "--format", "json")[1]) == [row.id]


def test_what_an_engine_refuses_is_told_by_the_table_of_refusals(gpucheck: Gpucheck) -> None:
    code, out, _ = gpucheck("explain", "executor failed running [/bin/sh -c true]: network bridge not found")
    assert code == 0
    assert "--network host" in out


def test_a_log_by_its_path(gpucheck: Gpucheck, tmp_path: Path) -> None:
    (tmp_path / "my log.txt").write_text(LOG, newline="")
    code, out, err = gpucheck("explain", tmp_path / "my log.txt")
    assert (code, err) == (0, "")
    first, *_ = out.splitlines()
    assert "3 known of 5 lines" in first
    assert out.index("1. driver-library-mismatch (2 lines, the first is 2)") < out.index("2. xid-79 (line 5)")
    assert out.index("2. xid-79") < out.index("3. cuda-unknown-error (line 3)")
    assert "   | [   17.1] NVRM: API mismatch: the client has the version 570.148.08, but\n" in out


def test_a_zipped_log(gpucheck: Gpucheck, tmp_path: Path) -> None:
    (tmp_path / "x.gz").write_bytes(gzip.compress(LOG.encode()))
    assert ids(gpucheck("explain", tmp_path / "x.gz", "--format", "json")[1])[0] == "driver-library-mismatch"
    (tmp_path / "x.gz").write_bytes(gzip.compress(LOG.encode())[:-5])
    code, out, err = gpucheck("explain", tmp_path / "x.gz", "--format", "json")
    assert (code, ids(out)[0]) == (0, "driver-library-mismatch")
    assert "is damaged, and was read up to there" in err


def test_a_log_on_stdin() -> None:
    for arguments in ((), ("-",)):
        code, out, err = piped(LOG, *arguments)
        assert (code, err) == (0, "")
        assert out.startswith("stdin: 3 known of 5 lines, the likeliest cause first\n")


def test_an_empty_pipe_is_no_log() -> None:
    code, out, _ = piped("")
    assert code == 0
    assert "pci.gpu-present" in out


def test_json_of_a_log() -> None:
    code, out, _ = piped(LOG, "--format", "json")
    data = json.loads(out)
    assert (code, data["log"], data["lines"], data["cut"]) == (0, "stdin", 5, 0)
    first = data["answers"][0]
    assert (first["count"], first["line"], first["rule"]) == (2, 2, "driver.libraries-match")
    assert first["fix"]["commands"]


def test_nothing_known_is_said_and_is_exit_code_1(gpucheck: Gpucheck) -> None:
    code, out, err = gpucheck("explain", "the quick brown fox")
    assert (code, out) == (1, "")
    assert f"none of the {len(signatures.load())} messages" in err
    assert "tip: " in err
    code, out, _ = gpucheck("explain", "the quick brown fox", "--format", "json")
    assert (code, ids(out)) == (1, [])
    code, out, err = piped("one\ntwo\n")
    assert (code, out) == (1, "")
    assert "in the 2 lines of stdin" in err
    code, out, err = gpucheck("explain", "xid", "9999")
    assert (code, out) == (1, "")


def test_a_line_that_was_cut_is_said_to_be() -> None:
    code, _, err = piped(b"x" * (3 << 20) + b" CUDA out of memory")
    assert code == 1
    assert "1 line was longer than 1 MB" in err


def test_what_is_not_there_is_bad_input(gpucheck: Gpucheck, tmp_path: Path) -> None:
    for asked, said in (
        ("pci.gpu-presen", "did you mean pci.gpu-present?"),
        (tmp_path / "absent.log", "there is no file"),
        (tmp_path, "is a folder"),
        ("absent.log", "there is no file absent.log"),
    ):
        code, out, err = gpucheck("explain", asked)
        assert (code, out) == (2, "")
        assert said in err


def test_what_a_log_holds_cannot_steer_the_terminal() -> None:
    _, out, _ = piped(b"\x1b]0;owned\x07 \x9b31m\x07 CUDA out of memory \x08\x08\x1b[2J\n")
    assert "CUDA out of memory" in out
    assert all(char.isprintable() or char == "\n" for char in out)


def test_doctor_does_not_pay_for_it() -> None:
    program = (
        "import gpucheck.cli.app, sys; print([m for m in ('answers', 'signatures') if f'gpucheck.{m}' in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
