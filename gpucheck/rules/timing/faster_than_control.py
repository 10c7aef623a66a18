"""How much the GPU gains over the same steps with the GPU hidden. A hint, never a proof: small steps hardly gain."""

from gpucheck.facts import Run, Timing
from gpucheck.model import Outcome, Rule, Severity, bad, ok, skip

GAIN = 1.2


def judge(run: Run, timing: Timing) -> Outcome:
    told = f"{timing.step_seconds * 1000:.3g} ms a step, {timing.images_per_second:.0f} images a second"
    if run.device != "gpu" or timing.control_step_seconds is None:
        return skip(told)
    gain = timing.control_step_seconds / timing.step_seconds
    against = f"{told}; with the GPU hidden {timing.control_step_seconds * 1000:.3g} ms: {gain:.1f} times"
    return ok(against) if gain >= GAIN else bad(f"{against}, which is no gain")


RULE = Rule(
    id="timing.faster-than-control",
    title="The GPU is faster than the CPU",
    severity=Severity.NOTE,
    after=("verdict.witnesses-agree",),
    judge=judge,
)
