"""NVML, asked from outside the container: a process of the run held memory on a GPU, and the GPU worked then.

The run cannot forge this. A neighbour's process on the same GPU is not the run's, whatever the utilisation.
"""

from gpucheck.facts import GpuUse, Run
from gpucheck.model import Outcome, Rule, Severity, bad, ok, skip, unsure
from gpucheck.rules import testimony


def judge(run: Run, gpu_use: GpuUse | None) -> Outcome:
    seen = testimony.sampled(gpu_use) if gpu_use else None
    if run.device != "gpu" and not (seen and seen.says == "GPU"):
        return skip("the CPU was asked for")
    if seen is None or seen.says is None:
        return unsure(seen.words if seen else "NVML could not be asked beside the run")
    if run.device != "gpu":
        return bad(seen.words)
    return ok(seen.words) if seen.says == "GPU" else bad(seen.words)


RULE = Rule(
    id="gpu-use.seen-from-outside",
    title="NVML saw the run at work on the GPU, from outside",
    severity=Severity.WARNING,  # the verdict weighs it
    judge=judge,
)
