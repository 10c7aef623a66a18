"""Training that does not reduce the loss did not train: wrong arithmetic on a sick device looks like this too."""

import math

from gpucheck.facts import Training
from gpucheck.model import Outcome, Rule, bad, ok, skip, unsure
from gpucheck.rules.scope import count

UNTRAINED = math.log(10)  # cross-entropy of ten equally likely classes
FEW = 200  # steps: before them the mean loss of an epoch can still be the untrained one


def judge(training: Training) -> Outcome:
    epochs, steps = len(training.history), sum(epoch.steps for epoch in training.history)
    if not epochs:
        return unsure("no epoch was recorded")
    if epochs < training.epochs_asked:
        return bad(f"{epochs} of {training.epochs_asked} epochs were trained")
    first = training.history[0].loss if epochs > 1 else UNTRAINED
    last = training.history[-1].loss
    if first is None or last is None:
        return bad("the loss became no number: the training diverged, or the arithmetic is wrong")
    if last < first:
        return ok(f"from {first:.3f} to {last:.3f} in {count(epochs, 'epoch')} on {training.data}")
    if steps < FEW:
        return skip(f"{steps} steps are too few to judge")
    return bad(f"the loss went from {first:.3f} to {last:.3f} in {count(epochs, 'epoch')}")


RULE = Rule(id="training.loss-fell", title="The loss fell", judge=judge)
