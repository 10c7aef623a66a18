"""A CPU-only wheel on a machine with a GPU trains on the CPU and never says why: torch.cuda.is_available() is False.

It comes from the wrong package index, from tensorflow-cpu, or from a lock file made on another machine.
"""

from gpucheck.facts import Frameworks
from gpucheck.model import Outcome, Remedy, Rule, Severity, bad, ok, skip


def judge(frameworks: Frameworks) -> Outcome:
    told = {package.name: package for package in frameworks.packages if package.cpu_only is not None}
    if not told:
        return skip("no framework that says what it was built for is installed")
    cpu = [package for package in told.values() if package.cpu_only]
    if cpu:
        names = ", ".join(f"{package.name} {package.version}" for package in cpu)
        return bad(f"{names} was built for the CPU only", affects=tuple(package.path for package in cpu))
    return ok(f"{', '.join(f'{p.name} {p.version}' for p in told.values())} can use CUDA")


RULE = Rule(
    id="frameworks.cuda-build",
    title="The installed frameworks were built for CUDA",
    severity=Severity.WARNING,
    judge=judge,
    after=("frameworks.one-uses-gpu",),
    remedy=Remedy(
        text="install the CUDA build into its own environment: `tensorflow[and-cuda]`, torch from its CUDA index or "
        "`jax[cuda13]`; `gpucheck build` makes an image with one",
        impact="none",
        verify="gpucheck doctor --only frameworks",
        url="https://pytorch.org/get-started/locally/",
    ),
)
