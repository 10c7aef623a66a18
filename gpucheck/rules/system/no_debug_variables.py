"""A debugger's, profiler's or clock's variable that was left behind makes CUDA slower, or stop at an error.

CUDA_LAUNCH_BLOCKING=1 waits for every kernel; CUDA_INJECTION64_PATH loads a library into every CUDA program;
CUDA_DEVICE_WAITS_ON_EXCEPTION=1 makes a failed kernel hang. DCGM's diagnostics refuse to run with them.
"""

from gpucheck.facts import System
from gpucheck.model import Outcome, Remedy, Rule, Severity, bad, ok

VARIABLES = (
    "CUDA_LAUNCH_BLOCKING", "NSIGHT_CUDA_DEBUGGER", "CUDA_INJECTION32_PATH", "CUDA_INJECTION64_PATH", "CUDA_AUTO_BOOST",
    "CUDA_ENABLE_COREDUMP_ON_EXCEPTION", "CUDA_COREDUMP_FILE", "CUDA_DEVICE_WAITS_ON_EXCEPTION", "CUDA_PROFILE",
    "COMPUTE_PROFILE", "OPENCL_PROFILE",
)  # fmt: skip


def judge(system: System) -> Outcome:
    found = [name for name in VARIABLES if system.environment.get(name, "0") not in ("", "0")]
    if found:
        names = ", ".join(f"{name}={system.environment[name]}" for name in found)
        return bad(f"set here: {names}", affects=tuple(found))
    return ok(f"none of {len(VARIABLES)} such variables is set")


RULE = Rule(
    id="system.no-debug-variables",
    title="No debugging variable changes how CUDA runs",
    severity=Severity.NOTE,
    judge=judge,
    after=("pci.gpu-present",),
    remedy=Remedy(
        text="unset those named above, unless you are debugging",
        commands={"": (f"unset {' '.join(VARIABLES)}",)},
        verify="gpucheck doctor --only system",
        url="https://docs.nvidia.com/datacenter/dcgm/latest/user-guide/dcgm-diagnostics.html",
    ),
)
