"""The package cuda-compat has a newer driver's libcuda, for data-center GPUs on an older driver, and for no others.

In front of the driver's own it gives "Error 804: forward compatibility was attempted on non supported HW" on a GeForce,
and "Error 803: system has unsupported display driver / cuda driver combination" where it is older than the driver.
"""

from gpucheck.facts import Driver, Linker, Nvml, System
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, unsure
from gpucheck.rules.linker.no_stub import nothing_found
from gpucheck.rules.scope import is_compat

DATA_CENTER = ("Tesla", "NVIDIA")  # NVML's brands; others are GeForce, Titan, and RTX cards, of which some are allowed
CONSUMER = ("GeForce", "Titan")


def judge(linker: Linker, driver: Driver, nvml: Nvml | None, system: System | None) -> Outcome:
    if not linker.libcuda:
        return nothing_found(linker, driver, nvml)
    first = linker.libcuda[0]
    if not is_compat(system, driver, first):
        return ok("no compatibility library is in front of the driver's own")
    if first.version and driver.version and first.version <= driver.version:
        if first.version == driver.version:
            return ok(f"{first.path} is of the driver's own version")
        return bad(f"{first.path} is older than the driver, {driver.version}: error 803", affects=(first.path,))
    brands = {gpu.index: gpu.brand or "" for gpu in nvml.gpus} if nvml else {}
    consumer = [f"GPU {index} ({brand})" for index, brand in brands.items() if brand.startswith(CONSUMER)]
    if consumer:
        return bad(f"{first.path} is in front, and {consumer[0]} does not take it: error 804", affects=(first.path,))
    if not brands or not all(brand in DATA_CENTER for brand in brands.values()):
        return unsure(f"{first.path} is in front; whether these GPUs are among those that take it is not known")
    return ok(f"{first.path} serves {len(brands)} data-center GPUs on driver {driver.version}")


RULE = Rule(
    id="linker.compat-allowed",
    title="A forward-compatibility libcuda is used only where it may be",
    judge=judge,
    after=("linker.no-stub",),
    remedy=Remedy(
        text="take /usr/local/cuda/compat out of LD_LIBRARY_PATH and /etc/ld.so.conf.d (then `sudo ldconfig`), or the "
        "package cuda-compat out of the image; a CUDA that the driver is too old for takes a newer driver",
        commands={"": ("echo $LD_LIBRARY_PATH", "grep -rs compat /etc/ld.so.conf.d")},
        verify="gpucheck doctor --only linker",
        url="https://docs.nvidia.com/deploy/cuda-compatibility/forward-compatibility.html",
    ),
)
