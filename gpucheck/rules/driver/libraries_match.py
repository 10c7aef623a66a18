"""The driver's kernel module and its libraries must be of one version. An unattended upgrade replaces only the files.

"Failed to initialize NVML: Driver/library version mismatch" (18), CUDA error 803: the old module still runs.
"""

from gpucheck.facts import Driver, Linker, Nvml, Packages, System, Version
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip, unsure
from gpucheck.rules.scope import START_WITH_GPUS, TWO_INSTALLERS, is_compat

AGAIN = Remedy(
    text="restart the container: it still has the libraries of the host's driver from before an upgrade",
    impact="service",
    verify="gpucheck doctor --only driver",
)
MISSING = Remedy(
    text="install the libraries of the driver's own version, from where the driver came: Debian's packages are "
    "libcuda1 and libnvidia-ml1, Ubuntu's libnvidia-compute- and the branch, RPM Fusion's xorg-x11-drv-nvidia-cuda",
    commands={"debian": ("dpkg -l | grep -E 'nvidia|libcuda'",), "rhel": ("rpm -qa | grep -i nvidia",)},
    impact="none",
    verify="gpucheck doctor --only driver",
)


def judge(
    system: System, driver: Driver, packages: Packages | None, nvml: Nvml | None, linker: Linker | None
) -> Outcome:
    if driver.version is None:
        return skip("in WSL2 both are Windows' own" if system.wsl else "the module's version is not told")
    names = " ".join(library.path for library in driver.libraries)
    missing = [name for name in ("libcuda", "libnvidia-ml") if f"/{name}.so" not in names]
    answers = nvml is not None and nvml.driver_version is not None  # so libnvidia-ml matches
    if missing and answers and linker and linker.libcuda:
        first = linker.libcuda[0]  # in a folder that we do not know
        seen = f"module {driver.version} answers by NVML, and programs load {first.path}"
        return ok(seen) if first.version == driver.version else skip(seen)
    if missing:
        remedy = START_WITH_GPUS if system.container else MISSING
        return bad(f"module {driver.version} is loaded, but there is no {' and no '.join(missing)}", remedy=remedy)
    others = [library for library in driver.libraries if library.version and library.version != driver.version]
    compat = [library for library in others if "/libcuda." in library.path and is_compat(system, driver, library)]
    own = any("/libnvidia-ml." in library.path and library.version == driver.version for library in driver.libraries)
    if others and others == compat and own:
        return ok(f"module and libnvidia-ml are {driver.version}; {compat[0].path} is cuda-compat's")
    if others:
        mixed = packages is not None and packages.runfile and bool(packages.driver)
        return bad(
            f"the loaded module is {driver.version}, but {others[0].path} is {others[0].version}"
            + _who(packages, {library.version for library in others}),
            affects=tuple(library.path for library in others),
            remedy=AGAIN if system.container else TWO_INSTALLERS if mixed else None,
        )
    if not any(library.version for library in driver.libraries):
        unnamed = f"the names of {len(driver.libraries)} libraries do not tell their version"
        return skip(f"NVML answers; {unnamed}") if answers else unsure(unnamed)
    return ok(f"module and libraries are {driver.version}")


def _who(packages: Packages | None, versions: set[Version | None]) -> str:
    """Where the libraries of those versions come from, as far as it is known."""
    if packages is None:
        return ""
    if packages.runfile and packages.runfile_version in versions and packages.driver:
        return f": NVIDIA's .run file put it beside {packages.manager}'s driver {packages.driver[0].version}"
    if packages.upgrade and packages.upgrade.version in versions:
        return f", installed by {packages.upgrade.by or packages.manager} on {packages.upgrade.when}"
    return ""


RULE = Rule(
    id="driver.libraries-match",
    title="The driver's libraries match its kernel module",
    judge=judge,
    after=("driver.module-loaded", "driver.device-nodes", "system.driver-capabilities"),
    remedy=Remedy(
        text="reboot; or stop what uses the GPU and reload the module (modprobe refuses while something does). To keep "
        "upgrades from doing it again unasked, hold the driver's packages back (`apt-mark hold`, dnf's versionlock)",
        commands={"": ("sudo modprobe -r nvidia_uvm nvidia_drm nvidia_modeset nvidia && sudo modprobe nvidia",)},
        impact="reboot",
        verify="gpucheck doctor --only driver",
    ),
)
