"""A training over several nodes: the ranks that met, what their all-reduce came to, and that all trained the same."""

from __future__ import annotations

from gpucheck.facts.run import GpuUse
from gpucheck.facts.version import fact


@fact
class Rank:
    rank: int
    node: int  # the node's place among the hosts
    host: str  # what its machine calls itself
    device: str  # "GPU:0", of that node
    uuid: str | None  # the GPU's; None = the framework does not tell
    samples: int  # that it trained on
    wrong: int  # elements of all its all-reduces that had other bits than the reference
    weights: str  # the SHA-256 of its weights after the training


@fact
class Reduction:
    bytes: int  # of one rank's buffer, float32
    times: int
    seconds: float  # the median of one all-reduce, warm
    wrong: int  # elements with other bits than the reference, as this node's ranks saw


@fact
class World:
    hosts: tuple[str, ...]  # as asked, in rank order; the first is where they meet
    node: int  # which of them this is
    devices: int  # of each node
    backend: str  # nccl, gloo, ring
    refused: str | None  # what the framework said when they did not meet, or when a collective failed
    ranks: tuple[Rank, ...]  # of all nodes; () = refused
    reductions: tuple[Reduction, ...]
    steps: int
    batch_size: int  # of each rank
    losses: tuple[float | None, ...]  # of each step, the mean over all ranks; None = no finite number
    gpu_use: GpuUse | None  # of this node's GPUs meanwhile, by NVML from outside
    unseen: str | None  # why it is not known
