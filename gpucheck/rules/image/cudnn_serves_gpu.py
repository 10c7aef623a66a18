"""cuDNN drops GPUs before CUDA does: from 9.11 on it has no code for Maxwell, Pascal and Volta.

The GPU is listed, and the first convolution in the image fails: "DNN library initialization failed".
"""

from gpucheck.compat import Compat
from gpucheck.facts import Image, Nvml, Pci
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip
from gpucheck.rules.scope import fitting, listed, not_in_table


def judge(image: Image, compat: Compat, pci: Pci | None, nvml: Nvml | None) -> Outcome:
    cudnn = image.cudnn
    if cudnn is None:
        return skip("the image does not say which cuDNN is in it")
    serves, found = fitting(compat.gpus(pci, nvml), lambda capability: compat.cudnn_serves(cudnn, capability))
    if serves is None:
        return skip(not_in_table(found, f"cuDNN {cudnn}"))
    if not serves:
        return bad(f"cuDNN {cudnn} has no code for compute capability {listed(found.values())}", affects=tuple(found))
    return ok(f"cuDNN {cudnn} serves compute capability {listed(found.values())}")


RULE = Rule(
    id="image.cudnn-serves-gpu",
    title="The image's cuDNN has code for every GPU here",
    judge=judge,
    after=("pci.gpu-present",),
    remedy=Remedy(text="take an image with another cuDNN: `gpucheck build --explain` names one that fits"),
)
