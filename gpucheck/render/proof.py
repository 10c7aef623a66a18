"""A verification for people: who saw what, the numbers that it came to, and how to ask for the same again.

What a witness says is read from the report's facts with this gpucheck's tables; the verdict is the report's own.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from gpucheck import compat
from gpucheck.facts import (
    Control,
    Evaluation,
    GpuUse,
    Kernels,
    Placement,
    Request,
    Run,
    Timing,
    Training,
    World,
)
from gpucheck.model import Report, Status
from gpucheck.rules import testimony
from gpucheck.rules.scope import count
from gpucheck.rules.world import all_reduce_exact

SUBJECTS = {Placement: "the framework's own word", Kernels: "the profiler", GpuUse: "NVML"}
CONTROL = "control.told-apart"
TOLD_APART = "was told apart"


class Witness(NamedTuple):
    name: str
    kind: str  # pass, fail or unknown: as asked, otherwise, or it does not decide
    says: str
    words: str


class Number(NamedTuple):
    name: str
    value: str
    about: str


def witnesses(report: Report) -> tuple[Witness, ...]:
    """Those that were there, those that were not, and the control run. () = the report is of no run."""
    known = report.facts.known
    run: Run | None = known.get(Run)
    if run is None:
        return ()
    told = testimony.of_run(
        run, compat.load(), known.get(Placement), known.get(Kernels), known.get(GpuUse), known.get(Training)
    )
    found = [_witness(each, run.device.upper()) for each in told]
    found += [
        Witness(_capital(name), "unknown", "was not there", report.facts.unknown.get(subject, "it left nothing"))
        for subject, name in SUBJECTS.items()
        if subject not in known
    ]
    return (*found, *_control(report))


def _witness(told: testimony.Testimony, asked: str) -> Witness:
    says = {"both": "says GPU and CPU", None: "does not decide"}.get(told.says, f"says {told.says}")
    kind = "unknown" if told.says is None else "pass" if told.says == asked else "fail"
    return Witness(_capital(told.witness), kind, says, told.words)


def _control(report: Report) -> Iterator[Witness]:
    finding = next((f for f in report.findings if f.rule == CONTROL), None)
    if finding and finding.status is not Status.SKIP:
        passed, there = finding.status is Status.PASS, Control in report.facts.known
        says = TOLD_APART if passed else f"was not {'told apart' if there else 'there'}"
        yield Witness("Control run, the GPU hidden", "pass" if passed else "unknown", says, finding.message)


def agreement(found: tuple[Witness, ...]) -> str:
    """One sentence over all of them; the control run is no witness of where the work was done."""
    says = Counter(w.says.removeprefix("says ") for w in found if w.says.startswith("says "))
    told = ", ".join(f"{number} say{'s' if number == 1 else ''} {what}" for what, number in says.most_common())
    if not says:
        return "No witness says where the work was done."
    if len(says) > 1:
        return f"They contradict each other: {told}."
    void = (
        ", but the control run was not told apart" if any(w.says == f"was not {TOLD_APART[4:]}" for w in found) else ""
    )
    return f"{told}, and none otherwise{void}." if says.total() > 1 else f"One witness alone says {next(iter(says))}."


def numbers(report: Report) -> Iterator[Number]:
    """What it came to, the speed-up first."""
    known = report.facts.known
    timing, training, evaluation = known.get(Timing), known.get(Training), known.get(Evaluation)
    if isinstance(timing, Timing):
        if timing.control_step_seconds and timing.step_seconds > 0:
            factor = timing.control_step_seconds / timing.step_seconds
            yield Number(
                "Speed-up", f"{factor:.1f} ×", f"over the control run: {_ms(timing.control_step_seconds)} a step"
            )
        yield Number("A step", _ms(timing.step_seconds), f"of {timing.batch_size} images")
        yield Number("Images", f"{timing.images_per_second:,.0f} /s", "in warm steps")
    made_up = ", not CIFAR-10's" if isinstance(training, Training) and not training.real else ""
    if isinstance(evaluation, Evaluation):
        tested = f"on {evaluation.macro.support:,} test images{made_up}"
        yield Number("Accuracy", f"{evaluation.accuracy:.1%}", tested)
        for name, value in (("Precision", evaluation.macro.precision), ("Recall", evaluation.macro.recall)):
            yield Number(name, f"{value:.3f}", f"mean of {len(evaluation.classes)} classes")
        yield Number("F1", f"{evaluation.macro.f1:.3f}", f"mean of {len(evaluation.classes)} classes")
    elif isinstance(training, Training) and training.test_accuracy is not None:
        yield Number("Accuracy", f"{training.test_accuracy:.1%}", f"on the test images{made_up}")
    world = known.get(World)
    if isinstance(world, World) and world.reductions and world.ranks:
        speed = all_reduce_exact.bus_bandwidth(world) / 1e9
        about = f"bus bandwidth, {count(len(world.ranks), 'rank')} on {count(len(world.hosts), 'node')}"
        yield Number("All-reduce", f"{speed:.3g} GB/s", about)
    if isinstance(training, Training) and training.history:
        seconds = sum(epoch.seconds for epoch in training.history)
        yield Number("Training", f"{seconds:.1f} s", f"for {count(len(training.history), 'epoch')}")


def settings(report: Report) -> Iterator[tuple[str, str]]:
    """The image, its recipe, what was asked for and what it trained with."""
    known = report.facts.known
    run, request, training = known.get(Run), known.get(Request), known.get(Training)
    if isinstance(request, Request):
        yield from _told(("Image", request.image), ("Recipe", request.recipe), ("Why", request.reason))
        yield from _told(("Lock, SHA-256", request.lock_sha256), ("Versions", ", ".join(request.versions)))
    if isinstance(run, Run):
        same = run.image_ran if run.image_ran == run.image_asked else f"{run.image_ran}, not {run.image_asked}"
        where = run.where + (f": {run.where_why}" if run.where_why else "")
        yield from _told(("Image that ran", same if run.image_ran or run.image_asked else None), ("Where", where))
        named = ", ".join(run.frameworks) + (f" {run.framework_version}" if run.framework_version else "")
        yield from _told(("Framework", named), ("Devices asked for", f"{run.devices_asked} × {run.device.upper()}"))
        yield from _told(("Devices seen", ", ".join(run.devices_seen)), ("Command", shlex.join(run.command or ())))
        ends = [f"{p.name} {p.seconds:.1f} s" + ("" if p.exit_code == 0 else " (failed)") for p in run.parts]
        yield from _told(("Parts", ", ".join(ends)))
    if isinstance(training, Training):
        epochs = f"{len(training.history)} of {training.epochs_asked} epochs, batches of {training.batch_size}"
        yield from _told(
            ("Trained", f"{training.recipe} recipe, {training.precision}, {epochs}"), ("Data", training.data)
        )
        again = f"seed {training.seed}: " + (training.deterministic or "the same seed gives the same run")
        yield from _told(("Repeatable", again))


def again(report: Report) -> tuple[str, ...]:
    """The commands that ask for the same again, for a shell."""
    request = report.facts.known.get(Request)
    return (shlex.join(request.command),) if isinstance(request, Request) and request.command else ()


def _told(*pairs: tuple[str, str | None]) -> Iterator[tuple[str, str]]:
    return ((name, value) for name, value in pairs if value)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
