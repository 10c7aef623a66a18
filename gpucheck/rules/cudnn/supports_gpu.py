"""cuDNN drops GPUs before CUDA does: from 9.11 on it has no code for Maxwell, Pascal and Volta.

The GPU is listed, and the first convolution fails: CUDNN_STATUS_ARCH_MISMATCH or "DNN library initialization failed".
This is the cuDNN installed on this machine; one that came in a wheel is judged by frameworks.cudnn-supports-gpu.
"""

from gpucheck.compat import Compat
from gpucheck.facts import Cudnn, Nvml, Pci
from gpucheck.model import Outcome, Remedy, Rule, Severity, bad, ok, skip
from gpucheck.rules.scope import listed


def judge(cudnn: Cudnn, compat: Compat, pci: Pci | None, nvml: Nvml | None) -> Outcome:
    version = max((library.version for library in cudnn.libraries if library.version), default=None)
    if version is None:
        return skip("cuDNN is not installed on this host" if not cudnn.libraries else "cuDNN does not tell its version")
    gpus = compat.gpus(pci, nvml)
    for gpu, capability in gpus.items():
        dropped = compat.cudnn_without(capability)
        if dropped and version >= dropped:
            return bad(
                f"cuDNN {version} has no code for compute capability {capability}: {dropped} dropped it", affects=(gpu,)
            )
    if not gpus:
        return skip("no GPU here is in our table")
    return ok(f"cuDNN {version} serves compute capability {listed(gpus.values())}")


RULE = Rule(
    id="cudnn.supports-gpu",
    title="The installed cuDNN has code for the GPU",
    severity=Severity.WARNING,
    judge=judge,
    after=("pci.gpu-present",),
    remedy=Remedy(
        text="install cuDNN 9.10.2 or older and hold it back from upgrades",
        impact="none",
        url="https://docs.nvidia.com/deeplearning/cudnn/installation/latest/linux.html",
    ),
)
