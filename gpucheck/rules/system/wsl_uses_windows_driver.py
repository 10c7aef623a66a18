"""In WSL2 the driver is Windows' own, under /usr/lib/wsl/lib. A Linux driver installed beside it hides that one.

Seen as "Failed to initialize NVML: GPU access blocked by the operating system" or as a driver of the wrong version. On
Ubuntu `apt install nvidia-cuda-toolkit` brings one along; NVIDIA's cuda-toolkit package for WSL does not.
"""

from gpucheck.facts import Driver, Packages, System
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip

WINDOWS = "/usr/lib/wsl/"


def judge(system: System, driver: Driver, packages: Packages | None) -> Outcome:
    if not system.wsl or system.container:
        return skip("this is not WSL2" if not system.wsl else "only the WSL2 system around this container can tell")
    strays = tuple(library.path for library in driver.libraries if not library.path.startswith(WINDOWS))
    if strays:
        by = ", ".join(package.name for package in packages.driver[:3]) if packages else ""
        of = f"a Linux driver ({by})" if by else "a Linux driver"
        return bad(f"{strays[0]} is of {of}, which WSL2 must not have", affects=strays)
    return ok(f"all libraries are under {WINDOWS}")


RULE = Rule(
    id="system.wsl-uses-windows-driver",
    title="WSL2 uses Windows' driver",
    judge=judge,
    after=("pci.gpu-present",),
    remedy=Remedy(
        text="find the Linux driver's packages and remove them from this WSL2 system; the driver on Windows is enough",
        commands={"debian": ("dpkg -l | grep -E 'nvidia|libcuda'",), "": ("ls -l /usr/lib/wsl/lib",)},
        impact="none",
        verify="gpucheck doctor --only system",
        url="https://docs.nvidia.com/cuda/wsl-user-guide/index.html",
    ),
)
