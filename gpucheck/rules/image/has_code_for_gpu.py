"""An image whose libraries have no code for the GPU starts, lists it, and fails at the first kernel, or compiles for
half an hour: "no kernel image is available for execution on the device", "sm_120 is not compatible".
"""

from gpucheck.compat import Compat, runs_on
from gpucheck.facts import Image, Nvml, Pci, Version
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip, unsure
from gpucheck.rules.scope import fitting, listed, not_in_table


def judge(image: Image, compat: Compat, pci: Pci | None, nvml: Nvml | None) -> Outcome:
    gpus = compat.gpus(pci, nvml)
    if image.framework and image.framework_version:
        build = compat.framework(image.framework, image.framework_version, image.cuda)
        if build is None:
            return unsure(f"{image.framework} {image.framework_version} for CUDA {image.cuda} is not in our table")
        what = f"{image.framework} {build.version}"
        verdict, found = fitting(gpus, lambda capability: runs_on(build, capability) is not None)
    elif image.architectures:
        what = f"an image compiled for {listed(image.architectures)}"
        verdict, found = fitting(gpus, lambda capability: _compiled_for(image, capability))
    else:
        return skip("the image does not say which GPUs it has code for")
    if verdict is None:
        return unsure(not_in_table(found, what))
    if not verdict:
        return bad(f"{what} has no code for compute capability {listed(found.values())}", affects=tuple(found))
    return ok(f"{what} runs on compute capability {listed(found.values())}")


def _compiled_for(image: Image, capability: Version) -> bool:
    """Machine code fits the same major and an equal or higher minor, PTX anything newer."""
    native = any(have.major == capability.major and have <= capability for have in image.architectures)
    return native or (image.ptx is not None and image.ptx <= capability)


RULE = Rule(
    id="image.has-code-for-gpu",
    title="The image has code for every GPU here",
    judge=judge,
    after=("pci.gpu-present",),
    remedy=Remedy(text="take an image that has: `gpucheck build --explain` names one that fits this machine"),
)
