"""Several nodes that train together: who met, what their sums came to, and who holds which weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gpucheck.facts import Rank, Reduction, World
from gpucheck.model import Finding, Status
from gpucheck.render.wording import sentence
from gpucheck.rules.world import all_reduce_exact
from tests.rules.test_run_rules import CPU_RUN, RUN, SAMPLES, USED

PASS, FAIL, SKIP, UNKNOWN = Status

SAME, OTHER = "a" * 64, "b" * 64


def rank(number: int, **changes: Any) -> Rank:
    node, local = divmod(number, 2)
    told = Rank(
        rank=number, node=node, host=f"gpu-{node + 1}", device=f"GPU:{local}", uuid=f"GPU-{number}", samples=640,
        wrong=0, weights=SAME,
    )  # fmt: skip
    return replace(told, **changes)


SMALL = Reduction(bytes=4096, times=5, seconds=25e-6, wrong=0)
LARGE = Reduction(bytes=2**28, times=5, seconds=0.01, wrong=0)
FOUR = tuple(map(rank, range(4)))
WORLD = World(
    hosts=("gpu-1", "gpu-2"), node=0, devices=2, backend="nccl", refused=None, ranks=FOUR, reductions=(SMALL, LARGE),
    steps=20, batch_size=32, losses=(2.3, 1.9), unseen=None,
    gpu_use=replace(USED, gpus=tuple(replace(SAMPLES, uuid=f"GPU-{number}") for number in range(4))),
)  # fmt: skip


def with_rank(number: int, **changes: Any) -> World:
    return replace(WORLD, ranks=tuple(rank(n, **changes) if n == number else one for n, one in enumerate(FOUR)))


ON_CPU = replace(WORLD, ranks=tuple(replace(one, device=f"CPU:{one.rank % 2}", uuid=None) for one in FOUR))
ONE_IDLE = replace(USED, gpus=(replace(SAMPLES, uuid="GPU-0"), replace(SAMPLES, uuid="GPU-1", ours_peak_bytes=None)))
UNSEEN = replace(WORLD, gpu_use=None, unseen="NVML is not there")
APART = replace(WORLD, reductions=(replace(SMALL, wrong=0), replace(LARGE, wrong=3)))

CASES: list[tuple[str, tuple[Any, ...], Status, str]] = [
    ("world.ranks-met", (WORLD,), PASS, "4 ranks on 2 nodes, each on a GPU of its own"),
    ("world.ranks-met", (replace(WORLD, refused="Timed out: 1/2 clients joined", ranks=()),), FAIL, "1/2 clients"),
    ("world.ranks-met", (replace(APART, refused="torn", ranks=()),), FAIL, "torn; sums before that had wrong bits"),
    ("world.ranks-met", (replace(WORLD, ranks=FOUR[:3]),), FAIL, "3 of 4 ranks have met; not all of 1 node (gpu-2)"),
    ("world.ranks-met", (replace(WORLD, ranks=()),), FAIL, "0 of 4"),
    ("world.ranks-met", (replace(WORLD, ranks=(*FOUR, FOUR[3])),), FAIL, "not all of 1 node (gpu-2)"),  # one twice
    ("world.ranks-met", (with_rank(3, node=0),), FAIL, "rank 3 is on node 0"),
    ("world.ranks-met", (replace(WORLD, ranks=(*FOUR, rank(4))),), FAIL, "rank 4 is on node 2"),
    ("world.ranks-met", (with_rank(3, device="GPU:0"),), FAIL, "2 ranks share GPU:0 of one node (gpu-2)"),
    ("world.ranks-met", (with_rank(3, uuid="GPU-0"),), FAIL, "2 ranks share one GPU (GPU-0)"),
    ("world.ranks-met", (), UNKNOWN, "world"),
    # 2 x 3/4 of 268 MB in 10 ms
    ("world.all-reduce-exact", (WORLD,), PASS, "bus bandwidth 40.3 GB/s; 4 KiB in 25 µs"),
    ("world.all-reduce-exact", (with_rank(2, wrong=17),), FAIL, "at 1 rank, up to 17 elements at one (gpu-2 GPU:0)"),
    ("world.all-reduce-exact", (APART,), FAIL, "wrong bits at this node"),
    ("world.all-reduce-exact", (replace(WORLD, reductions=()),), UNKNOWN, "no all-reduce"),
    ("world.every-rank-worked", (RUN, WORLD), PASS, "20 steps of 32 samples on each of 4 GPUs"),
    ("world.every-rank-worked", (RUN, WORLD), PASS, "NVML saw each of this node's at work"),
    ("world.every-rank-worked", (RUN, replace(WORLD, gpu_use=ONE_IDLE)), FAIL, "1 GPU of this node did not work"),
    ("world.every-rank-worked", (RUN, UNSEEN), PASS, "made by NCCL; NVML does not decide: NVML is not there"),
    ("world.every-rank-worked", (RUN, replace(UNSEEN, backend="gloo")), UNKNOWN, "NVML does not tell"),
    ("world.every-rank-worked", (RUN, replace(WORLD, gpu_use=USED)), PASS, "it lists no GPU of that UUID"),
    ("world.every-rank-worked", (RUN, replace(WORLD, gpu_use=replace(ONE_IDLE, processes_told=False), backend="ring")),
     UNKNOWN, "names no processes"),
    ("world.every-rank-worked", (CPU_RUN, ON_CPU), PASS, "4 CPUs"),
    ("world.every-rank-worked", (RUN, with_rank(1, device="CPU:0")), FAIL, "1 rank did not train on a GPU (gpu-1"),
    ("world.every-rank-worked", (CPU_RUN, WORLD), FAIL, "4 ranks did not train on a CPU"),
    ("world.every-rank-worked", (RUN, with_rank(1, samples=0)), FAIL, "fewer than 640 samples (gpu-1 GPU:1)"),
    ("world.every-rank-worked", (RUN, replace(WORLD, batch_size=64)), FAIL, "4 ranks trained on fewer than 1280"),
    ("world.every-rank-worked", (RUN, replace(WORLD, steps=-1)), UNKNOWN, "no step"),
    ("world.every-rank-worked", (RUN, replace(WORLD, losses=())), UNKNOWN, "no step"),
    ("world.every-rank-worked", (RUN, with_rank(3, weights=OTHER)), FAIL, "2 kinds of weights (gpu-2 GPU:1)"),
    ("world.every-rank-worked", (RUN, replace(WORLD, losses=(2.3, None))), FAIL, "no number"),
    ("world.every-rank-worked", (RUN, replace(WORLD, steps=0)), UNKNOWN, "no step"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "facts", "status", "says"), CASES)
def test_rule(judged: Callable[..., Finding], rule: str, facts: tuple[Any, ...], status: Status, says: str) -> None:
    finding = judged(rule, *facts)
    assert finding.status is status, finding.message
    assert says.lower() in sentence(finding).lower()


@pytest.mark.parametrize(
    "changes", [{"seconds": 0.0}, {"seconds": float("nan")}, {"bytes": 10**400}, {"seconds": -1.0}]
)
def test_a_report_from_elsewhere_cannot_break_the_page(changes: dict[str, Any]) -> None:
    """It was made by no witness of ours, perhaps."""
    assert all_reduce_exact.bus_bandwidth(replace(WORLD, reductions=(replace(LARGE, **changes),))) == 0


def test_where_no_majority_agrees_nobody_is_accused(judged: Callable[..., Finding]) -> None:
    halves = replace(WORLD, ranks=tuple(replace(one, weights=OTHER if one.node else SAME) for one in FOUR))
    finding = judged("world.every-rank-worked", RUN, halves)
    assert sentence(finding) == "after 20 steps the ranks hold 2 kinds of weights"


def test_thousands_that_are_wrong_are_not_all_named(judged: Callable[..., Finding]) -> None:
    sick = replace(WORLD, ranks=tuple(rank(number % 4, wrong=1) for number in range(5000)))
    finding = judged("world.all-reduce-exact", sick)
    assert finding.message == "sums had wrong bits at 5000 ranks, up to 1 element at one"
    assert (len(finding.affects), finding.affects[-1]) == (7, "and others")
