"""What one GPU copies into another's memory must arrive. Training on several GPUs does little else.

With an IOMMU that translates, on a machine without guests, PCIe copies between GPUs are lost or changed while CUDA
says success: NVIDIA does not support it there. Gradients are then wrong, or NCCL hangs.
"""

from gpucheck.facts import Compute, PeerCopy
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip, unsure
from gpucheck.rules.deep import UNTRIED, said


def judge(compute: Compute) -> Outcome:
    peers = compute.peers
    if peers is None:
        return skip("there are not two whole GPUs here")
    wrong = [copy for copy in peers.copies if copy.wrong]
    if wrong:
        how = "directly" if wrong[0].direct else "through the host's memory"
        return bad(
            f"{wrong[0].wrong} of {wrong[0].bytes} bytes changed from {_ends(wrong[0])}, {how}; 0 may",
            affects=tuple(sorted({uuid for copy in wrong for uuid in (copy.source, copy.target)})),
        )
    refused = [copy for copy in peers.copies if copy.error and copy.error.code not in UNTRIED]
    if refused and refused[0].error:
        return bad(
            f"from {_ends(refused[0])}: {said(refused[0].error)}", affects=(refused[0].source, refused[0].target)
        )
    if reason := _untried(compute):
        return unsure(reason)
    direct = sum(copy.direct is True for copy in peers.copies)
    return ok(f"{len(peers.copies)} copies from GPU to GPU came unchanged, {direct} of them direct")


def _untried(compute: Compute) -> str | None:
    peers = compute.peers
    assert peers
    missing = next((copy for copy in peers.copies if copy.wrong is None), None)
    own = (missing and missing.error) or peers.error
    if own:
        return f"not every pair was tried: {said(own)}"
    seen = {uuid for copy in peers.copies for uuid in (copy.source, copy.target)}
    left = [gpu.uuid for gpu in compute.gpus if gpu.uuid not in seen]
    if missing or peers.stuck or left:
        why = peers.stuck or (f"{left[0]} was in none" if left else "the test did not come to all")
        return f"not every pair was tried: {why}"
    return None


def _ends(copy: PeerCopy) -> str:
    return f"{copy.source} to {copy.target}"


RULE = Rule(
    id="compute.peers-intact",
    title="What GPUs copy to each other arrives unchanged",
    judge=judge,
    after=("compute.copies-intact",),
    remedy=Remedy(
        text="on a machine without guests switch the IOMMU (VT-d, AMD-Vi) off in the firmware, or boot with iommu=pt; "
        "until then NCCL_P2P_DISABLE=1 keeps NCCL from such copies",
        commands={"": ("sudo dmesg | grep -iE 'iommu|dmar' | tail", "nvidia-smi topo -m")},
        impact="reboot",
        verify="gpucheck doctor --deep",
        url="https://docs.nvidia.com/cuda/cuda-c-programming-guide/index.html#iommu-on-linux",
    ),
)
