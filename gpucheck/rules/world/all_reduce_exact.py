"""What ranks exchange must arrive as it was sent: a sick link or GPU changes bits and raises no error.

Every rank adds up known whole numbers of all ranks, whose sums float32 holds exactly in any order, and compares each
element's bits with a reference of its own. Bus bandwidth is as nccl-tests counts it: 2 (n - 1) / n of the buffer by
the time of one all-reduce.
"""

import math

from gpucheck.facts import World
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, unsure
from gpucheck.rules.scope import count, few

MOST = 2**50  # bytes of one buffer


def judge(world: World) -> Outcome:
    if not world.reductions or not world.ranks:
        return unsure("no all-reduce was told of")
    sick = [rank for rank in world.ranks if rank.wrong]
    if sick or any(each.wrong for each in world.reductions):
        most = max((rank.wrong for rank in sick), default=0)
        at = count(len(sick), "rank") if sick else "this node"
        told = f"sums had wrong bits at {at}, up to {count(max(most, 1), 'element')} at one"
        return bad(told, affects=few(f"{rank.host} {rank.device}" for rank in sick))
    largest, smallest = (pick(world.reductions, key=lambda each: each.bytes) for pick in (max, min))
    times, bus = sum(each.times for each in world.reductions), bus_bandwidth(world) / 1e9
    return ok(f"{times} sums over {count(len(world.ranks), 'rank')} right to the bit; "
              f"{largest.bytes / 2**20:.0f} MiB in {largest.seconds * 1e3:.3g} ms, bus bandwidth {bus:.3g} GB/s; "
              f"{smallest.bytes / 2**10:.0f} KiB in {smallest.seconds * 1e6:.0f} µs")  # fmt: skip


def bus_bandwidth(world: World) -> float:
    """Bytes a second, of the largest buffer; there is at least one, and a rank. Of no time (in a report) none."""
    ranks, largest = len(world.ranks), max(world.reductions, key=lambda each: each.bytes)
    if not (0 < largest.seconds < math.inf and 0 < largest.bytes < MOST):
        return 0.0
    return 2 * (ranks - 1) / ranks * largest.bytes / largest.seconds


RULE = Rule(
    id="world.all-reduce-exact",
    title="The all-reduce over all nodes is right to the bit",
    after=("world.ranks-met",),
    judge=judge,
    remedy=Remedy(
        text="where all ranks are wrong, one of them sends wrong numbers: halve the nodes until one is left; where one "
        "is, it is that one. `gpucheck doctor --deep` there tests its GPUs, their memory and the links between them",
        commands={"": ("gpucheck doctor --deep",)},
        impact="none",
        verify="gpucheck fleet run --engine slurm --world --command verify",
    ),
)
