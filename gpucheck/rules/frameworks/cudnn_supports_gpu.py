"""TensorFlow 2.20 and later take the newest cuDNN that pip finds, and cuDNN 9.11 dropped Maxwell, Pascal and Volta.

The GPU is listed, and the first convolution fails: CUDNN_STATUS_ARCH_MISMATCH or "DNN library initialization failed".
"""

from gpucheck.compat import Compat
from gpucheck.facts import Frameworks, Nvml, Pci, System
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip
from gpucheck.rules.fits import apart, beside, shown
from gpucheck.rules.scope import fitting, listed, not_in_table

PIN = Remedy(
    text="pin cuDNN below 9.11 in this environment; `gpucheck build` makes an image with such pins",
    commands={"": ("python3 -m pip install 'nvidia-cudnn-cu12<9.11'",)},
    precondition="python3 is that of this environment",
    check="python3 -m pip --version",
    verify="gpucheck doctor --only frameworks",
)


def judge(frameworks: Frameworks, compat: Compat, pci: Pci | None, nvml: Nvml | None, system: System | None) -> Outcome:
    wheel = next((package for package in frameworks.packages if package.name.startswith("nvidia-cudnn-cu")), None)
    if wheel is None:
        return skip("no cuDNN wheel is installed")
    named, version = f"{wheel.name} {wheel.version}", wheel.version
    rest, unfit = apart(compat.gpus(pci, shown(nvml, system)), lambda gpu: compat.cudnn_serves(version, gpu))
    if unfit and not rest:
        return bad(
            f"{named} has no code for compute capability {listed(unfit.values())}: "
            f"{compat.cudnn_without(min(unfit.values()))} dropped it",
            affects=(*unfit, wheel.path),
            remedy=PIN if wheel.name == "nvidia-cudnn-cu12" else None,
        )
    serves, gpus = fitting(rest, lambda gpu: compat.cudnn_serves(version, gpu))
    if serves is None:
        return skip(not_in_table(gpus, named) + beside("it", unfit))
    return ok(f"{named} serves compute capability {listed(gpus.values())}" + beside("it", unfit))


RULE = Rule(
    id="frameworks.cudnn-supports-gpu",
    title="The cuDNN wheel has code for the GPU",
    judge=judge,
    after=("frameworks.wheel-fits-driver",),
    remedy=Remedy(
        text="install the framework's build for CUDA 12, with cuDNN below 9.11; `gpucheck build` makes such an image",
        impact="none",
        verify="gpucheck doctor --only frameworks",
    ),
)
