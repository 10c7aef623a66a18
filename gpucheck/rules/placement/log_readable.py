"""The verdict reads what the framework wrote of its placement, so that must be there and read whole.

Switched on after TensorFlow's context exists, its log is silently empty; under XLA it names no op. No lines are no
evidence, and a line that looks like one and cannot be read could be the one that matters.
"""

from gpucheck.facts import Placement, Run
from gpucheck.model import Outcome, Rule, ok, skip, unsure

WORDS = {
    "graph": "placed in graphs", "eager": "dispatched eagerly", "dispatch": "dispatched",
    "compiled": "in compiled programs", "configured": "configured",
}  # fmt: skip


def judge(run: Run, placement: Placement) -> Outcome:
    if placement.lines == 0:
        nothing = "no framework wrote where it placed an op"
        return skip(nothing) if run.command is not None else unsure(f"{nothing}: nothing was observed")
    if placement.unread:
        return unsure(f"{placement.unread} of {placement.lines + placement.unread} lines could not be read")
    counts = {mode: sum(op.count for op in placement.ops if op.mode == mode) for mode in WORDS}
    return ok("ops read: " + ", ".join(f"{number} {WORDS[mode]}" for mode, number in counts.items() if number))


RULE = Rule(
    id="placement.log-readable", title="What the framework says of its placement was there and read whole", judge=judge
)
