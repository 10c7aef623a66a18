"""The accuracy says that the arithmetic was right, not where it was done: a CPU reaches the same.

The floors are measured (data/training.toml). The tutorial's 0.7147 is one lucky run and no criterion.
"""

from gpucheck.compat import Compat
from gpucheck.facts import Run, Training
from gpucheck.model import Outcome, Rule, bad, ok, skip
from gpucheck.rules.scope import count


def judge(run: Run, training: Training, compat: Compat) -> Outcome:
    epochs, steps = len(training.history), sum(epoch.steps for epoch in training.history)
    told = [training.test_accuracy, *(epoch.val_accuracy for epoch in training.history[-1:])]
    reached = [accuracy for accuracy in told if accuracy is not None]
    if not all(0 <= accuracy <= 1 for accuracy in reached):  # not of NaN either
        return bad(f"an accuracy of {', '.join(map(str, reached))} is no accuracy")
    floor = compat.accuracy_floor(training.real, epochs, steps, training.recipe, run.frameworks[0])
    if floor is None:
        return skip(f"{count(epochs, 'epoch')}, {steps} steps in all, are too few to judge")
    if not reached or max(reached) < floor:
        return bad(f"accuracy {max(reached, default=0):.3f} after {count(epochs, 'epoch')}; {floor:.2f} is expected")
    return ok(f"accuracy {max(reached):.3f} after {count(epochs, 'epoch')} (at least {floor:.2f} is expected)")


RULE = Rule(id="training.accuracy-plausible", title="The accuracy is plausible", judge=judge)
