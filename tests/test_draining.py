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
    Standing,
)
from gpucheck.hooks.scheduler import most
from gpucheck.looks import Look
from gpucheck.marks import Memory
from gpucheck.model import Severity, Status
from gpucheck.nodes import Arrived, Node
from gpucheck.rules import DEEP_RULES, HOST_RULES, RUN_RULES, WORLD_RULES
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


OTHER = "kernel_log.no-link-error"


def test_no_rule_that_failed_is_forgotten_for_another() -> None:
    """A doctor that looks less deep says nothing of what a deeper one found, whichever of both failed last."""
    kept = decided(seen(3, True, OTHER), seen(2, rule=OTHER), seen(1, rule=OTHER), at=HELD)
    assert (kept.do, kept.memory and (kept.memory.rule, kept.memory.clean, kept.memory.also)) == (
        COUNTED, (OTHER, 2, (RULE,)),
    )  # fmt: skip
    assert kept.memory
    at = replace(HELD, memory=kept.memory, shown=kept.memory.message)
    for clean in ((), (seen(0.5, rule=OTHER),)):
        again = decided(*clean, at=at)
        assert again.do != BACK
        assert f"{RULE} too, which was not asked again" in again.said
    assert decided(seen(0.5), at=at).do == BACK
    assert (
        decided(
            seen(0.7, True, OTHER, clean=frozenset({RULE})), seen(0.5, rule=OTHER), at=at, limits=Limits(clean=1)
        ).do
        == BACK
    )
    found = decided(seen(4, True), seen(3, True, OTHER, also={"a.b": "x"}))
    assert found.memory
    assert (found.memory.rule, found.memory.also) == (OTHER, ("a.b", RULE))
    at = replace(HELD, memory=replace(found.memory, since=SINCE))
    assert decided(seen(2, rule=OTHER), seen(1, rule=OTHER), at=at).do == COUNTED
    whole = frozenset({"a.b", OTHER, RULE})
    assert decided(seen(2, clean=whole), seen(1, rule=OTHER), at=at).do == BACK
    late = decided(seen(6, True, OTHER), seen(2), at=HELD).memory  # from before it was out, and given now
    assert late
    assert late.also == (OTHER,)


def test_who_sees_fewer_gpus_says_nothing_of_the_others() -> None:
    """One that fell off the bus, or a run that took one of eight."""
    eight, fewer = (8, 8), ((7, 7), (8, 1), (0, 8), ())
    assert decided(seen(2, True, gpus=eight), seen(1, gpus=eight)).do == WELL
    found = decided(seen(2, True, gpus=eight)).memory
    assert found
    assert found.gpus == eight
    at = replace(HELD, memory=replace(found, since=SINCE, counted=SINCE))
    assert decided(seen(2, gpus=eight), seen(1, gpus=(8, 9)), at=at).do == BACK
    for gpus in fewer:
        assert decided(seen(2, True, gpus=eight), seen(1, gpus=gpus)).do == OUT
        held = decided(seen(2, gpus=gpus), seen(1, gpus=gpus), at=at)
        assert (held.do, "0 of 2 clean reports" in held.said) == (LEFT, True)
    assert decided(seen(2, True, gpus=(7, 7)), seen(1, gpus=(7, 7)), at=at, limits=Limits(clean=1)).do == COUNTED
    one = seen(2, True, OTHER, gpus=(8, 1), clean=frozenset({RULE}))
    assert decided(one, seen(1, rule=OTHER, gpus=eight), at=at, limits=Limits(clean=1)).do == COUNTED
    other = (seen(2, True, OTHER, gpus=(0, 0), clean=frozenset({RULE})), seen(1, rule=OTHER))  # as verify sees none
    assert decided(*other, at=replace(at, memory=replace(KEPT, gpus=(0, 0))), limits=Limits(clean=1)).do == BACK


def test_of_the_same_moment_the_worse_counts() -> None:
    assert decided(seen(1, True), seen(1)).do == OUT
    assert decided(seen(1), seen(1, True)).do == OUT


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
    finding, failed_one = good("n1").findings[0], bad("n1").findings[0]
    warning = replace(finding, rule="a.b", severity=Severity.WARNING, status=Status.FAIL)
    skipped = replace(finding, rule="c.d", status=Status.SKIP)
    because = replace(skipped, rule="e.f", because="a.b")
    clean = looks.look(Arrived(replace(good("n1"), strict=True, findings=(finding, warning, skipped, because)), "f"))
    assert (clean.failed, clean.clean) == (False, frozenset({"pci.gpu-present", "c.d"}))
    assert looks.look(Arrived(bad("n1", status=Status.UNKNOWN), "f")).failed is None
    unseen = (
        "kernel_log.no-hardware-xid",
        "pci.every-gpu-usable",
        "nvml.nvlinks-up",
        "nvml.mig-has-instances",
        "docker.x",
    )
    skips = tuple(replace(skipped, rule=rule) for rule in unseen)
    assert looks.look(Arrived(replace(good("n1"), findings=(finding, *skips)), "f")).clean == {
        "pci.gpu-present", "nvml.mig-has-instances", "docker.x",
    }  # fmt: skip
    ids = [rule.id for rule in HOST_RULES + DEEP_RULES + RUN_RULES + WORLD_RULES]
    assert set(looks.TURNED_OFF) <= set(ids)
    assert all(any(each.startswith(kind) for each in ids) for kind in looks.SEEN)
    many = [replace(failed_one, rule=f"z.{n}", message="y" * 999) for n in range(99)]
    seen_too = looks.look(Arrived(replace(good("n1"), findings=(failed_one, warning, *many)), "f"))
    assert (seen_too.rule, list(seen_too.also)) == ("pci.gpu-present", [f"z.{n}" for n in range(looks.FEW)])
    assert {len(each) for each in seen_too.also.values()} == {looks.LONGEST}
    endless = [replace(finding, rule=f"{n}.{'x' * (n % 200)}") for n in range(9999)]
    kept = looks.look(Arrived(replace(good("n1"), findings=tuple(endless)), "f")).clean
    assert len(kept) <= looks.MOST
    assert max(map(len, kept)) <= looks.RULE
    assert looks.look(Arrived(good("n1"), "f")).clean is looks.look(Arrived(good("n2"), "f")).clean


def test_what_all_nodes_of_a_world_fail_for_accuses_none_of_them() -> None:
    """Whoever is away, every other says that the ranks did not meet."""
    one = bad("n1").findings[0]
    met, ended = replace(one, rule="world.ranks-met"), replace(one, rule="run.finished")
    ours = replace(one, rule="training.on-device", message="on the CPU")
    passed = replace(one, status=Status.PASS)
    for findings, failed, rule in (
        ((passed, met), None, ""), ((passed, ended, met), None, ""),
        ((passed, replace(met, status=Status.PASS)), False, ""),
        ((passed, ended), True, "run.finished"), ((met, ours), True, "training.on-device"),
    ):  # fmt: skip
        found = looks.look(Arrived(replace(good("n1"), findings=findings), "f"))
        assert (found.failed, found.rule) == (failed, rule), findings


@pytest.mark.parametrize(("text", "hour"), [
    ("2026-01-02T03:04:05+00:00", 3), ("2026-01-02T03:04:05", 3), ("2026-01-02T03:04:05+02:00", 1), ("x", None),
])  # fmt: skip
def test_a_time(text: str, hour: int | None) -> None:
    found = nodes.moment(text)
    assert found == (hour and datetime(2026, 1, 2, hour, 4, 5, tzinfo=UTC))
