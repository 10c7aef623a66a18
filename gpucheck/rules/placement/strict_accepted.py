"""With soft placement off, TensorFlow refuses an op that has no kernel on the asked device instead of moving it.

That is the witness that the tutorial's `with tf.device('/GPU:0')` is not: by itself it moves silently to the CPU.
PyTorch told `cuda` and JAX told JAX_PLATFORMS=cuda refuse likewise; told nothing, both take the CPU without a word.
"""

from gpucheck.facts import Placement, Run
from gpucheck.model import Outcome, Rule, bad, ok, skip, unsure


def judge(run: Run, placement: Placement) -> Outcome:
    if placement.strict is None:
        return skip(f"{' and '.join(run.frameworks)} has no strict placement")
    if placement.refused:
        return bad(f"strict placement on the {run.device.upper()} was refused: {placement.refused}")
    if not placement.strict:
        return unsure("strict placement was not tried")
    return ok(f"the probe was accepted on the {run.device.upper()} and nowhere else")


RULE = Rule(id="placement.strict-accepted", title="Strict placement refused nothing", judge=judge)
