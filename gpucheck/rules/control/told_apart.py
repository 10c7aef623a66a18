"""The same payload runs once with the GPU hidden. What calls that one a GPU run too proves nothing about the other."""

from gpucheck.compat import Compat
from gpucheck.facts import Control, Run
from gpucheck.model import Outcome, Rule, Severity, ok, skip, unsure
from gpucheck.rules import testimony


def judge(run: Run, control: Control | None, compat: Compat) -> Outcome:
    if run.device != "gpu":
        return skip("the CPU was asked for: there is nothing to tell apart")
    if control is None:
        return unsure("there was no control run")
    placed = testimony.placed(control.ops, run.frameworks, compat)
    ran = testimony.ran(control.kernels or (), compat)
    gpus = [device for device in control.devices_seen if device.startswith("GPU:")]
    for seen in (placed, ran):
        if seen.says in ("GPU", "both"):
            return unsure(f"the proof is void: with {control.hidden_by} {seen.witness} says {seen.words}")
    if gpus:
        return unsure(f"the proof is void: with {control.hidden_by} the framework still sees {', '.join(gpus)}")
    if placed.says is None:
        return unsure(f"the control run is no control: {placed.witness} {placed.words}")
    return ok(f"with {control.hidden_by} {placed.witness} says {placed.words}")


RULE = Rule(
    id="control.told-apart",
    title="The control run, with the GPU hidden, was told apart",
    severity=Severity.WARNING,  # the verdict weighs it
    judge=judge,
)
