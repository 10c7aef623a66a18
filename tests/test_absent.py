"""Lines among the reports that say why none came from a node: a row each, and none where its report is there too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gpucheck import absent, gathering, matrix
from gpucheck.nodes import REASON, Unread
from tests.made_up.small import good, lines


def told(path: Path) -> dict[str, str]:
    return {row.name: f"{row.kind}: {row.reason}" for row in matrix.collect(gathering.each([path])).nodes}


def row(why: object, **node: object) -> str:
    return json.dumps({**node, "missing": why}) + "\n"


def test_a_node_is_missing_with_the_reason_that_was_told(tmp_path: Path) -> None:
    file = tmp_path / "all.jsonl"
    file.write_text(row("it was asked", node="n1") + row("it was asked", node="n2") + lines(good("n1.cluster")) +
                    row("no route to host", node="n2"))  # fmt: skip
    assert told(file) == {"n1.cluster": "pass: 1 of 1 rules hold", "n2": "missing: no route to host"}
    file.write_text(row("it was asked", node="n1"))
    assert told(file) == {"n1": "missing: it was asked"}
    file.write_text(row("it was asked", node="1st") + lines(good("1st.cluster")))
    assert told(file) == {"1st.cluster": "pass: 1 of 1 rules hold"}
    file.write_text(lines(good("10.0.0.7")) + row("dead", node="10.0.0.8"))
    assert told(file)["10.0.0.8"] == "missing: dead"
    file.write_text(lines(good("n1.east"), good("n2")) + row("dead", node="n1.west") + row("dead", node="n2.west"))
    assert told(file) == {"n1.west": "missing: dead", "n1.east": "pass: 1 of 1 rules hold",
                          "n2": "pass: 1 of 1 rules hold"}  # fmt: skip


def test_a_row_alone_is_of_whom_its_file_is(tmp_path: Path) -> None:
    (tmp_path / "n7.json").write_text(row("it was not reached"))
    (tmp_path / "n8.json").write_text(row("it was not reached", node="n8.cluster"))
    (tmp_path / "nodes").write_text("n7\nn8\nn9\n")
    (tmp_path / "all.jsonl").write_text(row("nobody's"))
    assert told(tmp_path) == {
        "n7": "missing: it was not reached", "n8.cluster": "missing: it was not reached",
        "n9": "missing: it was asked, and no report came from it",
        str(tmp_path / "all.jsonl")[-120:]: "unread: it is no report of gpucheck",
    }  # fmt: skip


@pytest.mark.parametrize(
    "data",
    [
        {"missing": 1, "node": "n"},
        {"missing": "x", "node": ["n"]},
        {"missing": "x"},
        {"missing": "x", "node": " \x1b"},
        {"missing": "x", "node": "n", "findings": []},
        ["missing"],
    ],
)
def test_what_is_no_such_row(data: object) -> None:
    assert not absent.Absent(None).took(data)


def test_what_is_kept_is_bounded_and_can_be_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(absent, "MOST", 2)
    kept = absent.Absent(None)
    assert [kept.took({"missing": "\x1b[2Jx" * 1000, "node": name}) for name in ("a", "b\x07", "c", "a")] == [
        True, True, False, True,
    ]  # fmt: skip
    rows = list(kept.rows("file"))
    assert [each.node for each in rows] == ["a", "b"]
    assert all(isinstance(each, Unread) and len(each.why) <= REASON and each.why.isprintable() for each in rows)
