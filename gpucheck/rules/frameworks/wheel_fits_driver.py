"""A wheel brings its own CUDA, and that CUDA needs a driver: 12 needs 525.60.13, 13 needs 580.65.06.

torch says "The NVIDIA driver on your system is too old", TensorFlow and JAX fall back to the CPU with one warning.
"""

from gpucheck.compat import Compat
from gpucheck.facts import Driver, Frameworks, Linker, Nvml
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip, unsure
from gpucheck.rules.fits import cuda_driver


def judge(frameworks: Frameworks, compat: Compat, driver: Driver, linker: Linker | None, nvml: Nvml | None) -> Outcome:
    wheels = compat.cuda_wheels(frameworks)
    if not wheels:
        return skip("no framework built for CUDA is installed")
    version, named = cuda_driver(driver, linker)
    newest = nvml.cuda_version if nvml else None
    if version is None and newest is None:
        return unsure(f"{wheels[0][0].name} needs CUDA {wheels[0][1]}; what the driver runs is not known")
    for package, cuda in wheels:
        floor = compat.driver_floor(cuda)
        if version and floor and version < floor:
            return bad(
                f"{package.name} {package.version} (CUDA {cuda}) needs driver {floor}; this is {named}",
                affects=(package.path,),
            )
        if version is None and newest and newest.major < cuda.major:
            return bad(
                f"{package.name} {package.version} needs CUDA {cuda}; the driver runs up to {newest}",
                affects=(package.path,),
            )
    have = named if version else f"a driver for CUDA {newest}"
    return ok(f"{have} runs {', '.join(f'{p.name} {p.version} (CUDA {cuda})' for p, cuda in wheels)}")


RULE = Rule(
    id="frameworks.wheel-fits-driver",
    title="The driver is new enough for the installed frameworks",
    judge=judge,
    after=("nvml.answers", "linker.compat-allowed", "linker.finds-drivers-libcuda"),
    remedy=Remedy(
        text="upgrade the driver; or install a build for the CUDA major that it runs (`nvidia-smi` names it)",
        commands={"": ("nvidia-smi",)},
        impact="reboot",
        verify="gpucheck doctor --only frameworks",
        url="https://docs.nvidia.com/deploy/cuda-compatibility/index.html",
    ),
)
