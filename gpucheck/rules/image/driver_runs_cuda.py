"""The CUDA in an image needs a driver of its major or a later one: error 35 in the container, or a fall to the CPU.

Data-center cards may use NVIDIA's compatibility package, where the image has one; GeForce says 804 then.
"""

from gpucheck.compat import Compat
from gpucheck.facts import Driver, Image, Nvml
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip, unsure

WITH_COMPAT = frozenset({"Tesla", "NVIDIA", "Quadro RTX", "NVIDIA RTX"})  # brands that are, or may be, of data centers


def judge(image: Image, driver: Driver, compat: Compat, nvml: Nvml | None) -> Outcome:
    if image.cuda is None:
        return skip("the image does not say which CUDA is in it")
    floor = image.min_driver or compat.driver_floor(image.cuda)
    version = driver.version
    if version is None:  # WSL2: Windows' driver numbers are in no table
        newest = nvml.cuda_version if nvml else None
        if newest is None:
            return unsure(f"CUDA {image.cuda} is in it; what the driver here runs is not known")
        return (ok if newest.major >= image.cuda.major else bad)(
            f"the driver runs CUDA up to {newest}; the image has {image.cuda}"
        )
    if floor is None:
        return unsure(f"CUDA {image.cuda} is not in our table")
    if version >= floor:
        return ok(f"driver {version} runs CUDA {image.cuda} (needs {floor})")
    told = f"CUDA {image.cuda} in the image needs driver {floor} or newer; this is {version}"
    brands = {gpu.brand for gpu in nvml.gpus} if nvml else set()
    if "NV_CUDA_COMPAT_PACKAGE" in image.environment and brands and brands <= WITH_COMPAT:
        return unsure(f"{told}; its compatibility package may bridge that on this card")
    return bad(told)


RULE = Rule(
    id="image.driver-runs-cuda",
    title="The driver runs the image's CUDA",
    judge=judge,
    after=("driver.module-loaded", "image.requirements-met"),
    remedy=Remedy(
        text="upgrade the driver, or take an image for an older CUDA: `gpucheck build --explain` names one that fits",
        impact="reboot",
        url="https://docs.nvidia.com/deploy/cuda-compatibility/index.html",
    ),
)
