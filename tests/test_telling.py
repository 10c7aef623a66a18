"""Which report is whose: reports under another name, machines with one name, one machine twice, one GPU twice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gpucheck import matrix
from gpucheck.model import Report
from gpucheck.nodes import Arrived, Unread, same_name
from tests.made_up import synthetic
from tests.made_up.small import bad
from tests.made_up.synthetic import Made


def machine(place: int, host: str, when: str = synthetic.WHEN) -> Report:
    return replace(synthetic.report(Made(number=9, seed=5), place), host=host, when=when)


def of(*came: Arrived | Unread, expected: tuple[str, ...] = ()) -> dict[str, str]:
    return {row.name: f"{row.kind}: {row.said}" for row in matrix.collect(came, expected).nodes}


def test_a_report_that_claims_to_be_another_host() -> None:
    told = of(
        Arrived(machine(3, "n4"), "n3.json", "n3"), Arrived(machine(4, "n4"), "n4.json", "n4"), expected=("n3", "n4")
    )
    assert told["n3"] == "unknown: its report (n3.json) says that it is n4"
    assert told["n4"].startswith("pass")
    # A file that is named otherwise is nobody's claim.
    assert of(Arrived(machine(3, "n4"), "monday.json", "monday"))["n4"].startswith("pass")


def test_a_failure_under_another_name_stays_one() -> None:
    assert of(Arrived(bad("n4"), "n3.json", "n3"), expected=("n3",))["n3"].startswith("fail: its report")


def test_two_machines_with_one_name_are_both_in_doubt() -> None:
    rows = matrix.collect([Arrived(machine(1, "n1"), "a.json"), Arrived(machine(2, "n1"), "b.json")]).nodes
    assert [(row.name, row.kind) for row in rows] == [("n1", "unknown")] * 2
    assert "2 machines have this name (a.json, b.json)" in rows[0].reason


def test_of_one_machine_the_newest_report_counts() -> None:
    old = replace(machine(1, "n1", "2026-11-24T00:00:00+00:00"), findings=bad("n1").findings)
    fleet = matrix.collect([Arrived(machine(1, "n1"), "b.json"), Arrived(old, "a.json")])
    assert fleet.counts == {"pass": 1}
    assert fleet.remarks == ("n1 has several reports: the newest counts",)


def test_a_gpu_is_in_one_machine_alone() -> None:
    told = of(Arrived(machine(1, "n1"), "a"), Arrived(machine(1, "n2"), "b"), Arrived(machine(2, "n3"), "c"))
    assert [said.partition(":")[0] for said in told.values()] == ["unknown", "unknown", "pass"]
    assert told["n1"].endswith("its GPUs are those of n2 too")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("n1", "N1", True),
        ("n1", "n1.a", True),
        ("n1.a", "n1.b", False),
        ("10", "10.0.0.1", False),
        ("n1", "n10", False),
    ],
)
def test_names(one: str, other: str, same: bool) -> None:
    assert same_name(one, other) is same
    assert same_name(other, one) is same
