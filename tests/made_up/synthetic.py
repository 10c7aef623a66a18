"""Reports of fleets that never were: recorded healthy machines under many names, with measurements, and seeded faults.

Every machine has its own GPUs. What a fault changes is a fact, and where rules judge it they have judged it anew.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from gpucheck import compat, engine
from gpucheck.facts import Compute, ComputeGpu, CopyTest, Facts, Gpu, KernelTest, Nvml, Timing
from gpucheck.host import Recorded
from gpucheck.model import Report
from gpucheck.probes import PROBES
from gpucheck.rules import HOST_RULES
from tests.made_up.faults import FAULTS, JUDGED, SOME, Known

MACHINES = Path(__file__).parents[1] / "machines"
MODELS = ("h100x8-healthy", "h100x8-healthy", "h100x8-healthy", "a100x8-healthy", "a10-healthy")
SPEEDS = {"h100x8-healthy": 55e9, "a100x8-healthy": 25e9, "a10-healthy": 24e9}  # bytes a second, about
NOISE = 0.02  # of what is measured: one standard deviation
WHEN = "2026-11-25T06:00:00+00:00"


@dataclass(frozen=True, kw_only=True)
class Made:
    """A fleet's size and seed, and what was done to which node: `faults` node -> the fault's name."""

    number: int
    seed: int
    faults: Mapping[str, str] = field(default_factory=dict)


@cache
def healthy(machine: str) -> Report:
    facts = engine.collect(PROBES, Recorded.load(MACHINES / machine / "recording.json"))
    made = engine.report("doctor", facts, engine.judge(HOST_RULES, facts, compat.load()), host=machine)
    assert made.exit_code == 0
    return replace(made, when=WHEN)


def seeded(number: int, seed: int, each: int = 1) -> Made:
    """Which nodes have which fault: `each` nodes a fault."""
    dice = random.Random(f"faults {seed}")  # noqa: S311 - the same again is what is wanted
    nodes = iter(dice.sample(range(number), min(number, each * len(FAULTS) * 2)))
    fitting = {fault: SOME.get(fault, MODELS) for fault in FAULTS}
    faults: dict[str, str] = {}
    for fault in FAULTS:
        had = 0
        while had < each and (place := next(nodes, None)) is not None:
            if _model(place) in fitting[fault]:
                faults[name(place)] = fault
                had += 1
    return Made(number=number, seed=seed, faults=faults)


def name(place: int) -> str:
    return f"n{place:05}"


def _model(place: int) -> str:
    return MODELS[place % len(MODELS)]


def reports(made: Made) -> Iterator[Report]:
    return (report(made, place) for place in range(made.number))


def report(made: Made, place: int) -> Report:
    """The same for the same seed, whichever others are made."""
    host, dice = name(place), random.Random(f"{made.seed} {place}")  # noqa: S311
    base = healthy(_model(place))
    known: Known = dict(base.facts.known)
    known[Nvml] = _own(known[Nvml], dice)
    known[Compute] = Compute(gpus=tuple(_worked(gpu, SPEEDS[_model(place)], dice) for gpu in known[Nvml].gpus))
    step = 0.012 * dice.gauss(1, NOISE)
    known[Timing] = Timing(
        batch_size=512, step_seconds=step, images_per_second=512 / step, control_step_seconds=step * 30
    )
    findings = base.findings
    if fault := made.faults.get(host):
        change = FAULTS[fault]
        change(known, dice)
        facts = Facts(known=known, unknown=base.facts.unknown)
        findings = engine.judge(HOST_RULES, facts, compat.load()) if fault in JUDGED else findings
    return replace(base, host=host, facts=Facts(known=known, unknown=base.facts.unknown), findings=findings)


def _own(nvml: Nvml, dice: random.Random) -> Nvml:
    """GPUs that nobody else has, at work on whatever they are at work on."""
    return replace(nvml, gpus=tuple(
        replace(gpu, uuid=f"GPU-{dice.getrandbits(128):032x}", serial=str(dice.getrandbits(40)),
                temperature_c=dice.randint(30, 60), power_mw=dice.randint(60_000, 300_000))
        for gpu in nvml.gpus
    ))  # fmt: skip


def _worked(gpu: Gpu, speed: float, dice: random.Random) -> ComputeGpu:
    copies = CopyTest(
        bytes=1 << 28, times=8, wrong_to=0, wrong_from=0, to_gpu=speed * dice.gauss(1, NOISE),
        from_gpu=speed * dice.gauss(1, NOISE), alone=True, pcie_gen=gpu.pcie_gen_max, pcie_width=gpu.pcie_width_max,
    )  # fmt: skip
    kernel = KernelTest(threads=1 << 18, rounds=1 << 20, launches=16, wrong=0, seconds=1.0 * dice.gauss(1, NOISE))
    return ComputeGpu(uuid=gpu.uuid or "", name=gpu.name, context=True, copies=copies, kernel=kernel)
