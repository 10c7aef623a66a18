"""A wheel has machine code for some GPUs, and PTX that the driver compiles for newer ones, or not.

"no kernel image is available for execution on the device", "sm_120 is not compatible": is_available() is True and the
first op fails. TensorFlow before 2.22 has PTX that newer GPUs refuse: CUDA_ERROR_INVALID_PTX.
"""

from gpucheck.compat import Compat, runs_on
from gpucheck.facts import Driver, Frameworks, Nvml, Pci, Version
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip
from gpucheck.rules.scope import listed
from gpucheck.tables import FrameworkBuild


def judge(frameworks: Frameworks, compat: Compat, driver: Driver, pci: Pci | None, nvml: Nvml | None) -> Outcome:
    gpus = compat.gpus(pci, nvml)
    builds = [(package, build) for package in frameworks.packages if (build := compat.build_of(package))]
    if not builds or not gpus:
        return skip("no framework here is in our table" if gpus else "no GPU here is in our table")
    how = set()
    for package, build in builds:
        for gpu, capability in gpus.items():
            if fault := _fault(build, capability, driver.version, compat):
                return bad(f"{package.name} {package.version} {fault}", affects=(gpu, package.path))
            how |= {runs_on(build, capability)} if build.sass else set()
    if not how:
        return skip(f"which GPUs {builds[0][0].name} {builds[0][0].version} has code for is not in our table")
    slow = "; its PTX is compiled on first use, which takes minutes" if "jit" in how else ""
    return ok(f"{', '.join(f'{p.name} {p.version}' for p, _ in builds)} has code for {listed(gpus.values())}{slow}")


def _fault(build: FrameworkBuild, capability: Version, driver: Version | None, compat: Compat) -> str | None:
    span = compat.cuda_span(capability)
    if span and span.last and build.cuda.major > span.last:
        return f"is of CUDA {build.cuda}, which has dropped compute capability {capability}"
    if build.sass is None or runs_on(build, capability) == "native":
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
