"""NVIDIA's wheels for CUDA 12 and 13 in one environment: an upgrade left the old ones, or two frameworks need each one.

Most have places of their own and only take up disk. The cuDNN wheels do not: both put libcudnn.so.9 into nvidia/cudnn,
so that the last one installed is there for both, and looks for the other CUDA's libcublasLt.
"""

import re

from gpucheck.facts import Frameworks, Package
from gpucheck.model import Outcome, Remedy, Rule, Severity, bad, ok, skip


def judge(frameworks: Frameworks) -> Outcome:
    wheels = [package for package in frameworks.packages if _cuda(package)]
    if not wheels:
        return skip("no wheel of NVIDIA's is installed")
    majors = sorted({_cuda(wheel) for wheel in wheels})
    if len(majors) == 1:
        return ok(f"{len(wheels)} wheels of NVIDIA's are all of CUDA {majors[0]}")
    cudnns = [wheel for wheel in wheels if wheel.name.startswith("nvidia-cudnn-cu")]
    folders = {wheel.path for wheel in cudnns}
    if len(cudnns) > 1 and len(folders) == 1:
        names = " and ".join(f"{wheel.name} {wheel.version}" for wheel in cudnns)
        return bad(f"{names} overwrite each other's files", affects=tuple(folders))
    counts = ", ".join(f"{sum(_cuda(wheel) == major for wheel in wheels)} of CUDA {major}" for major in majors)
    return bad(f"wheels of NVIDIA's are mixed here: {counts}", affects=tuple(sorted({wheel.path for wheel in wheels})))


def _cuda(package: Package) -> int:
    """The CUDA major that a wheel is of. From 13 on CUDA's own have no suffix, and its number; 0 = none of CUDA."""
    if not package.name.startswith("nvidia-"):
        return 0
    suffix = re.search(r"-cu(\d\d)$", package.name)
    own = re.fullmatch(r"nvidia-(cublas|cuda-(runtime|nvrtc|cupti|nvcc|cccl)|nvjitlink)", package.name)
    return int(suffix[1]) if suffix else package.version.major if own else 0


RULE = Rule(
    id="frameworks.one-cuda",
    title="NVIDIA's wheels are of one CUDA major",
    severity=Severity.WARNING,
    judge=judge,
    after=("pci.gpu-present",),
    remedy=Remedy(
        text="make a fresh environment for each framework; an upgrade in place leaves the wheels of the CUDA before",
        commands={"": ("python3 -m pip list | grep -i nvidia",)},
        verify="gpucheck doctor --only frameworks",
        url="https://pypi.org/project/nvidia-cudnn-cu13/",
    ),
)
