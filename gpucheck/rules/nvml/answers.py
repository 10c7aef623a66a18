"""NVML is the library behind nvidia-smi. If it does not start, no CUDA program finds a GPU either, as a rule.

The number in the error says why: 9 driver not loaded, 12 library not found, 18 driver/library version mismatch, 4 no
permission, 999 "Unknown Error", in a container most often devices taken away by `systemctl daemon-reload`.
"""

from gpucheck.facts import Driver, Nvml, System
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, unsure
from gpucheck.rules.scope import START_WITH_GPUS, operators

NO_LIBRARY = 12
MEANINGS = {
    4: "this user may not open the device nodes",
    9: "the driver is not loaded, or not in reach",
    NO_LIBRARY: "libnvidia-ml.so.1 was not found",
    13: "the library is too old for this question",
    15: "the GPU fell off the bus",
    17: "the operating system blocked it",
    18: "the library is of another version than the kernel module",
    999: "the driver gave no reason",
}
LOST_DEVICES = Remedy(
    text="start the container again: it lost its devices when systemd was reloaded; CDI prevents that",
    impact="service",
    verify="gpucheck doctor --only nvml",
    url="https://github.com/NVIDIA/nvidia-container-toolkit/issues/48",
)
BLOCKED = Remedy(
    text="update WSL and Windows' NVIDIA driver, then restart WSL: `wsl --update`, `wsl --shutdown` in PowerShell; a "
    "GPU in TCC mode is out of WSL's reach (`nvidia-smi -dm WDDM` on Windows, as administrator)",
    impact="reboot",
    url="https://docs.nvidia.com/cuda/wsl-user-guide/index.html",
)


def judge(system: System, nvml: Nvml, driver: Driver | None) -> Outcome:
    if nvml.error is None and nvml.driver_version is None:
        why = f": {nvml.errors[0].call} gives {nvml.errors[0].name}" if nvml.errors else ""
        return unsure(f"NVML started, but does not tell the driver{why}")
    if nvml.error is None:
        return ok(f"driver {nvml.driver_version}" + (f", up to CUDA {nvml.cuda_version}" if nvml.cuda_version else ""))
    error = nvml.error
    if error.code == NO_LIBRARY and (reason := operators(driver)):
        return unsure(reason)
    remedy = None
    if system.container:
        remedy = LOST_DEVICES if error.code == 999 else START_WITH_GPUS
    elif system.wsl and error.code == 17:
        remedy = BLOCKED
    meaning = MEANINGS.get(error.code, error.detail or "no more is known")
    return bad(f"{error.call} failed with {error.code} ({error.name}): {meaning}", remedy=remedy)


RULE = Rule(
    id="nvml.answers",
    title="NVML answers",
    judge=judge,
    after=(
        "pci.gpu-present",
        "system.wsl-uses-windows-driver",
        "driver.module-loaded",
        "driver.device-nodes",
        "driver.libraries-match",
        "driver.devices-accessible",
    ),
    remedy=Remedy(
        text="the kernel log says more; a driver that no longer answers comes back with a reboot",
        commands={"": ("nvidia-smi", "sudo dmesg | grep -iE 'nvrm|xid' | tail")},
        impact="reboot",
        verify="gpucheck doctor --only nvml",
    ),
)
