"""The CUDA toolkit ships stubs of the driver's libraries, to link against on machines without a driver.

A program that loads the stub of libcuda gets error 34 (CUDA_ERROR_STUB_LIBRARY), "CUDA driver is a stub library", and
frameworks use the CPU. It happens where LD_LIBRARY_PATH names a folder .../lib64/stubs.
"""

from gpucheck.facts import Driver, Linker, Nvml
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip, unsure

STUBS = "/stubs/"


def nothing_found(linker: Linker, driver: Driver | None, nvml: Nvml | None) -> Outcome:
    """NixOS has no cache for the linker: there programs are built to look where the driver's own libcuda is."""
    if linker.cache_error is None:
        return skip("the linker finds no libcuda.so.1")
    if not linker.cache and driver and driver.version and nvml and nvml.driver_version:
        own = [lib.path for lib in driver.libraries if "/libcuda." in lib.path and lib.version == driver.version]
        if own:
            return skip(f"{linker.cache_error}; NVML answers, and {own[0]} is the driver's own")
    return unsure(linker.cache_error)


def judge(linker: Linker, driver: Driver | None, nvml: Nvml | None) -> Outcome:
    if not linker.libcuda:
        return nothing_found(linker, driver, nvml)
    first = linker.libcuda[0].path
    if STUBS in first:
        return bad(f"a program that asks for libcuda.so.1 gets the stub {first}", affects=(first,))
    return ok(f"libcuda.so.1 is {first}")


RULE = Rule(
    id="linker.no-stub",
    title="CUDA programs do not load a stub of libcuda",
    judge=judge,
    after=("driver.libraries-match",),
    remedy=Remedy(
        text="take the folder that ends in /stubs out of LD_LIBRARY_PATH, here and where it is set (shell profile, "
        "Dockerfile); when linking, name it with -L instead",
        commands={"": ("echo $LD_LIBRARY_PATH", "grep -ns stubs ~/.bashrc ~/.profile /etc/environment")},
        verify="gpucheck doctor --only linker",
        url="https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__TYPES.html",
    ),
)
