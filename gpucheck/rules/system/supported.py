"""NVIDIA's driver, and so CUDA, is for Linux with glibc; Windows has it too, and shares it with WSL2.

On macOS, in WSL1 and on Alpine (musl) no CUDA program runs. A Jetson's GPU is part of its chip, not on the PCI bus,
with a driver of its own kind: gpucheck does not know it, and says so rather than judge it by the wrong rules.
"""

from gpucheck.facts import Pci, System
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, unsure

ELSEWHERE = Remedy(
    text="run gpucheck on the Linux machine that has the GPU, over SSH; here PyTorch and others may use Apple's GPU, "
    "which gpucheck does not look at",
    url="https://docs.nvidia.com/cuda/cuda-installation-guide-linux/index.html",
)
WSL1 = Remedy(
    text="in PowerShell: `wsl --update`, and `wsl --set-version` with the name of this distribution and 2",
    impact="reboot",
    url="https://learn.microsoft.com/en-us/windows/wsl/install",
)
JETSON = Remedy(
    text="use JetPack's own tools (`sudo tegrastats`) and containers: NVIDIA's l4t-* images, or those that "
    "jetson-containers builds; wheels and images for other machines do not run here",
    url="https://github.com/dusty-nv/jetson-containers",
)
GLIBC = Remedy(
    text="use a system or image with glibc: Debian, Ubuntu, Fedora, or one that `gpucheck build` makes",
    url="https://github.com/NVIDIA/nvidia-container-toolkit/issues/270",
)


def judge(system: System, pci: Pci | None) -> Outcome:
    if system.platform != "Linux":
        name = system.os or system.platform
        return bad(f"this is {name}, for which NVIDIA has no driver and no CUDA", remedy=ELSEWHERE)
    if system.kernel.endswith("-Microsoft"):  # WSL2 writes it small: -microsoft-standard-WSL2
        return bad(f"this is WSL1 (kernel {system.kernel}), which has no GPU; WSL2 has", remedy=WSL1)
    if system.jetson and not (pci and pci.gpus):
        return bad(f"the GPU of {system.jetson} is part of its chip: gpucheck does not know that kind", remedy=JETSON)
    if system.os_family == "alpine":
        return bad(f"{system.os} is built on musl; NVIDIA's libraries need glibc", remedy=GLIBC)
    if not system.os_id:
        return unsure("/etc/os-release does not say which distribution this is: one that is built on musl has no CUDA")
    return ok(f"{system.os or 'Linux'} on {system.arch}")


RULE = Rule(
    id="system.supported",
    title="This is a system on which NVIDIA's driver and gpucheck work",
    judge=judge,
    remedy=ELSEWHERE,
)
