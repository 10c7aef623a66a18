"""Which report is whose: reports under another name, machines with one name, one machine twice, one GPU twice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gpucheck import matrix
from gpucheck.facts import Facts, KernelLog
from gpucheck.model import Report
from gpucheck.nodes import Arrived, Unread, same_name
from tests.made_up import synthetic
from tests.made_up.small import bad, good
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


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("2026-11-25T01:00:00+02:00", "2026-11-24T23:30:00+00:00"),  # by their text it is the other way round
        ("2026-11-25T01:00:00", "2026-11-25T01:30:00Z"),
        ("2026-11-25T23:59:00Z", "20261126T000000Z"),
        ("yesterday", "2026-11-24T23:30:00+00:00"),
        ("", "2026-11-24T23:30:00+00:00"),
        ("9999-99-99T00:00:00+00:00", "0001-01-01T00:00:00+23:59"),
    ],
)
def test_the_newest_is_so_by_its_time_and_not_by_its_text(older: str, newer: str) -> None:
    old, new = replace(bad("n1"), when=older), replace(good("n1"), when=newer)
    for pair in ((old, new), (new, old)):
        fleet = matrix.collect([Arrived(report, f"{number}.json") for number, report in enumerate(pair)])
        assert fleet.counts == {"pass": 1}
        assert fleet.remarks == ("n1 has several reports: the newest counts",)


def booted(boot: str, hours: float, when: str, host: str = "n1") -> Report:
    log = KernelLog(source="dmesg", boot_id=boot, uptime_s=hours * 3600, starts_s=0.0, events=())
    return replace(good(host), when=when, facts=Facts(known={KernelLog: log}))


def test_two_machines_without_gpus_are_known_by_their_boots() -> None:
    one, other = booted("a", 100, "2026-11-25T12:00:00Z"), booted("b", 30, "2026-11-25T12:00:09Z")
    assert of(Arrived(one, "a.json"))["n1"].startswith("pass")
    for pair in ((one, other), (other, one)):
        rows = matrix.collect([Arrived(report, f"{report.when[-2]}.json") for report in pair]).nodes
        assert [(row.kind, row.doubt) for row in rows] == [
            ("unknown", "2 machines have this name (0.json, 9.json)")
        ] * 2


@pytest.mark.parametrize(
    "later",
    [
        booted("b", 1, "2026-11-25T14:00:00Z"),  # it was restarted
        booted("b", 2.1, "2026-11-25T14:00:00Z"),  # and its clock was late until then
        booted("a", 102, "2026-11-25T14:00:00Z"),
        booted("b", float("nan"), "2026-11-25T14:00:00Z"),
        replace(good("n1"), when="2026-11-25T14:00:00Z"),
    ],
)
def test_a_machine_that_was_restarted_is_one(later: Report) -> None:
    fleet = matrix.collect([Arrived(booted("a", 100, "2026-11-25T12:00:00Z"), "a"), Arrived(later, "b")])
    assert [(row.kind, row.source) for row in fleet.nodes] == [("pass", "b")]


def test_a_machine_whose_driver_is_gone_is_the_one_with_its_gpus_unless_it_is_another_boot() -> None:
    log = KernelLog(source="dmesg", boot_id="a", uptime_s=360_000.0, starts_s=0.0, events=())
    whole = machine(1, "n1", "2026-11-25T12:00:00Z")
    whole = replace(whole, command="doctor", facts=replace(whole.facts, known={**whole.facts.known, KernelLog: log}))
    same = matrix.collect([Arrived(whole, "a"), Arrived(booted("a", 100.1, "2026-11-25T12:06:00Z"), "b")])
    assert [row.source for row in same.nodes] == ["b"]
    other = matrix.collect([Arrived(whole, "a"), Arrived(booted("b", 100.1, "2026-11-25T12:06:00Z"), "b")])
    assert [row.kind for row in other.nodes] == ["unknown", "unknown"]


def test_a_doctor_that_gave_no_work_hides_none_that_did() -> None:
    deep = bad("n1", "3 of 9 results are wrong")
    deep = replace(deep, findings=(replace(deep.findings[0], rule="compute.kernel-correct"),))
    fleet = matrix.collect([Arrived(deep, "a"), Arrived(replace(good("n1"), when="2026-01-03T00:00:00+00:00"), "b")])
    assert [(row.command, row.kind) for row in fleet.nodes] == [("doctor --deep", "fail"), ("doctor", "pass")]


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
        ("1st", "1st.a", True),
        ("n1", "n10", False),
    ],
)
def test_names(one: str, other: str, same: bool) -> None:
    assert same_name(one, other) is same
    assert same_name(other, one) is same
