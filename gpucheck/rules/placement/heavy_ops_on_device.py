"""What the framework itself says: every heavy op, forward and backward, must be on the device that was asked for.

TensorFlow places softly: without a usable GPU the same script trains on the CPU, with no error and no warning at the
log level that most scripts set. PyTorch and JAX do as they are told, and scripts tell them "the GPU, if there is one".
Only the log says where each op went; the verdict asks other witnesses whether it was so.
"""

from gpucheck.compat import Compat
from gpucheck.facts import PlacedOp, Placement, Run
from gpucheck.model import Outcome, Rule, bad, ok, skip, unsure
from gpucheck.rules import testimony


def judge(run: Run, placement: Placement, compat: Compat) -> Outcome:
    shown = () if run.command is not None else compat.shown_ops(run.frameworks)
    heavy = [op for op in placement.ops if op.op in compat.heavy_ops(run.frameworks)]
    asked = {f"{run.device.upper()}:{number}" for number in range(run.devices_asked)}
    if run.command is not None:  # whichever of them the program likes
        asked |= {op.device for op in heavy if op.device.startswith(run.device.upper())}
    elsewhere = [op for op in heavy if op.device not in asked]
    there = {(op.op, op.mode) for op in heavy}
    seen = testimony.placed(placement.ops, run.frameworks, compat, strict=bool(placement.strict))
    if not heavy:
        say = skip if run.command is not None else unsure  # of a program of ours something is amiss
        return say(f"{seen.witness} names no heavy op in {placement.lines} lines{_compiled(placement)}")
    if len(elsewhere) == len(heavy):
        return bad(f"{seen.words}, none on {', '.join(sorted(asked))}")
    if elsewhere:
        where = ", ".join(sorted({op.device for op in elsewhere}))
        return bad(f"{_counts(elsewhere)} ran on {where}, not on {', '.join(sorted(asked))}")
    if missing := [f"{op} ({mode})" for op, mode in shown if (op, mode) not in there]:
        return unsure(f"{seen.witness} never names {', '.join(missing)}")
    if run.command is None and not {op.device for op in heavy} <= set(run.devices_seen):
        return unsure(f"{seen.words}, and the framework itself saw only {', '.join(run.devices_seen)}")
    if run.device == "gpu" and placement.gpu_kernels is None:
        return unsure(f"{seen.words}, and this {' and '.join(run.frameworks)} has no GPU kernels")
    return ok(seen.words)


def _compiled(placement: Placement) -> str:
    """XLA takes the ops of a compiled function out of TensorFlow's log."""
    calls = sum(op.count for op in placement.ops if op.op in ("StatefulPartitionedCall", "PartitionedCall"))
    return f": {calls} calls of compiled functions hide theirs" if calls else ""


def _counts(ops: list[PlacedOp]) -> str:
    counts: dict[str, int] = {}
    for op in ops:
        counts[op.op] = counts.get(op.op, 0) + op.count
    return ", ".join(f"{name} {number}" for name, number in counts.items())


RULE = Rule(
    id="placement.heavy-ops-on-device",
    title="The framework placed every heavy op on the device that was asked for",
    judge=judge,
)
