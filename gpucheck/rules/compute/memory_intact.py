"""Every word of a part of a GPU's memory is written and read again, by another thread, with all bits both ways.

Cards without ECC have nothing else that would tell. It is a part: no pass here is a pass for the whole memory.
"""

from gpucheck.facts import Compute
from gpucheck.model import Outcome, Remedy, Rule, ok
from gpucheck.rules.deep import found, not_come_to
from gpucheck.rules.scope import count


def judge(compute: Compute) -> Outcome:
    wrong = [gpu for gpu in compute.gpus if gpu.memory and (gpu.memory.wrong or gpu.memory.sums_wrong)]
    if wrong and (memory := wrong[0].memory):
        sums = f"; {memory.sums_wrong} of {memory.patterns} sums are not the CPU's" if memory.sums_wrong else ""
        return found(
            compute, wrong, f"{memory.wrong} of {memory.patterns * memory.bytes // 8} words changed{sums}; 0 may"
        )
    if outcome := not_come_to(compute, "memory"):
        return outcome
    tried = min(gpu.memory.bytes for gpu in compute.gpus if gpu.memory)
    return ok(f"{tried >> 20} MiB of {count(len(compute.gpus), 'GPU')} kept what was written")


RULE = Rule(
    id="compute.memory-intact",
    title="Every GPU's memory keeps what is written",
    judge=judge,
    after=("compute.kernel-correct",),
    remedy=Remedy(
        text="keep work off this GPU, by CUDA_VISIBLE_DEVICES; without overclocking of its memory once more; if it "
        "stays, exchange it",
        commands={"": ("nvidia-smi -q -d ECC,ROW_REMAPPER,PAGE_RETIREMENT",)},
        impact="data",
        verify="gpucheck doctor --deep",
    ),
)
