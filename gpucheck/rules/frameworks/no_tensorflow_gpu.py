"""The package tensorflow-gpu ended with TensorFlow 2.11: since 2.12 it is an empty name that fails to install.

Where an old one is still installed it wants CUDA 11 on the host and hides the real package behind it.
"""

from gpucheck.facts import Frameworks
from gpucheck.model import Outcome, Remedy, Rule, Severity, bad, ok, skip


def judge(frameworks: Frameworks) -> Outcome:
    if frameworks.python is None:
        return skip("there is no python3 here")
    dead = next((package for package in frameworks.packages if package.name == "tensorflow-gpu"), None)
    if dead:
        return bad(
            f"tensorflow-gpu {dead.version} is installed; its successor is tensorflow[and-cuda]", affects=(dead.path,)
        )
    return ok(f"tensorflow-gpu is not in {frameworks.python}")


RULE = Rule(
    id="frameworks.no-tensorflow-gpu",
    title="The dead package tensorflow-gpu is not installed",
    severity=Severity.WARNING,
    judge=judge,
    remedy=Remedy(
        text="make a fresh environment with the package that lives",
        commands={"": ("python3 -m venv tensorflow-env", "tensorflow-env/bin/pip install 'tensorflow[and-cuda]'")},
        precondition="python3 can make environments (on Debian: the package python3-venv)",
        check="python3 -c 'import ensurepip, venv'",
        verify="gpucheck doctor --only frameworks",
        url="https://www.tensorflow.org/install/pip",
    ),
)
