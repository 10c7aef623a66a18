"""The accuracy says that the arithmetic was right, not where it was done: a CPU reaches the same.

The floors are measured (data/training.toml). The tutorial's 0.7147 is one lucky run and no criterion.
"""

from gpucheck.compat import Compat
from gpucheck.facts import Training
from gpucheck.model import Outcome, Rule, bad, ok, skip


def judge(training: Training, compat: Compat) -> Outcome:
    steps = sum(epoch.steps for epoch in training.history)
    floor = compat.accuracy_floor(training.real, len(training.history), steps)
    reached = [a for a in (training.history[-1].val_accuracy, training.test_accuracy) if a] if training.history else []
    if floor is None:
        return skip(f"{len(training.history)} epochs, {steps} steps in all, are too few to judge")
    if not reached or max(reached) < floor:
        return bad(
            f"accuracy {max(reached, default=0):.3f} after {len(training.history)} epochs; {floor:.2f} is expected"
        )
    return ok(f"accuracy {max(reached):.3f} after {len(training.history)} epochs (at least {floor:.2f} is expected)")


RULE = Rule(id="training.accuracy-plausible", title="The accuracy is plausible", judge=judge)
