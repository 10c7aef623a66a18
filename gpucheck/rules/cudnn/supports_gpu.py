"""cuDNN drops GPUs before CUDA does: from 9.11 on it has no code for Maxwell, Pascal and Volta.

The GPU is listed, and the first convolution fails: CUDNN_STATUS_ARCH_MISMATCH or "DNN library initialization failed".
This is the cuDNN installed on this machine; one that came in a wheel is judged by frameworks.cudnn-supports-gpu.
"""

from gpucheck.compat import Compat
from gpucheck.facts import Cudnn, Nvml, Pci
from gpucheck.model import Outcome, Remedy, Rule, Severity, bad, ok, skip
from gpucheck.rules.scope import fitting, listed, not_in_table


def judge(cudnn: Cudnn, compat: Compat, pci: Pci | None, nvml: Nvml | None) -> Outcome:
    version = max((library.version for library in cudnn.libraries if library.version), default=None)
    if version is None:
        return skip("cuDNN is not installed on this host" if not cudnn.libraries else "cuDNN does not tell its version")
    serves, gpus = fitting(compat.gpus(pci, nvml), lambda capability: compat.cudnn_serves(version, capability))
    if serves is None:
        return skip(not_in_table(gpus, f"cuDNN {version}"))
    if serves:
        return ok(f"cuDNN {version} serves compute capability {listed(gpus.values())}")
    return bad(
        f"cuDNN {version} has no code for compute capability {listed(gpus.values())}: "
        f"{compat.cudnn_without(min(gpus.values()))} dropped it",
        affects=tuple(gpus),
    )


RULE = Rule(
    id="cudnn.supports-gpu",
    title="The installed cuDNN has code for the GPU",
    severity=Severity.WARNING,
    judge=judge,
    after=("pci.gpu-present",),
    remedy=Remedy(
        text="install cuDNN 9.10.2 or older and hold it back from upgrades",
        impact="none",
        verify="gpucheck doctor --only cudnn",
        url="https://docs.nvidia.com/deeplearning/cudnn/installation/latest/linux.html",
    ),
)
