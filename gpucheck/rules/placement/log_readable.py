"""The verdict reads TensorFlow's device placement log, so the log must be there and read whole.

Switched on after TensorFlow's context exists, the log is silently empty; under XLA it names no op. No lines are no
evidence, and a line that looks like one and cannot be read could be the one that matters.
"""

from gpucheck.facts import Placement
from gpucheck.model import Outcome, Rule, ok, unsure


def judge(placement: Placement) -> Outcome:
    if placement.lines == 0:
        return unsure("the placement log has no lines: nothing was observed")
    if placement.unread:
        return unsure(f"{placement.unread} of {placement.lines + placement.unread} lines could not be read")
    graph = sum(op.count for op in placement.ops if op.mode == "graph")
    return ok(
        f"{placement.lines} lines read: {graph} ops placed in graphs, {placement.lines - graph} dispatched eagerly"
    )


RULE = Rule(id="placement.log-readable", title="The placement log was there and read whole", judge=judge)
