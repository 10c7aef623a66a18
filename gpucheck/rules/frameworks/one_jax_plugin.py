"""Of two CUDA plugins of JAX, for CUDA 12 and 13, one is loaded and the other fails, in no fixed order.

It says "ALREADY_EXISTS: PJRT_Api already exists for device type cuda", and the helper modules may be of the other one.
"""

import re

from gpucheck.facts import Frameworks
from gpucheck.model import Outcome, Remedy, Rule, Severity, bad, ok, skip


def judge(frameworks: Frameworks) -> Outcome:
    plugins = [package for package in frameworks.packages if re.fullmatch(r"jax-cuda\d+-plugin", package.name)]
    if not plugins:
        return skip("no CUDA plugin of JAX is installed")
    if len(plugins) > 1:
        names = " and ".join(f"{plugin.name} {plugin.version}" for plugin in plugins)
        return bad(f"{names} are both installed", affects=tuple(sorted({plugin.path for plugin in plugins})))
    return ok(f"{plugins[0].name} {plugins[0].version} is the only one")


RULE = Rule(
    id="frameworks.one-jax-plugin",
    title="JAX has one CUDA plugin",
    severity=Severity.WARNING,
    judge=judge,
    after=("pci.gpu-present",),
    remedy=Remedy(
        text="make a fresh environment with one of them: `jax[cuda12]`, or `jax[cuda13]` with driver 580 or newer",
        commands={"": ("python3 -m venv jax-env", "jax-env/bin/pip install 'jax[cuda12]'")},
        verify="gpucheck doctor --only frameworks",
        url="https://docs.jax.dev/en/latest/installation.html",
    ),
)
