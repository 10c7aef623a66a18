"""What the GPUs do at the moment, in the few words that the progress line has room for: "GPU 0 87 % 6.1 GiB"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpucheck.sampling import Glance, Watch

MOST = 2  # GPUs that are told of by name


def glances(watches: Sequence[Watch]) -> str:
    """Of the last of these; "" where it sees no GPU at the moment."""
    return words(watches[-1].glance()) if watches else ""


def words(gpus: Sequence[Glance]) -> str:
    """The busiest of them; how many more there are."""
    busiest = sorted(gpus, key=lambda gpu: (gpu.utilization or 0, gpu.memory or 0), reverse=True)[:MOST]
    told = [_word(gpu) for gpu in sorted(busiest, key=lambda gpu: gpu.gpu)]
    left = len(gpus) - len(told)
    return ", ".join([*told, *([f"+{left}"] if left else [])])


def _word(gpu: Glance) -> str:
    utilization = None if gpu.utilization is None else f"{gpu.utilization} %"
    memory = None if gpu.memory is None else f"{gpu.memory / 2**30:.1f} GiB"
    return " ".join(filter(None, (f"GPU {gpu.gpu}", utilization, memory)))
