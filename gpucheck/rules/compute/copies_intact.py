"""Random bytes that go to a GPU and back must be the same bytes. Nothing else notices when they are not.

A link, a riser or memory without ECC that turns bits over makes a training diverge, or merely worse, without a word.
"""

from gpucheck.facts import Compute
from gpucheck.model import Outcome, Remedy, Rule, ok
from gpucheck.rules.deep import found, not_come_to
from gpucheck.rules.scope import count


def judge(compute: Compute) -> Outcome:
    wrong = [gpu for gpu in compute.gpus if gpu.copies and (gpu.copies.wrong_to or gpu.copies.wrong_from)]
    if wrong and (copies := wrong[0].copies):
        way = "on the way to the GPU or in its memory" if copies.wrong_to else "on the way back"
        changed, sent = copies.wrong_to + copies.wrong_from, copies.times * copies.bytes
        return found(compute, wrong, f"{count(changed, 'byte')} of {sent} came back changed, {way}; 0 may")
    if outcome := not_come_to(compute, "copies"):
        return outcome
    each = min(gpu.copies.bytes * gpu.copies.times for gpu in compute.gpus if gpu.copies)
    return ok(f"{each >> 20} MiB went to {count(len(compute.gpus), 'GPU')} and back unchanged")


RULE = Rule(
    id="compute.copies-intact",
    title="What is copied to a GPU comes back unchanged",
    judge=judge,
    after=("compute.context-made",),
    remedy=Remedy(
        text="keep work off this GPU, by CUDA_VISIBLE_DEVICES; try it without a riser, seated anew, without "
        "overclocking, and the machine's own memory with memtest86+; if it stays, exchange it",
        commands={"": ("nvidia-smi -q -d ECC,ROW_REMAPPER", "sudo dmesg | grep -iE 'xid|aer|mce' | tail")},
        impact="data",
        verify="gpucheck doctor --deep",
    ),
)
