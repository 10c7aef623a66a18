"""A GPU can be fast, cool and wrong: silent data corruption. No counter shows it, only a result that is known.

All multiprocessors run chains of integer steps, whose ends the CPU has in closed form; one wrong bit anywhere in a
chain makes another end. Tensor cores and floating point are not in this test.
"""

from gpucheck.facts import Compute
from gpucheck.model import Outcome, Remedy, Rule, ok
from gpucheck.rules.deep import found, not_come_to
from gpucheck.rules.scope import count


def judge(compute: Compute) -> Outcome:
    wrong = [gpu for gpu in compute.gpus if gpu.kernel and gpu.kernel.wrong]
    if wrong and (kernel := wrong[0].kernel):
        ran = kernel.threads * kernel.launches
        return found(compute, wrong, f"{kernel.wrong} of {ran} results are not the CPU's; 0 may")
    if outcome := not_come_to(compute, "kernel"):
        return outcome
    ran = min(gpu.kernel.threads * gpu.kernel.launches for gpu in compute.gpus if gpu.kernel)
    seconds = min(gpu.kernel.seconds for gpu in compute.gpus if gpu.kernel)
    return ok(f"{ran} results in {seconds:.1f} s are the CPU's, on {count(len(compute.gpus), 'GPU')}")


RULE = Rule(
    id="compute.kernel-correct",
    title="Every GPU computes what the CPU computes",
    judge=judge,
    after=("compute.copies-intact",),
    remedy=Remedy(
        text="keep work off this GPU, by CUDA_VISIBLE_DEVICES, and doubt what it has computed; without overclocking "
        "and undervolting once more; if it stays, exchange it",
        commands={"": ("nvidia-smi -q -d CLOCK,POWER,ECC", "sudo dmesg | grep -iE 'nvrm|xid' | tail")},
        impact="data",
        verify="gpucheck doctor --deep",
    ),
)
