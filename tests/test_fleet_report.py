"""`gpucheck fleet report`: its exit codes, its history and its formats."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from gpucheck import matrix
from gpucheck.model import Status
from tests.conftest import Gpucheck
from tests.made_up import synthetic
from tests.made_up.small import Judged, bad, good, judge, lines, verdicts, write


@pytest.fixture
def judged(gpucheck: Gpucheck) -> Judged:
    return judge(gpucheck)


def test_exit_codes_are_the_worst_of_all(judged: Judged, tmp_path: Path) -> None:
    fine = write(tmp_path / "fine", good("n1"), good("n2"))
    assert judged(fine)[0] == 0
    assert judged(fine, "--expect", "n1,n2,n3")[0] == 3
    assert judged(write(tmp_path / "unknown", good("n1"), bad("n2", status=Status.UNKNOWN)))[0] == 3
    assert judged(write(tmp_path / "fail", good("n1"), bad("n2")), "--expect", "n3")[0] == 1


def test_a_missing_node_is_a_row_and_never_green(judged: Judged, tmp_path: Path) -> None:
    (tmp_path / "nodes").write_text("n1 n2  # the rack\nn3\n")
    _, made = judged(write(tmp_path / "r", good("n1.cluster"), good("x9")), "--expect", tmp_path / "nodes")
    assert verdicts(made) == {"n2": "missing", "n3": "missing", "n1": "pass", "x9": "pass"}
    assert [(each["said"], each["number"]) for each in made["causes"]] == [(matrix.NO_REPORT, 2)]
    assert "nobody expected x9" in made["remarks"][0]


def test_the_same_cause_is_grouped(judged: Judged, tmp_path: Path) -> None:
    broken = [bad(f"n{n}", f"GPU {n} of 8 is lost, driver 570.86.15") for n in range(5)]
    _, made = judged(write(tmp_path / "r", *broken, bad("n9", "driver 570.124.06")))
    assert [(each["number"], each["said"]) for each in made["causes"]] == [
        (5, "… is lost, driver 570.86.15"), (1, "driver 570.124.06"),
    ]  # fmt: skip


def test_history(judged: Judged, gpucheck: Gpucheck, tmp_path: Path) -> None:
    before = write(tmp_path / "before", good("a"), bad("b"), bad("c", "worse"), good("d"), good("same"))
    now = write(tmp_path / "now", bad("a"), good("b"), bad("c", "worse"), good("e"), good("same"))
    _, made = judged(now, "--before", before)
    assert [(each["what"], each["node"]) for each in made["changes"]] == [
        ("new", "a"), ("still", "c"), ("mended", "b"), ("gone", "d"), ("came", "e"),
    ]  # fmt: skip
    assert [each["what"] for each in judged(now, "--before", before, "--expect", "d")[1]["changes"]].count("gone") == 0
    assert judged(now, "--before", now)[1]["changes"][0]["what"] == "still"
    assert judged(now)[1]["changes"] is None
    code, out, _ = gpucheck("fleet", "report", before / "a.json", "--before", before / "a.json")
    assert (code, "nothing has changed since" in out) == (0, True)


def test_formats(gpucheck: Gpucheck, tmp_path: Path) -> None:
    folder = write(tmp_path / "r", *synthetic.reports(synthetic.seeded(40, seed=2)), bad("<script>\x1b[31m"))
    (folder / "<script>\x1b[31m.json").rename(folder / "evil.json")
    before = write(tmp_path / "b", good("n00001"))
    for format in ("terminal", "html", "json", "junit", "prometheus"):
        code, out, err = gpucheck(
            "fleet", "report", folder, "--expect", "n99999", "--before", before, "--format", format
        )
        assert (code, err) == (1, "")
        assert "n99999" in out
        assert "\x1b" not in out
        if format == "html":
            assert "<script>" not in out
            assert "Odd ones out" in out
            assert "Since the earlier run" in out
        if format == "junit":
            (suite,) = ET.fromstring(out)  # noqa: S314 - ours
            assert suite.get("tests") == "42"
            assert int(suite.get("failures", 0)) >= 1
            assert suite.get("errors") == "1"
            assert "odd: " in out
        if format == "prometheus":
            assert 'gpucheck_fleet_nodes{verdict="missing"} 1.0' in out
            assert 'gpucheck_fleet_node{command="",host="n99999",rule="",verdict="missing"} 1.0' in out
            assert "gpucheck_fleet_exit_code 1.0" in out
            assert "gpucheck_fleet_odd{" in out


def test_a_fleet_is_written_to_a_file_and_never_over_a_report(gpucheck: Gpucheck, tmp_path: Path) -> None:
    folder = write(tmp_path / "r", good("n1"))
    code, out, _ = gpucheck("fleet", "report", folder, "--format", "html", "-o", tmp_path / "out.html")
    assert (code, out) == (0, "")
    assert (tmp_path / "out.html").read_text().startswith("<!doctype html>")
    code, _, err = gpucheck("fleet", "report", folder, "-o", folder / "n1.json")
    assert (code, "is one of the reports" in err) == (2, True)
    assert (folder / "n1.json").read_text() == lines(good("n1"))


def test_an_expectation_that_names_nobody(gpucheck: Gpucheck, tmp_path: Path) -> None:
    folder = write(tmp_path / "r", good("n1"))
    code, _, err = gpucheck("fleet", "report", folder, "--expect", " , ")
    assert (code, "names no node" in err) == (2, True)


def test_a_set_of_nodes(gpucheck: Gpucheck, judged: Judged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "r", good("n1"))
    assert len(judged(folder, "--expect", "n[1-4]")[1]["nodes"]) == 4
    monkeypatch.delitem(sys.modules, "gpucheck.fleets.ssh_nodes", raising=False)
    monkeypatch.delattr("gpucheck.fleets.ssh_nodes", raising=False)
    monkeypatch.setitem(sys.modules, "ClusterShell.NodeSet", None)
    code, _, err = gpucheck("fleet", "report", folder, "--expect", "n[1-4]")
    assert (code, "needs ClusterShell" in err) == (2, True)


def test_who_did_not_answer_a_run_is_missing_from_its_folder(judged: Judged, tmp_path: Path) -> None:
    folder = write(tmp_path / "r", good("n1"))
    (folder / "nodes").write_text("n1\nn2\n")
    code, made = judged(folder)
    assert (code, verdicts(made)) == (3, {"n2": "missing", "n1": "pass"})
    assert judged(folder, "--expect", "n1,n2")[1]["counts"] == {"missing": 1, "pass": 1}
    (folder / "nodes").write_text("n[1-2]  # mine\n")
    assert judged(folder)[0] == 0


def test_many_expected_nodes_are_no_file(judged: Judged, gpucheck: Gpucheck, tmp_path: Path) -> None:
    folder = write(tmp_path / "r", good("n1"))
    assert (
        judged(folder, "--expect", ",".join(f"n{number}" for number in range(1, 2001)))[1]["counts"]["missing"] == 1999
    )
    for words in (("--expect", "nosuch.txt"), ("--expect", "lists/nosuch"), ("--before", tmp_path / "nosuch")):
        assert gpucheck("fleet", "report", folder, *words)[0] == 2


def test_a_report_without_a_command_is_no_other_machine_s(judged: Judged, tmp_path: Path) -> None:
    folder = write(tmp_path / "r", replace(good("n1"), command=""))
    (folder / "n1.json").rename(folder / "n2.json")
    code, made = judged(folder, "--expect", "n2")
    assert (code, verdicts(made)) == (3, {"n2": "unknown"})


def test_an_older_no_of_the_same_name_is_told(judged: Judged, tmp_path: Path) -> None:
    folder = write(tmp_path / "r", bad("n1"))
    (folder / "all.jsonl").write_text(lines(replace(good("n1"), when="2026-01-03T00:00:00+00:00")))
    code, made = judged(folder)
    assert (code, made["remarks"]) == (0, ["n1 has several reports: the newest counts"])
