"""What each GPU did when it was given work, through the driver's libcuda alone: `doctor --deep`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from gpucheck.facts.nvml import CallError
from gpucheck.facts.version import Version, fact

STAGES = ("context", "copies", "kernel", "memory")  # in this order; each needs the context


@fact
class CopyTest:
    """Random bytes to the GPU and back, compared."""

    bytes: int  # each way, each time
    times: int
    wrong_to: int  # bytes wrong in both of two readings: on the way to the GPU, or in its memory
    wrong_from: int  # bytes wrong in one of them: on the way back
    to_gpu: float  # bytes a second, at best
    from_gpu: float
    alone: bool  # no other GPU of this machine was copying for gpucheck
    pcie_gen: int | None = None  # of the link, right after these copies; None = the kernel does not tell
    pcie_width: int | None = None


@fact
class KernelTest:
    """Chains of integer steps, whose ends the CPU knows in closed form."""

    threads: int
    rounds: int
    launches: int
    wrong: int  # ends that were not the CPU's, over all launches
    seconds: float  # of GPU time


@fact
class MemoryTest:
    """Every word of a part of the memory written, and read by another thread."""

    bytes: int
    patterns: int
    wrong: int  # words that the GPU itself found changed, over all patterns
    sums_wrong: int  # patterns whose sum is not the CPU's


@fact
class ComputeGpu:
    """One GPU or MIG device. A stage has its result here, or its error, or it was not come to."""

    uuid: str
    name: str | None = None
    pci_address: str | None = None  # 0000:3b:00.0, as in PciDevice
    compute_capability: Version | None = None
    memory_total_bytes: int | None = None
    memory_free_bytes: int | None = None
    context: bool = False
    copies: CopyTest | None = None
    kernel: KernelTest | None = None
    memory: MemoryTest | None = None
    errors: Mapping[str, CallError] = field(default_factory=dict)  # by stage
    stuck: str | None = None  # why it ended before its end: a call that hung, a crash


@fact
class PeerCopy:
    source: str  # uuid
    target: str
    bytes: int
    direct: bool | None = None  # from one GPU's memory into the other's; False = through the host's
    wrong: int | None = None  # bytes; None = not come to
    error: CallError | None = None


@fact
class Peers:
    """Copies from each GPU to the next, in a ring."""

    copies: tuple[PeerCopy, ...] = ()
    error: CallError | None = None  # before the first
    stuck: str | None = None


@fact
class Compute:
    gpus: tuple[ComputeGpu, ...] = ()
    peers: Peers | None = None  # None = there are not two whole GPUs
    errors: tuple[CallError, ...] = ()  # of the list of GPUs
