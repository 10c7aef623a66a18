"""What a run leaves beside its reports, and that its folder is judged later as the run judged it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gpucheck import gathering, matrix, rosters
from gpucheck.cli.fleet_answers import Home
from gpucheck.fleets import slurm_home
from gpucheck.fleets.runs import Answer
from gpucheck.matrix import Fleet
from gpucheck.model import Report
from gpucheck.rosters import Roster
from tests.conftest import Gpucheck
from tests.made_up.small import Judged, bad, good, judge, lines, verdicts, write


@pytest.fixture
def judged(gpucheck: Gpucheck) -> Judged:
    return judge(gpucheck)


def at(report: Report, minutes: float, zone: Any = UTC) -> Report:
    when = datetime.now(UTC) + timedelta(minutes=minutes)
    return replace(report, when=when.astimezone(zone).isoformat(timespec="seconds"))


def ran(folder: Path, *answers: Answer) -> tuple[Fleet, str]:
    """The fleet of a run that these answers came to, and the lines that it told; its reports are in the folder."""
    said: list[str] = []
    shown: Any = SimpleNamespace(console=SimpleNamespace(print=lambda line, *_, **__: said.append(line)))
    folder.mkdir()
    home = Home(folder, "doctor")
    fleet = matrix.collect(home.came(iter(answers), shown), home.expected)
    home.close()
    return fleet, "\n".join(said)


def answer(node: str, report: Report, named: bool = True) -> Answer:
    return Answer(node=node, report=lines(report).encode(), named=named)


def rows(fleet: Fleet) -> list[tuple[str, str, str]]:
    return [(row.name, row.kind, row.said) for row in fleet.nodes]


def later(*paths: Path, expected: tuple[str, ...] = ()) -> Fleet:
    return matrix.collect(gathering.each(paths), expected)


def test_an_alias_is_the_row_s_name_in_the_folder_too(judged: Judged, tmp_path: Path) -> None:
    folder = tmp_path / "r"
    fleet, said = ran(
        folder, answer("ana@gpu-a", at(good("box1"), 0), False), answer("10.0.0.7", at(bad("box2"), 0), False),
        answer("n3", at(good("n3.cluster"), 0)), Answer(node="n4", why="it is down"),
    )  # fmt: skip
    assert "gpu-a  it calls itself box1: " in said
    told = {"n4": "missing", "10.0.0.7": "fail", "gpu-a": "pass", "n3": "pass"}
    assert {name: kind for name, kind, _ in rows(fleet)} == told
    for given in (
        (folder,),
        (folder, "--expect", folder / "nodes"),
        (*sorted(folder.glob("*.json")), "--expect", "n4"),
    ):
        assert {name.partition(".cluster")[0]: kind for name, kind in verdicts(judged(*given)[1]).items()} == told
    assert judged(folder, "--before", folder)[1]["changes"] == judged(folder, "--before", folder)[1]["changes"]
    assert json.loads((folder / "gpu-a.json").read_bytes())["host"] == "box1"  # as it came
    assert judged(folder, "--expect", folder / "nodes")[1]["remarks"] == []


def test_who_claims_a_name_without_an_alias_is_still_in_doubt(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    fleet, _ = ran(folder, answer("n1", at(good("n2"), 0)), answer("n2", at(good("n2"), 0)))
    assert ("n1", "unknown") in [row[:2] for row in rows(fleet)]
    assert rows(later(folder, expected=("n1", "n2")))[0][:2] == ("n1", "unknown")


@pytest.mark.parametrize(
    ("report", "kind", "word"),
    [
        (lambda: at(good("n1"), -11), "unknown", "an old file, or a clock that is late"),
        (lambda: at(bad("n1"), -60 * 24 * 400), "fail", "an old file"),
        (lambda: at(good("n1"), -9), "pass", ""),  # clocks differ
        (lambda: at(good("n1"), 600), "pass", ""),
        (lambda: at(good("n1"), 0, timezone(timedelta(hours=-5))), "pass", ""),
        (
            lambda: replace(at(good("n1"), 0), command="verify"),
            "unknown",
            "its report is of verify, and doctor was asked",
        ),
        (lambda: replace(good("n1"), when="soon"), "unknown", "does not say when it was made ('soon')"),
        (lambda: replace(good("n1"), when="0001-01-01T00:00:00+23:59"), "unknown", "an old file"),
    ],
)
def test_a_report_from_before_the_run_is_no_answer(
    tmp_path: Path, report: Callable[[], Report], kind: str, word: str
) -> None:
    folder = tmp_path / "r"
    fleet, said = ran(folder, answer("n1", report()))
    for found in (fleet, later(folder), later(folder, expected=("n1",))):
        ((_, verdict, told),) = rows(found)
        assert verdict == kind
        assert word in told
        assert word in said
    assert ("and the run began at " in said) is ("old file" in word)


def test_what_a_node_says_of_others_is_no_report_of_theirs(tmp_path: Path) -> None:
    """As in the run, so in its folder: a second line is of the same node, and no verdict on another."""
    folder = tmp_path / "r"
    said = lines(at(good("n2"), 0), at(good("n1"), 1), at(bad("n3"), 1)).encode() + b'{"node": "n3", "missing": "x"}'
    fleet, _ = ran(
        folder, answer("n1", at(bad("n1"), 0)), Answer(node="n2", report=said), answer("n3", at(good("n3"), 0))
    )
    for found in (fleet, later(folder), later(folder, expected=("n1", "n2", "n3"))):
        kinds = {(row.name, row.kind) for row in found.nodes}
        assert {kind for name, kind in kinds if name == "n1"} == {"fail"}
        assert {kind for name, kind in kinds if name == "n3"} == {"pass"}
        assert ("n2", "unknown") in kinds or ("n2", "fail") in kinds


def test_the_folder_of_slurm_s_jobs_says_since_when(judged: Judged, tmp_path: Path) -> None:
    folder = write(tmp_path / "r", at(good("n1"), 0), at(good("n2"), -100))
    slurm_home.note(folder, "doctor", ["n1", "n2", "n3"])
    assert verdicts(judged(folder)[1]) == {"n3": "missing", "n2": "unknown", "n1": "pass"}
    (folder / "n3.json").write_text(lines(at(good("box3"), 0)))  # NodeName=n3 NodeHostname=box3
    slurm_home.note(folder, "doctor", ["n1", "n3"], {"n3"})
    assert verdicts(judged(folder, "--expect", "n1,n3")[1]) == {"n1": "pass", "n2": "pass", "n3": "pass"}
    begun = slurm_home.Begun(name="", folder=folder, at=0.0, deadline=0.0, renamed=frozenset({"n3"}))
    assert [begun.answer(node, b"").named for node in ("n1", "n3")] == [True, False]


def test_a_folder_of_an_older_gpucheck_has_names_alone(judged: Judged, tmp_path: Path) -> None:
    folder = write(tmp_path / "r", good("n1"))
    (folder / "nodes").write_text("n1\nn2\n")
    assert verdicts(judged(folder)[1]) == {"n2": "missing", "n1": "pass"}


@pytest.mark.parametrize(
    "theirs", ["n1  # mine\n", "# gpucheck asked these for x since ever\nn[1-9]\n", "\0" * 99, "n1 n2\n"]
)
def test_somebody_s_own_file_is_none_of_ours(tmp_path: Path, theirs: str) -> None:
    (tmp_path / "nodes").write_text(theirs)
    assert rosters.read(tmp_path) == Roster()


def test_a_list_of_long_ago(tmp_path: Path) -> None:
    folder = write(tmp_path / "r", at(good("n1"), 0))
    (folder / "nodes").write_text("# gpucheck asked these for doctor since 0001-01-01T00:00:00\nn1\n")
    assert [row[:2] for row in rows(later(folder))] == [("n1", "pass")]


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    roster = Roster({"a": False, "fe80::1": True, "n1.cluster": False}, rosters.now(), "verify")
    (tmp_path / "nodes").write_text(rosters.text(roster))
    assert rosters.read(tmp_path) == roster
