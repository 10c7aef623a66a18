"""Training that does not reduce the loss did not train: wrong arithmetic on a sick device looks like this too."""

import math

from gpucheck.facts import Training
from gpucheck.model import Outcome, Rule, bad, ok, unsure

UNTRAINED = math.log(10)  # cross-entropy of ten equally likely classes


def judge(training: Training) -> Outcome:
    if not training.history:
        return unsure("no epoch was recorded")
    first = training.history[0].loss if len(training.history) > 1 else UNTRAINED
    last = training.history[-1].loss
    if not math.isfinite(last) or last >= first:
        return bad(f"the loss went from {first:.3f} to {last:.3f} in {len(training.history)} epochs")
    return ok(f"from {first:.3f} to {last:.3f} in {len(training.history)} epochs on {training.data}")


RULE = Rule(id="training.loss-fell", title="The loss fell", judge=judge)
