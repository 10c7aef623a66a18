"""HMM lets a GPU use the CPU's memory as it is. With several GeForce Blackwells it is reported to break CUDA.

cuInit fails with 3 ("initialization error") or peers do not map; with some kernels' KASLR the kernel log says
"request_free_mem_region() err -34". Switching HMM off costs nothing where no program uses malloc'ed memory on the GPU.
"""

from gpucheck.compat import Compat
from gpucheck.facts import Driver, Pci, Version
from gpucheck.model import Outcome, Remedy, Rule, Severity, bad, ok, skip

GEFORCE_BLACKWELL = Version("12.0")


def judge(pci: Pci, driver: Driver, compat: Compat) -> Outcome:
    gpus = [gpu for gpu, capability in compat.gpus(pci, None).items() if capability == GEFORCE_BLACKWELL]
    if len(gpus) < 2:
        return skip("there are not several GPUs of compute capability 12.0")
    if driver.hmm is None:
        return skip("nvidia_uvm is not loaded, or does not tell")
    if driver.hmm:
        return bad(
            f"{len(gpus)} GPUs of compute capability 12.0, and HMM is on (uvm_disable_hmm is N)", affects=tuple(gpus)
        )
    return ok(f"{len(gpus)} GPUs of compute capability 12.0, and HMM is off (uvm_disable_hmm is Y)")


RULE = Rule(
    id="driver.hmm-off-among-blackwells",
    title="HMM is off where several GeForce Blackwells are",
    judge=judge,
    severity=Severity.NOTE,
    after=("driver.module-loaded",),
    remedy=Remedy(
        text="only where cuInit fails with 3 or copies between the GPUs fail: switch it off, and load nvidia_uvm again "
        "or reboot",
        commands={"": ("echo 'options nvidia_uvm uvm_disable_hmm=1' | sudo tee /etc/modprobe.d/nvidia-uvm-hmm.conf",)},
        impact="reboot",
        url="https://docs.nvidia.com/cuda/cuda-toolkit-release-notes/index.html",
    ),
)
