"""Data-parallel ranks that got the same gradients end with the same weights: else one has trained for itself.

Each must have trained on as many samples as the others, where it was asked to, and hold the same bits at the end. Of
its own node's GPUs NVML says from outside whether they worked meanwhile. Where it cannot, NCCL has to have made the
sums: it works on GPUs alone.
"""

from collections import Counter
from dataclasses import replace

from gpucheck.facts import GpuUse, Rank, Run, World
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, unsure
from gpucheck.rules import testimony
from gpucheck.rules.scope import count, few
from gpucheck.rules.testimony import Testimony


def judge(run: Run, world: World) -> Outcome:
    if not world.ranks or world.steps < 1 or not world.losses:
        return unsure("no step of a training over all nodes was told of")
    kind = run.device.upper()
    elsewhere = tuple(f"{r.host} {r.device}" for r in world.ranks if r.device.partition(":")[0] != kind)
    if elsewhere:
        return bad(f"{count(len(elsewhere), 'rank')} did not train on a {kind}", affects=few(elsewhere))
    each = world.steps * world.batch_size
    idle = tuple(f"{r.host} {r.device}" for r in world.ranks if r.samples < max(each, 1))
    if idle:
        return bad(f"{count(len(idle), 'rank')} trained on fewer than {each} samples", affects=few(idle))
    (weights, agreed), *others = Counter(rank.weights for rank in world.ranks).most_common()
    if others:
        apart = (f"{r.host} {r.device}" for r in world.ranks if r.weights != weights)
        told = f"after {world.steps} steps the ranks hold {len(others) + 1} kinds of weights"
        return bad(told, affects=few(apart) if agreed > len(world.ranks) / 2 else ())
    if world.losses[-1] is None:
        return bad(f"the loss of all ranks together was no number after {world.steps} steps")
    told = f"{world.steps} steps of {count(world.batch_size, 'sample')} on each of {len(world.ranks)} {kind}s, the "
    told += "weights the same to the bit"
    return ok(told) if run.device == "cpu" else _seen(world, told)


def _seen(world: World, told: str) -> Outcome:
    """NVML's word on this node's own: the other nodes' reports have that of theirs."""
    own = [rank for rank in world.ranks if rank.node == world.node]
    found = [(rank, _sampled(world.gpu_use, rank)) for rank in own]
    if idle := [(rank, seen) for rank, seen in found if seen and seen.says == "CPU"]:
        names = tuple(f"{rank.host} {rank.device}" for rank, _ in idle)
        told = f"NVML says that {count(len(idle), 'GPU')} of this node did not work"
        return bad(f"{told}: {idle[0][1].words}", affects=few(names))
    blind = [seen.words if seen else "it lists no GPU of that UUID" for _, seen in found if not seen or not seen.says]
    if not blind:
        return ok(f"{told}; NVML saw each of this node's at work")
    why = world.unseen or blind[0]
    if "nccl" not in world.backend.lower():
        return unsure(f"the ranks say {told}; and NVML does not tell whether this node's worked: {why}")
    return ok(f"{told}, its sums made by NCCL; NVML does not decide: {why}")


def _sampled(use: GpuUse | None, rank: Rank) -> Testimony | None:
    """Of its GPU alone; None where NVML was not asked, or does not list it."""
    gpus = tuple(gpu for gpu in use.gpus if gpu.uuid and gpu.uuid == rank.uuid) if use else ()
    return testimony.sampled(replace(use, gpus=gpus)) if use and gpus else None


RULE = Rule(
    id="world.every-rank-worked",
    title="Every rank trained, and all hold the same weights",
    after=("world.all-reduce-exact",),
    judge=judge,
    remedy=Remedy(
        text="`gpucheck verify --devices N` on the node that is named shows what its devices do alone",
        commands={"": ("gpucheck doctor",)},
        impact="none",
        verify="gpucheck fleet run --engine slurm --world --command verify",
    ),
)
