"""The odd ones out: every seeded fault is found, no healthy node is accused, and the order of reports says nothing."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from gpucheck import alike, matrix, outliers
from gpucheck.matrix import Fleet
from gpucheck.nodes import Arrived, Node, Unread
from gpucheck.outliers import odd, together
from gpucheck.traits import Figure
from tests.made_up import synthetic
from tests.made_up.faults import FAULTS, JUDGED
from tests.made_up.synthetic import Made


def fleet(made: Made) -> Fleet:
    return matrix.collect(Arrived(report, f"{report.host}.json") for report in synthetic.reports(made))


def node(
    name: str, model: str = "H100", number: int = 8, figures: dict[str, float] | None = None, **traits: str
) -> Node:
    told = {what: Figure(value, "GB/s", False, "GPU 0") for what, value in (figures or {}).items()}
    return Node(name=name, command="doctor", kind="pass", ids=f"{number} × {model}", names=model, traits=traits,
                figures=told)  # fmt: skip


def accused(nodes: Sequence[Node]) -> list[tuple[str, str]]:
    return [(each.node, each.trait) for each in odd(nodes)]


def test_every_seeded_fault_is_found_and_no_healthy_node_accused() -> None:
    made = synthetic.seeded(1000, seed=1, each=2)
    assert set(made.faults.values()) == set(FAULTS)
    found = fleet(made)
    assert {each.node for each in found.odd} <= set(made.faults)
    said = {(each.node, each.trait.partition(" of batch")[0]) for each in found.odd}
    said |= {(name, cause.rule or "") for cause in found.causes for name in cause.nodes}
    assert {(name, fault) for name, fault in made.faults.items()} - said == set()
    assert found.counts == {"fail": 2 * len(JUDGED), "pass": 1000 - 2 * len(JUDGED)}
    assert all(each.agree / each.siblings > 0.9 and each.siblings >= 190 for each in found.odd)


def test_nothing_is_odd_in_a_healthy_fleet() -> None:
    assert fleet(Made(number=300, seed=7)).odd == ()


def test_the_order_of_the_reports_makes_no_difference() -> None:
    came: list[Arrived | Unread] = [
        Arrived(report, f"{report.host}.json", report.host)
        for report in synthetic.reports(synthetic.seeded(60, seed=3, each=1))
    ]
    first = came[0]
    assert isinstance(first, Arrived)
    other = synthetic.report(Made(number=1, seed=99), 0)  # another machine that is called as the first
    came += [
        Arrived(other, "twin.json"), Arrived(replace(first.report, when="2026-11-24T06:00:00+00:00"), "old.json"),
        Arrived(first.report, "n00007.json", "n00007"), Arrived(replace(first.report, host="copy"), "copy.json"),
        Unread("x.jsonl", "line 3: torn"), Unread("n00009.json", "it is empty", "n00009"),
    ]  # fmt: skip
    expected = [synthetic.name(place) for place in range(62)]
    wanted = matrix.collect(came, expected)
    assert wanted.counts["missing"] == 2
    for seed in range(12):
        random.Random(seed).shuffle(came)  # noqa: S311
        assert matrix.collect(came, expected) == wanted


@pytest.mark.parametrize(("others", "same", "told"), [(4, 0, True), (3, 0, False), (9, 2, True), (6, 4, False)])
def test_few_siblings_and_no_clear_majority_say_nothing(others: int, same: int, told: bool) -> None:
    nodes = [
        *(node(f"a{n}", driver="590") for n in range(others)),
        *(node(f"b{n}", driver="570") for n in range(same + 1)),
    ]
    assert bool(odd(nodes)) is told
    if told:
        assert {each.node for each in odd(nodes)} == {f"b{n}" for n in range(same + 1)}
        assert {(each.agree, each.siblings) for each in odd(nodes)} == {(others, others + same)}
        assert len(together(odd(nodes))) == 1


def test_siblings_are_of_the_same_gpus_in_the_same_number() -> None:
    nodes = [
        *(node(f"h{n}", driver="590") for n in range(6)),
        *(node(f"a{n}", "A10", 1, driver="570") for n in range(2)),
    ]
    nodes += [node(f"q{n}", number=4, driver="570") for n in range(4)]
    assert accused(nodes) == []


def test_a_node_whose_driver_names_no_gpu_is_with_its_siblings() -> None:
    blind = replace(node("x", driver="570"), names=None)
    assert accused([*(node(f"h{n}", driver="590") for n in range(6)), blind]) == [("x", "driver")]


def test_what_could_not_be_looked_at_is_no_vote_and_not_odd() -> None:
    nodes = [*(node(f"h{n}", driver="590") for n in range(6)), node("x")]
    assert accused(nodes) == []
    assert accused([*(node(f"h{n}") for n in range(6)), node("x", driver="590")]) == []


@pytest.mark.parametrize(
    ("speed", "told"), [(50.0, False), (46.0, False), (44.0, True), (20.0, True), (80.0, False), (0.0, True)]
)
def test_a_figure_is_odd_where_it_is_far_and_worse(speed: float, told: bool) -> None:
    nodes = [node(f"h{n}", figures={"bandwidth": 50 + n * 0.01}) for n in range(9)]
    assert bool(accused([*nodes, node("x", figures={"bandwidth": speed})])) is told


def test_figures_that_spread_make_nobody_odd() -> None:
    spread = [node(f"h{n}", figures={"bandwidth": 20 + 3 * n}) for n in range(12)]
    halves = [node(f"i{n}", figures={"bandwidth": 50 if n % 2 else 25}) for n in range(12)]
    third = [node(f"j{n}", figures={"bandwidth": 50 if n % 3 else 25}) for n in range(12)]
    assert [accused(each) for each in (spread, halves, third)] == [[], [], []]


def test_a_number_of_gpus_that_others_have_too_is_no_fault() -> None:
    eight = [node(f"h{n}") for n in range(20)]
    assert accused([*eight, node("x", number=7)]) == [("x", outliers.COUNT)]
    assert accused([*eight, *(node(f"q{n}", number=4) for n in range(4))]) == []
    assert accused([*eight, node("x", number=16)]) == []


def test_of_several_reports_of_a_node_what_each_says_counts_once() -> None:
    nodes = [node(f"h{n}", driver="590") for n in range(4)]
    ran = [replace(each, command="verify") for each in nodes]
    assert [each.siblings for each in odd([*nodes, *ran, node("x", driver="570")])] == [4]
    newer = replace(node("x", driver="590"), when="2027")
    assert odd([*nodes, node("x", driver="570"), newer]) == ()


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        (("driver 570.86.15 against libraries 570.124.06",) * 2, "driver 570.86.15 against libraries 570.124.06"),
        (("GPU 3 of 8 is lost", "2 of 8 GPUs (first: GPU 1) is lost"), "… is lost"),
        (("GPU-11111111-2222 on a1", "GPU-33333333-4444 on b2"), "… on …"),
        (("0000:3b:00.0: XID 79", "0000:5e:00.0: XID 79"), "…: XID 79"),
        (("12.5 GB of 80 GB", "13.25 GB of 80 GB"), "… GB of 80 GB"),
    ],
)  # fmt: skip
def test_messages_are_made_alike(messages: tuple[str, str], said: str) -> None:
    (first, mine), (second, its) = (alike.pattern(*each) for each in zip(messages, ("a1", "b2"), strict=True))
    assert first == second
    assert alike.sentence(first, alike.merged(mine, its)) == said


def test_versions_keep_causes_apart() -> None:
    assert alike.pattern("driver 570.86.15", "a")[0] != alike.pattern("driver 570.124.06", "a")[0]
    assert alike.pattern("n1 and n10", "n1")[0].count("name") == 1
    assert alike.pattern("", "")[0] == ""
