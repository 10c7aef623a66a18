"""Every CUDA toolkit compiles for some GPUs: CUDA 13 dropped Maxwell, Pascal and Volta, Blackwell came with 12.8.

nvcc says "Unsupported gpu architecture"; programs say "no kernel image is available for execution on the device" (209).
This is about programs compiled here: wheels and images bring their own CUDA.
"""

from gpucheck.compat import Compat
from gpucheck.facts import Nvml, Pci, Toolkit
from gpucheck.model import Outcome, Remedy, Rule, Severity, bad, ok, skip
from gpucheck.rules.scope import listed


def judge(toolkit: Toolkit, compat: Compat, pci: Pci | None, nvml: Nvml | None) -> Outcome:
    if toolkit.cuda is None:
        return skip("no CUDA toolkit is on this host")
    known = {gpu: (c, span) for gpu, c in compat.gpus(pci, nvml).items() if (span := compat.cuda_span(c))}
    for gpu, (capability, span) in known.items():
        if span.last and toolkit.cuda.major > span.last:
            return bad(
                f"CUDA {toolkit.cuda} has dropped compute capability {capability}: {span.last} is its last major",
                affects=(gpu,),
            )
        if toolkit.cuda < span.first:
            return bad(
                f"CUDA {toolkit.cuda} does not know compute capability {capability}: that came with {span.first}",
                affects=(gpu,),
            )
    if not known:
        return skip("no GPU here is in our table")
    return ok(f"CUDA {toolkit.cuda} compiles for {listed(c for c, _ in known.values())}")


RULE = Rule(
    id="toolkit.supports-gpu",
    title="The CUDA toolkit compiles for the GPU",
    severity=Severity.WARNING,
    judge=judge,
    after=("pci.gpu-present",),
    remedy=Remedy(
        text="install a toolkit that knows the GPU beside this one, and choose it by PATH",
        commands={"": ("ls -d /usr/local/cuda*",)},
        impact="none",
        verify="gpucheck doctor --only toolkit",
        url="https://developer.nvidia.com/cuda-toolkit-archive",
    ),
)
