"""The placement log is of a probe; the training after it is another process, and XLA hides its ops from any log.

What it held on the GPU tells whether it was there: a process that lost the GPU in between trains on the CPU, silently.
"""

from gpucheck.facts import Run, Training
from gpucheck.model import Outcome, Remedy, Rule, Severity, bad, ok, skip, unsure
from gpucheck.rules import testimony


def judge(run: Run, training: Training) -> Outcome:
    if run.device != "gpu":
        return skip("the CPU was asked for, whose memory nobody counts")
    seen = testimony.remembered(training)
    if seen.says is None:
        return unsure(seen.words)
    return ok(f"it held {seen.words}") if seen.says == "GPU" else bad(seen.words)


RULE = Rule(
    id="training.on-device",
    title="The training itself held its tensors on the GPU",
    after=("placement.heavy-ops-on-device",),
    severity=Severity.WARNING,  # the verdict weighs it
    judge=judge,
    remedy=Remedy(
        text="if the probe ran on the GPU and the training did not, the GPU went away in between: other users of it, "
        "exclusive compute mode, memory; `gpucheck verify --keep DIR` keeps what the framework said, in DIR/train.err",
        impact="none",
        verify="gpucheck verify",
    ),
)
