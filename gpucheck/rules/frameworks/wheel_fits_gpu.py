"""A wheel has machine code for some GPUs, and PTX that the driver compiles for newer ones, or not.

"no kernel image is available for execution on the device", "sm_120 is not compatible": is_available() is True and the
first op fails. TensorFlow before 2.22 has PTX that newer GPUs refuse: CUDA_ERROR_INVALID_PTX.
"""

from gpucheck.compat import Compat, runs_on
from gpucheck.facts import Driver, Frameworks, Linker, Nvml, Pci, System, Version
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip
from gpucheck.rules.fits import beside, cuda_driver, shown
from gpucheck.rules.scope import NO_GPU, listed
from gpucheck.tables import FrameworkBuild


def judge(
    frameworks: Frameworks, compat: Compat, driver: Driver, linker: Linker | None, pci: Pci | None, nvml: Nvml | None,
    system: System | None,
) -> Outcome:  # fmt: skip
    gpus = compat.gpus(pci, shown(nvml, system))
    wheels = compat.cuda_wheels(frameworks)
    if not wheels or not gpus:
        return skip("no framework built for CUDA is installed" if gpus else NO_GPU)
    version, _ = cuda_driver(driver, linker)
    known: list[str] = []
    served: set[Version] = set()
    odd, jit = "", False
    for package, cuda in wheels:
        named, build = f"{package.name} {package.version}", compat.build_of(package)
        faults = {capability: _fault(cuda, build, capability, version, compat) for capability in gpus.values()}
        fit = {capability for capability, fault in faults.items() if not fault}
        if not fit:
            return bad(f"{named} {faults[min(faults)]}", affects=(*gpus, package.path))
        odd += beside(named, {gpu: capability for gpu, capability in gpus.items() if capability not in fit})
        if build and build.sass:
            known.append(named)
            served |= fit
            jit |= any(runs_on(build, capability) == "jit" for capability in fit)
    if not known:
        return skip(f"which GPUs {wheels[0][0].name} {wheels[0][0].version} has code for is not in our table{odd}")
    slow = "; its PTX is compiled on first use, which takes minutes" if jit else ""
    return ok(f"{', '.join(known)} has code for {listed(served)}{slow}{odd}")


def _fault(
    cuda: Version, build: FrameworkBuild | None, capability: Version, driver: Version | None, compat: Compat
) -> str | None:
    span = compat.cuda_span(capability)
    if span and span.last and cuda.major > span.last:
        return f"is of CUDA {cuda}, which has dropped compute capability {capability}"
    if build is None or build.sass is None or runs_on(build, capability) == "native":
        return None
    have = f"has code for {', '.join(map(str, build.sass))}" + (f" and PTX {build.ptx}" if build.ptx else "")
    if runs_on(build, capability) is None:
        why = "; that PTX is reported to fail there" if capability in build.jit_fails else ""
        return f"{have}, none of which runs on compute capability {capability}{why}"
    needed = compat.toolkit_driver(build.cuda)
    if driver and needed and driver < needed:
        return f"{have}: to compile that for {capability} takes driver {needed} or newer; this is {driver}"
    return None


RULE = Rule(
    id="frameworks.wheel-fits-gpu",
    title="The installed frameworks have code for the GPU",
    judge=judge,
    after=("frameworks.wheel-fits-driver",),
    remedy=Remedy(
        text="install a build with code for this GPU, or another framework: `gpucheck build` says which image fits",
        commands={"": ("gpucheck build --list",)},
        impact="none",
        verify="gpucheck doctor --only frameworks",
    ),
)
