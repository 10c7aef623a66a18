"""JAX_PLATFORMS=cpu and KERAS_TORCH_DEVICE=cpu make a framework use the CPU beside the best GPU, without a word.

They are set for tests and data loading, and stay in a shell profile, a job script or an image.
"""

from gpucheck.facts import System
from gpucheck.model import Outcome, Remedy, Rule, Severity, bad, ok

VARIABLES = ("JAX_PLATFORMS", "JAX_PLATFORM_NAME", "KERAS_TORCH_DEVICE")


def judge(system: System) -> Outcome:
    forced = [name for name in VARIABLES if system.environment.get(name, "").lower().split(",")[0] == "cpu"]
    if forced:
        names = ", ".join(f"{name}={system.environment[name]}" for name in forced)
        return bad(f"{names} keeps the work on the CPU", affects=tuple(forced))
    return ok("no variable puts a framework on the CPU")


RULE = Rule(
    id="system.cpu-not-forced",
    title="No environment variable keeps a framework on the CPU",
    severity=Severity.WARNING,
    judge=judge,
    after=("pci.gpu-present",),
    remedy=Remedy(
        text="unset it in this shell and where it comes from (shell profile, job script, image)",
        commands={"": (f"unset {' '.join(VARIABLES)}",)},
        verify="gpucheck doctor --only system",
        url="https://docs.jax.dev/en/latest/config_options.html",
    ),
)
