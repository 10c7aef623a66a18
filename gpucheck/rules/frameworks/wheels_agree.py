"""torch pins NVIDIA's wheels, TensorFlow and JAX take a range. In one environment the last one installed decides.

pip says "torch requires nvidia-cudnn-cu12==9.10.2.21, but you have nvidia-cudnn-cu12 9.3.0.75 which is incompatible",
and goes on. What another version of cuBLAS or cuDNN does is found out at run time.
"""

from gpucheck.facts import Frameworks
from gpucheck.model import Outcome, Remedy, Rule, Severity, bad, ok, skip


def judge(frameworks: Frameworks) -> Outcome:
    installed = {package.name: package for package in frameworks.packages}
    met, unmet = 0, []
    for package in frameworks.packages:
        for want in package.wants:
            have = installed.get(want.name)
            if have and want.allows(have.version):
                met += 1
            elif have:
                unmet.append((package, want, have))
    if not unmet:
        return (
            ok(f"{met} wheels of NVIDIA's are as asked for") if met else skip("no framework asks for NVIDIA's wheels")
        )
    package, want, have = unmet[0]
    more = f", and {len(unmet) - 1} more" if len(unmet) > 1 else ""
    return bad(
        f"{package.name} {package.version} asks for {want.name}{want.versions}; {have.version} is installed{more}",
        affects=tuple(sorted({have.path for _, _, have in unmet})),
    )


RULE = Rule(
    id="frameworks.wheels-agree",
    title="NVIDIA's wheels are of the versions that the frameworks ask for",
    severity=Severity.WARNING,
    judge=judge,
    after=("frameworks.cudnn-new-enough",),
    remedy=Remedy(
        text="give each framework an environment of its own, or install the one named first again to have it as it was "
        "tested",
        commands={"": ("python3 -m pip check",)},
        verify="gpucheck doctor --only frameworks",
        url="https://packaging.python.org/en/latest/guides/installing-using-pip-and-virtual-environments/",
    ),
)
