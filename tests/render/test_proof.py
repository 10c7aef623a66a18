"""The numbers of a verification, as every page for people has them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gpucheck import engine
from gpucheck.facts import Facts, Training, World
from gpucheck.render import proof
from gpucheck.witnesses import WITNESSES
from tests.render.test_charts import RUNS
from tests.rules.test_world import WORLD


@pytest.mark.parametrize(("real", "said"), [(True, "test images"), (False, "test images, not CIFAR-10's")])
def test_the_accuracy_says_on_what(real: bool, said: str) -> None:
    facts = engine.collect(WITNESSES, RUNS / "tensorflow-fast-cpu" / "evidence")
    training = facts.known[Training]
    changed = replace(training, real=real, history=training.history[:1])
    report = engine.report("verify", Facts(known={**facts.known, Training: changed}), ())
    told = {number.name: number.about for number in proof.numbers(report)}
    assert told["Accuracy"].endswith(said)
    assert told["Training"] == "for 1 epoch"


def test_nodes_that_trained_together_have_their_all_reduce() -> None:
    report = engine.report("verify", Facts(known={World: WORLD}), ())
    assert [tuple(number) for number in proof.numbers(report)] == [
        ("All-reduce", "40.3 GB/s", "bus bandwidth, 4 ranks on 2 nodes")
    ]
