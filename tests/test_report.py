"""`gpucheck report`: what it reads, what it writes, and that bad input costs one sentence and leaves nothing behind."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gpucheck import codec, reports
from gpucheck.facts import Facts
from gpucheck.model import Failure, Finding, Report, Severity, Status
from gpucheck.render import json as json_lines
from tests.conftest import Gpucheck

RECORDING = Path(__file__).parent / "machines" / "debian12-no-gpu" / "recording.json"
ONE = Report(
    tool="gpucheck 0", when="2026-01-02T03:04:05+00:00", host="box", command="doctor", facts=Facts(),
    findings=(Finding(rule="pci.gpu-present", title="t", severity=Severity.ERROR, status=Status.PASS, message="m"),),
)  # fmt: skip


def lines(*hosts: str) -> str:
    return json_lines.render([replace(ONE, host=host) for host in hosts])


def hosts(*paths: Path) -> list[str]:
    return [report.host for report in reports.read(reports.files(paths))]


def test_every_way_in_which_reports_are_kept(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(lines("one"))
    (tmp_path / "b.jsonl").write_text("\n" + lines("two", "three") + "\n\n")
    (tmp_path / "c.json").write_text(json.dumps(codec.dump(replace(ONE, host="four")), indent=2))
    (tmp_path / "d.json").write_text(json.dumps([codec.dump(ONE), codec.dump(ONE)], indent=2))
    (tmp_path / "e.json").write_text(json.dumps({"kind": "gpucheck bundle", "report": codec.dump(ONE)}))
    (tmp_path / "f.json").write_bytes(b"\xef\xbb\xbf" + lines("bom").encode())
    (tmp_path / "notes.txt").write_text("no report")
    assert hosts(tmp_path) == ["one", "two", "three", "four", "box", "box", "box", "bom"]
    assert hosts(tmp_path / "b.jsonl", tmp_path / "a.json") == ["two", "three", "one"]


def test_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(lines("piped").encode())))
    assert hosts(Path("-")) == ["piped"]


def test_reports_come_one_by_one(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(lines("one", "two") + "torn")
    coming = reports.read([tmp_path / "a.jsonl"])
    assert [next(coming).host, next(coming).host] == ["one", "two"]
    with pytest.raises(Failure, match="line 3 is not JSON"):
        next(coming)


def changed(**more: Any) -> str:
    return json.dumps({**codec.dump(ONE), **more})


BAD = {
    "newer": (changed(schema=99, more=1), "is of a newer gpucheck: its schema is 99", "update gpucheck"),
    "unknown fact": (
        changed(facts={"known": {"Aura": {}}, "unknown": {}}, tool="gpucheck 9"), "of gpucheck 9, which", "newer",
    ),
    "torn": (lines("one")[:-60], "is not whole: line 1", "copy it again"),
    "torn document": (json.dumps(codec.dump(ONE), indent=1)[:-60], "is not whole: line", "copy it again"),
    "a log": ("Nov 25 box kernel: hello\n", "is no report of gpucheck: it is not JSON", "make one"),
    "other JSON": ('{"a": 1}', "is no report of gpucheck", "make one"),
    "a list of nothing": ("[]", "is no report of gpucheck", "make one"),
    "a recording": (RECORDING.read_text(), "is no report of gpucheck", "doctor --from"),
    "empty": ("\n \n", "is empty", "make one"),
    "brackets": ("[" * 100_000, "is no report of gpucheck", "make one"),
    "a long number": ('{"a": ' + "9" * 6000 + "}", "is no report of gpucheck", "make one"),
    "a huge float": (changed(strict=10**400), "is a report", "use the gpucheck"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_costs_one_sentence_and_leaves_the_old_page(gpucheck: Gpucheck, tmp_path: Path, name: str) -> None:
    text, sentence, tip = BAD[name]
    (tmp_path / "good.json").write_text(lines("good"))
    (tmp_path / "x.json").write_text(text)
    (tmp_path / "out.html").write_text("old")
    code, out, err = gpucheck("report", tmp_path / "good.json", tmp_path / "x.json", "-o", tmp_path / "out.html")
    assert (code, out) == (2, "")
    said, told = err.strip().splitlines()
    assert sentence in said
    assert "x.json" in said
    assert tip in told
    assert (tmp_path / "out.html").read_text() == "old"
    assert not list(tmp_path.glob(".*"))


def test_binary_and_missing_files_and_folders(gpucheck: Gpucheck, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(b"\x7fELF\x00\xff")
    (tmp_path / "y.json").write_bytes(b'{"a": "\xff\xfe"}')
    (tmp_path / "folder").mkdir()
    for given, sentence in (
        ("x.json", "is no report"), ("y.json", "is no report"), ("none.json", "cannot be read: No such file"),
        ("folder", "has no report in it"),
    ):  # fmt: skip
        code, _, err = gpucheck("report", tmp_path / given)
        assert code == 2
        assert sentence in err
        assert len(err.splitlines()) == 2


def test_a_file_is_given_once_and_is_not_overwritten(gpucheck: Gpucheck, tmp_path: Path) -> None:
    file, link = tmp_path / "a.json", tmp_path / "b.json"
    file.write_text(lines("one"))
    link.symlink_to(file)
    assert "are the same file" in gpucheck("report", file, link)[2]
    assert "is given twice" in gpucheck("report", file, file)[2]
    assert "is given twice" in gpucheck("report", "-", "-")[2]
    code, _, err = gpucheck("report", file, "-o", link)
    assert (code, "is one of the reports" in err) == (2, True)
    assert file.read_text() == lines("one")


def test_an_unwritable_target(gpucheck: Gpucheck, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(lines("one"))
    code, _, err = gpucheck("report", file, "-o", tmp_path / "none" / "out.html")
    assert (code, "cannot be written" in err) == (2, True)


def test_a_missing_package_is_named_before_anything_is_done(
    gpucheck: Gpucheck, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("jinja2", "matplotlib"):
        with monkeypatch.context() as here:
            here.setitem(sys.modules, package, None)
            code, _, err = gpucheck(
                "doctor", "--from", RECORDING, "--format", "html", "--output", tmp_path / "out.html"
            )
        assert code == 2
        assert f"the format html needs the package {package}" in err
        assert "pip install jinja2 matplotlib seaborn" in err
    assert not list(tmp_path.iterdir())


def test_pages_of_every_command_that_judges(gpucheck: Gpucheck, tmp_path: Path) -> None:
    code, out, _ = gpucheck("doctor", "--from", RECORDING, "--format", "html")
    assert (code, out.startswith("<!doctype html>")) == (1, True)
    (tmp_path / "a.json").write_text(gpucheck("doctor", "--from", RECORDING, "--format", "json")[1])
    code, out, _ = gpucheck("report", tmp_path / "a.json", "--format", "markdown")
    assert (code, out.startswith("### ❌")) == (0, True)
    code, _, _ = gpucheck("report", tmp_path / "a.json", "-o", tmp_path / "out.html")
    assert code == 0
    assert "there is no NVIDIA GPU on the PCI bus" in (tmp_path / "out.html").read_text(encoding="utf-8")
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["a.json", "out.html"]


def test_a_page_is_utf_8_whatever_the_locale_is(gpucheck: Gpucheck, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(lines("日本 \\ud800"), encoding="utf-8")
    gpucheck("report", tmp_path / "a.json", "-o", tmp_path / "out.html")
    assert "日本" in (tmp_path / "out.html").read_bytes().decode()


def test_plots(gpucheck: Gpucheck, tmp_path: Path) -> None:
    from tests.render.test_html import of

    run = replace(of("derived-tensorflow-gpu", "verify"), host="../<script>")
    (tmp_path / "run.json").write_text(json_lines.render([run]))
    (tmp_path / "host.json").write_text(lines("box"))
    code, out, err = gpucheck("report", tmp_path / "run.json", "--plots", tmp_path / "plots")
    assert (code, out, err) == (0, "", "")
    pictures = {path.name: path.read_bytes() for path in (tmp_path / "plots").iterdir()}
    assert {"confusion.png", "learning.png", "ops_by_device.png"} <= set(pictures)
    assert all(data.startswith(b"\x89PNG\r\n") for data in pictures.values())
    gpucheck("report", tmp_path / "host.json", tmp_path / "run.json", "--plots", tmp_path / "two")
    assert (tmp_path / "two" / "2-script-confusion.png").exists()
    code, _, err = gpucheck("report", tmp_path / "host.json", "--plots", tmp_path / "none")
    assert (code, "anything to plot" in err) == (2, True)
    assert not (tmp_path / "none").exists()
    (tmp_path / "file").write_text("")
    code, _, err = gpucheck("report", tmp_path / "run.json", "--plots", tmp_path / "file")
    assert (code, "cannot be written" in err) == (2, True)
