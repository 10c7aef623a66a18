"""A second libcuda in front of the driver's own, from conda, another driver or an image's layer, is of another version.

CUDA then fails while nvidia-smi works: "Error 803: system has unsupported display driver / cuda driver combination".
"""

from gpucheck.facts import Driver, Linker, Nvml, System
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip
from gpucheck.rules.linker.no_stub import nothing_found
from gpucheck.rules.scope import is_compat


def judge(linker: Linker, driver: Driver, nvml: Nvml | None, system: System | None) -> Outcome:
    if not linker.libcuda:
        return nothing_found(linker, driver, nvml)
    first = linker.libcuda[0]
    if is_compat(system, driver, first):
        return skip("a compatibility library is in front, on purpose")
    if driver.version is None or first.version is None:
        return skip(
            f"the name of {first.path} tells no version" if driver.version else "the module's version is not told"
        )
    if first.version != driver.version:
        by = next((folder for folder in linker.path if first.path.startswith(f"{folder}/")), None)
        where = f", by LD_LIBRARY_PATH ({by})" if by else ""
        return bad(f"programs load {first.path}{where}; the driver is {driver.version}", affects=(first.path,))
    return ok(f"programs load {first.path}, the driver's own")


RULE = Rule(
    id="linker.finds-drivers-libcuda",
    title="CUDA programs load the driver's own libcuda",
    judge=judge,
    after=("linker.no-stub",),
    remedy=Remedy(
        text="take its folder out of LD_LIBRARY_PATH, or uninstall the package that brought it: libcuda belongs to the "
        "driver, and in a container to the host",
        commands={"": ("echo $LD_LIBRARY_PATH", "/sbin/ldconfig -p | grep libcuda.so")},
        verify="gpucheck doctor --only linker",
        url="https://github.com/NVIDIA/nvidia-docker/issues/1256",
    ),
)
