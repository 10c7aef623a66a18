"""An old driver refuses a newer CUDA runtime: error 35, "CUDA driver version is insufficient for CUDA runtime version".

Within a CUDA major any release runs on that major's oldest driver; a new major needs a new driver, or on GPUs of data
centers the libcuda of one: forward compatibility.
"""

from gpucheck.compat import Compat
from gpucheck.facts import Driver, Linker, Nvml, Toolkit
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip, unsure
from gpucheck.rules.fits import cuda_driver


def judge(driver: Driver, toolkit: Toolkit, compat: Compat, linker: Linker | None, nvml: Nvml | None) -> Outcome:
    if toolkit.cuda is None:
        return skip("no CUDA toolkit is on this host")
    version, named = cuda_driver(driver, linker)
    if version is None:  # WSL2: Windows' driver numbers are not in our table, what it runs is in NVML
        newest = nvml.cuda_version if nvml else None
        if newest is None:
            return unsure(f"CUDA {toolkit.cuda} is here; what the driver runs is not known")
        verdict = bad if newest.major < toolkit.cuda.major else ok
        return verdict(f"the driver runs CUDA up to {newest}; the toolkit is {toolkit.cuda}")
    floor = compat.driver_floor(toolkit.cuda)
    if floor is None:
        return skip(f"CUDA {toolkit.cuda} is not in our table")
    if version < floor:
        return bad(f"CUDA {toolkit.cuda} needs driver {floor} or newer; this is {named}")
    return ok(f"{named} runs CUDA {toolkit.cuda} (needs {floor})")


RULE = Rule(
    id="driver.runs-cuda",
    title="The driver is new enough for the CUDA toolkit",
    judge=judge,
    after=("nvml.answers", "linker.compat-allowed", "linker.finds-drivers-libcuda"),
    remedy=Remedy(
        text="upgrade the driver, or use a toolkit of the major that it runs (`nvidia-smi` names it)",
        commands={"debian": ("apt list --upgradable 2>/dev/null | grep -i nvidia",), "": ("nvidia-smi",)},
        impact="reboot",
        verify="gpucheck doctor --only driver",
        url="https://docs.nvidia.com/deploy/cuda-compatibility/index.html",
    ),
)
