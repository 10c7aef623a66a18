"""TensorFlow 2.20 and later take the newest cuDNN that pip finds, and cuDNN 9.11 dropped Maxwell, Pascal and Volta.

The GPU is listed, and the first convolution fails: CUDNN_STATUS_ARCH_MISMATCH or "DNN library initialization failed".
"""

from gpucheck.compat import Compat
from gpucheck.facts import Frameworks, Nvml, Pci
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip
from gpucheck.rules.scope import listed


def judge(frameworks: Frameworks, compat: Compat, pci: Pci | None, nvml: Nvml | None) -> Outcome:
    wheel = next((package for package in frameworks.packages if package.name.startswith("nvidia-cudnn-cu")), None)
    gpus = compat.gpus(pci, nvml)
    if wheel is None or not gpus:
        return skip("no cuDNN wheel is installed" if wheel is None else "no GPU here is in our table")
    for gpu, capability in gpus.items():
        dropped = compat.cudnn_without(capability)
        if dropped and wheel.version >= dropped:
            return bad(
                f"{wheel.name} {wheel.version} has no code for compute capability {capability}: {dropped} dropped it",
                affects=(gpu, wheel.path),
            )
    return ok(f"{wheel.name} {wheel.version} serves {listed(gpus.values())}")


RULE = Rule(
    id="frameworks.cudnn-supports-gpu",
    title="The cuDNN wheel has code for the GPU",
    judge=judge,
    after=("frameworks.wheel-fits-driver",),
    remedy=Remedy(
        text="pin cuDNN below 9.11 in this environment; `gpucheck build` makes an image with such pins",
        commands={"": ("python3 -m pip install 'nvidia-cudnn-cu12<9.11'",)},
    ),
)
