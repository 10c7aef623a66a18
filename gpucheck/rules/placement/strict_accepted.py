"""With soft placement off, TensorFlow refuses an op that has no kernel on the asked device instead of moving it.

That is the witness that the tutorial's `with tf.device('/GPU:0')` is not: by itself it moves silently to the CPU.
"""

from gpucheck.facts import Placement, Run
from gpucheck.model import Outcome, Rule, bad, ok, unsure


def judge(run: Run, placement: Placement) -> Outcome:
    if placement.refused:
        return bad(f"strict placement on the {run.device.upper()} was refused: {placement.refused}")
    if not placement.strict:
        return unsure("strict placement was not tried")
    return ok(f"every op of the probe was accepted on the {run.device.upper()} with soft placement off")


RULE = Rule(id="placement.strict-accepted", title="Strict placement refused nothing", judge=judge)
