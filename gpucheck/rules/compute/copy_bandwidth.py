"""Copies from pinned memory reach three quarters and more of what a PCIe link carries; below half something is wrong.

A link with fewer lanes or of an older generation, a slot of the other processor, a host short of memory bandwidth:
the GPU waits for its data, and every figure but the training's speed looks well.
"""

from gpucheck.facts import Compute, ComputeGpu, Gpu, Nvml, Pcie
from gpucheck.model import Outcome, Remedy, Rule, Severity, ok, skip, unsure
from gpucheck.rules.deep import found, label, not_come_to
from gpucheck.rules.links import Link, promised, rate, under_load
from gpucheck.rules.scope import count

LEAST = 0.5
MOST = 1e12  # bytes a second: twice the fastest link that a GPU has to its host, and a clock that cannot be right


def judge(compute: Compute, nvml: Nvml | None, pcie: Pcie | None) -> Outcome:
    if outcome := not_come_to(compute, "copies"):
        return unsure(outcome.message)
    told = {gpu.uuid: gpu for gpu in nvml.gpus if gpu.uuid} if nvml else {}
    links = {gpu.uuid: link for gpu in compute.gpus if (link := promised(gpu, told.get(gpu.uuid), pcie))}
    judged = [gpu for gpu in compute.gpus if gpu.uuid in links]
    if not judged:
        return skip("no GPU here has a PCIe link that is known, and is whole")
    for gpu in judged:
        if not all(0 < speed <= MOST for speed in _speeds(gpu)):
            return unsure(f"{label(gpu)}: {min(_speeds(gpu)) / 1e9:g} and {max(_speeds(gpu)) / 1e9:g} GB/s cannot be")
    slow = [gpu for gpu in judged if min(_speeds(gpu)) < LEAST * rate(links[gpu.uuid])]
    excused = {gpu.uuid: why for gpu in slow if (why := _excuse(gpu, told.get(gpu.uuid)))}
    if warned := [gpu for gpu in slow if gpu.uuid not in excused]:
        least = f"{LEAST * rate(links[warned[0].uuid]) / 1e9:.1f} is the least expected"
        link = under_load(warned[0])
        now = f"; the link was PCIe {link[0]} x{link[1]}" if link else ""
        return found(compute, warned, f"{_of_link(warned[0], links)}, where {least}{now}")
    if slow:
        return unsure(f"{label(slow[0])}: {_of_link(slow[0], links)}, but {excused[slow[0].uuid]}")
    worst = min(judged, key=lambda gpu: min(_speeds(gpu)) / rate(links[gpu.uuid]))
    return ok(f"{count(len(judged), 'GPU')}, the slowest {_of_link(worst, links)}")


def _speeds(gpu: ComputeGpu) -> tuple[float, float]:
    return (gpu.copies.to_gpu, gpu.copies.from_gpu) if gpu.copies else (0.0, 0.0)


def _of_link(gpu: ComputeGpu, links: dict[str, Link]) -> str:
    gen, width = links[gpu.uuid]
    return f"{min(_speeds(gpu)) / 1e9:.1f} GB/s of the {rate((gen, width)) / 1e9:.1f} of PCIe {gen} x{width}"


def _excuse(gpu: ComputeGpu, told: Gpu | None) -> str | None:
    if gpu.copies and not gpu.copies.alone:
        return "another GPU was copying too"
    others = [process for process in (told.processes if told else None) or () if process.kind == "compute"]
    return f"{count(len(others), 'process', 'es')} computed on it" if others else None


RULE = Rule(
    id="compute.copy-bandwidth",
    title="Copies to and from every GPU reach half of what its link carries",
    judge=judge,
    severity=Severity.WARNING,
    after=("compute.copies-intact", "pcie.full-width", "pcie.full-speed"),
    remedy=Remedy(
        text="try without a riser or cable, in a slot of the processor itself, with the firmware's setting for its "
        "speed on Auto; on a machine with two processors start the program on the GPU's own (numactl)",
        commands={"": ("nvidia-smi topo -m", "nvidia-smi -q -d PERFORMANCE")},
        verify="gpucheck doctor --deep",
    ),
)
