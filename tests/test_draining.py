"""Who is taken out and who is given back, by literals: nothing is asked here, and nobody told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gpucheck import draining, looks, nodes
from gpucheck.draining import (
    BACK,
    COUNTED,
    LEFT,
    OUT,
    TIDIED,
    UNDONE,
    UNKNOWN,
    WELL,
    Decision,
    Limits,
    Memory,
    Standing,
)
from gpucheck.hooks.scheduler import most
from gpucheck.looks import Look
from gpucheck.model import Severity, Status
from gpucheck.nodes import Arrived, Node
from tests.made_up.small import bad, good

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
SINCE = (NOW - timedelta(hours=5)).isoformat()
RULE = "nvml.no-row-remap-pending"
KEPT = Memory(rule=RULE, reason="a row", since=SINCE, counted=SINCE)
WELL_NODE = Standing(name="n1", gpus=True)
HELD = replace(WELL_NODE, out=True, memory=KEPT, shown=KEPT.message)


def seen(hours: float, failed: bool | None = False, rule: str = RULE, **more: object) -> Look:
    """So many hours ago; a clean one has asked the rule."""
    made = Look(host="n1", when=NOW - timedelta(hours=hours), failed=failed, rule=rule if failed else "",
                reason="a row", clean=frozenset() if failed else frozenset({rule}))  # fmt: skip
    return replace(made, **more)  # type: ignore[arg-type]


def decided(*seen: Look, at: Standing = WELL_NODE, doubt: str = "", limits: Limits | None = None) -> Decision:
    rows = [Node(name="n1", command="doctor", kind="pass", doubt=doubt)]
    (one,) = draining.decide(seen, rows, [at], limits or Limits(), NOW, most).decisions
    return one


@pytest.mark.parametrize(("looks", "do"), [
    ((seen(1),), WELL),
    ((seen(1, True),), OUT),
    ((seen(1, None),), UNKNOWN),
    ((seen(25, True),), UNKNOWN),
    ((seen(-1, True),), UNKNOWN),
    ((seen(1, True, when=None),), UNKNOWN),
    ((seen(2, True), seen(1)), WELL),  # what the newest says, where it asked the rule
    ((seen(1), seen(2, True)), WELL),
    ((seen(2, True), seen(1, rule="pci.gpu-present")), OUT),  # it was not asked again
    ((seen(2, True), seen(1, None)), OUT),
    ((seen(1, True, node="n2"),), OUT),  # n2 is no node here: the file has some name
    ((), UNKNOWN),
])  # fmt: skip
def test_a_node_that_is_in(looks: tuple[Look, ...], do: str) -> None:
    assert decided(*looks).do == do


@pytest.mark.parametrize(("looks", "do", "clean"), [
    ((seen(1),), COUNTED, 1),
    ((seen(2), seen(1)), BACK, None),
    ((seen(2), seen(2)), COUNTED, 1),  # the same moment is the same report
    ((seen(6), seen(5)), LEFT, None),  # before it was out
    ((seen(3), seen(2, True), seen(1)), COUNTED, 1),  # in a row
    ((seen(3), seen(2, None), seen(1)), BACK, None),  # an unknown is neither
    ((seen(2), seen(1, rule="pci.gpu-present")), COUNTED, 1),
    ((seen(3, True, "compute.copies"), seen(2), seen(1)), COUNTED, 0),  # what failed last is what must be clean
    ((seen(6, True, "compute.copies"), seen(2), seen(1)), COUNTED, 2),  # it fails for another rule still
    ((seen(-1), seen(-2)), LEFT, None),
    ((seen(30), seen(29)), LEFT, None),
    ((seen(1, True),), COUNTED, 0),
    ((), LEFT, None),
])  # fmt: skip
def test_a_node_that_is_out(looks: tuple[Look, ...], do: str, clean: int | None) -> None:
    found = decided(*looks, at=HELD)
    assert found.do == do
    assert (found.memory and found.memory.clean) == clean


def test_counted_once_and_by_the_count_that_is_asked_for() -> None:
    first = decided(seen(2), at=HELD).memory
    assert first
    at = replace(HELD, memory=first)
    assert decided(seen(2), at=at).do == LEFT
    assert decided(seen(2), seen(1), at=at).do == BACK
    assert decided(seen(2), seen(1), at=at, limits=Limits(clean=3)).do == COUNTED
    assert decided(seen(2), at=HELD, limits=Limits(clean=1)).do == BACK


def test_a_doubt_decides_nothing() -> None:
    doubt = "2 machines have this name (a, b)"
    assert decided(seen(1, True), doubt=doubt) == Decision(node="n1", do=UNKNOWN, said=doubt)
    assert decided(seen(2), seen(1), at=HELD, doubt=doubt).do == LEFT
    others = [replace(WELL_NODE, name=name) for name in ("n1", "n2")]
    plan = draining.decide([seen(1, True, node="n2")], [], others, Limits(), NOW, most)
    assert plan.decisions == ()  # it says that it is n1, and was kept as that of n2


@pytest.mark.parametrize(("at", "looks", "do"), [
    (replace(WELL_NODE, gpus=False), (seen(1, True),), LEFT),
    (replace(WELL_NODE, closed="drained for 'disk', which stays"), (seen(1, True),), LEFT),
    (replace(HELD, closed="down"), (seen(2), seen(1)), LEFT),
    (replace(HELD, memory=None), (seen(2), seen(1)), LEFT),
    (replace(HELD, shown=None), (), TIDIED),
    (replace(HELD, shown="another"), (seen(6),), TIDIED),
    (replace(WELL_NODE, shown="a row"), (), TIDIED),  # given back, and then the connection dropped
    (replace(WELL_NODE, memory=KEPT), (seen(1),), TIDIED),  # the mark was taken away by hand
    (replace(WELL_NODE, memory=KEPT), (seen(5, True),), LEFT),
    (replace(WELL_NODE, memory=KEPT), (seen(4, True),), OUT),
])  # fmt: skip
def test_what_somebody_else_did_and_what_was_half_done(at: Standing, looks: tuple[Look, ...], do: str) -> None:
    assert decided(*looks, at=at).do == do


def test_the_share() -> None:
    """The rarest cause first, then by name; what is given back makes room; what is out counts, whoever put it there."""
    names = [f"n{number:02}" for number in range(40)]
    standings = [Standing(name=name, gpus=True) for name in names]
    failed = [seen(1, True, "driver.runs-cuda", host=name) for name in names[:12]]
    failed[11] = replace(failed[11], rule="nvml.fan")
    plan = draining.decide(failed, [], standings, Limits(), NOW, most)
    assert [each.node for each in plan.decisions if each.do == OUT] == ["n11", "n00"]
    assert [each.node for each in plan.decisions if each.do == UNDONE] == names[1:11]
    assert "12 of 40 nodes failed, at most 2 may be drained at once (5 %): a wrong table" in str(plan.over)
    standings[38] = replace(HELD, name="n38")
    standings[39] = replace(HELD, name="n39", memory=None)
    assert not [
        each for each in draining.decide(failed, [], standings, Limits(), NOW, most).decisions if each.do == OUT
    ]
    back = [seen(2, host="n38"), seen(1, host="n38")]
    plan = draining.decide([*failed, *back], [], standings, Limits(), NOW, most)
    assert [(each.node, each.do) for each in plan.decisions[:2]] == [("n38", BACK), ("n11", OUT)]
    assert (plan.nodes, plan.out, plan.most) == (40, 2, 2)
    few = draining.decide(failed[:1], [], standings[:3], Limits(share=0), NOW, most)
    assert (few.most, few.over) == (1, None)


def test_a_look_at_a_report() -> None:
    """A warning weighs nothing, be the report strict; what was skipped for an earlier failure was not asked."""
    failed = looks.look(Arrived(bad("n1", "a\x1b[2Jb\n" * 99), "f", "n1"))
    assert (failed.failed, failed.rule, failed.clean) == (True, "pci.gpu-present", frozenset())
    assert failed.reason.isprintable()
    assert len(failed.reason) <= looks.LONGEST
    finding = good("n1").findings[0]
    warning = replace(finding, rule="a.b", severity=Severity.WARNING, status=Status.FAIL)
    skipped = replace(finding, rule="c.d", status=Status.SKIP)
    because = replace(skipped, rule="e.f", because="a.b")
    clean = looks.look(Arrived(replace(good("n1"), strict=True, findings=(finding, warning, skipped, because)), "f"))
    assert (clean.failed, clean.clean) == (False, frozenset({"pci.gpu-present", "c.d"}))
    assert looks.look(Arrived(bad("n1", status=Status.UNKNOWN), "f")).failed is None


@pytest.mark.parametrize(("text", "hour"), [
    ("2026-01-02T03:04:05+00:00", 3), ("2026-01-02T03:04:05", 3), ("2026-01-02T03:04:05+02:00", 1), ("x", None),
])  # fmt: skip
def test_a_time(text: str, hour: int | None) -> None:
    found = nodes.moment(text)
    assert found == (hour and datetime(2026, 1, 2, hour, 4, 5, tzinfo=UTC))
