"""Placed is not executed. The profiler of the framework sees the kernels that the GPU ran, by name and time.

Without CUPTI it records the host alone: then it is blind, and says nothing either way. The wheels bring CUPTI
(nvidia-cuda-cupti); NVIDIA's `base` images do not.
"""

from gpucheck.compat import Compat
from gpucheck.facts import Kernels, Run
from gpucheck.model import Outcome, Rule, Severity, bad, ok, unsure
from gpucheck.rules import testimony


def judge(run: Run, kernels: Kernels, compat: Compat) -> Outcome:
    seen = testimony.executed(kernels, compat)
    windows = f"{kernels.source}, {kernels.seconds:.2g} s of the run"
    if seen.says is None:
        return unsure(f"{seen.words} ({windows})")
    if seen.says != run.device.upper():
        return bad(f"{seen.words} ({windows})")
    longest = [k for device in kernels.devices for k in device.longest[:1]]
    most = f"; most time in {longest[0].name[:60]}" if longest else ""
    return ok(f"{seen.words}{most} ({windows})")


RULE = Rule(
    id="kernels.on-device",
    title="The profiler saw the work executed on the device that was asked for",
    severity=Severity.WARNING,  # the verdict weighs it
    judge=judge,
)
