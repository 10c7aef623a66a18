"""A libcuda of the image's own before the driver's is for data-center cards alone, and never older than the driver.

"Error 804: forward compatibility was attempted on non supported HW": a compatibility folder on LD_LIBRARY_PATH, and a
GeForce. A folder of stubs there is for the linker: cuInit then fails with 34.
"""

import re

from gpucheck.facts import Image, Nvml
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip, unsure


def judge(image: Image, nvml: Nvml | None) -> Outcome:
    folders = [folder for folder in image.environment.get("LD_LIBRARY_PATH", "").split(":") if folder]
    stubs = [folder for folder in folders if re.search(r"/stubs/?$", folder)]
    if stubs:
        return bad(f"its LD_LIBRARY_PATH has {stubs[0]}, whose libcuda is a stub")
    compat = [folder for folder in folders if re.search(r"/compat(/|$)", folder)]
    if not compat:
        return ok("no folder on its LD_LIBRARY_PATH has a libcuda of its own")
    if nvml is None or not nvml.gpus:
        return unsure(f"its LD_LIBRARY_PATH has {compat[0]}, and which GPUs are here is not known")
    gamers = [gpu.name or f"GPU {gpu.index}" for gpu in nvml.gpus if (gpu.brand or "").startswith(("GeForce", "Titan"))]
    if gamers:
        return bad(f"its LD_LIBRARY_PATH has {compat[0]}, which {gamers[0]} does not support", affects=tuple(gamers))
    return skip(f"its LD_LIBRARY_PATH has {compat[0]}, for cards of data centers as these are")


RULE = Rule(
    id="image.own-libcuda-fits",
    title="The image puts no libcuda of its own before the driver's",
    judge=judge,
    remedy=Remedy(
        text="start it with an LD_LIBRARY_PATH without that folder, and upgrade the driver to what its CUDA needs",
        url="https://docs.nvidia.com/deploy/cuda-compatibility/index.html",
    ),
)
