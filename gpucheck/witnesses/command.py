"""The witnesses of a followed command: what its processes told, what TensorFlow wrote, what the profilers saw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from gpucheck.facts import GpuUse, Kernels, Placement, Request, Run, Timeline
from gpucheck.host import CannotLook
from gpucheck.witnesses import (
    executables,
    execution_trace,
    nvml_samples,
    placement,
    placement_log,
    profiler,
    request,
    timeline,
    told,
)
from gpucheck.witnesses.evidence import Document, Placed, chunks, document, file_name, lines, placed
from gpucheck.witnesses.told import Told

LOG = "command.placement.json"  # of the lines that were taken out of the output
OUTPUTS = ("command.out", "command.err")  # the beginning of the output
NO_PROFILER = {"xgboost", "keras"}
_READERS: Mapping[str, Callable[[Path, str], Placed]] = {
    "torch": lambda folder, name: execution_trace.parse(chunks(folder, name)),
    "jax": lambda folder, name: executables.parse(document(folder, name, placement.MOST_OF_EXECUTABLES)),
}
_MODES = {"torch": "dispatch", "jax": "compiled"}


def look_run(folder: Path) -> Run:
    """Raises CannotLook where what gpucheck wrote is missing or torn."""
    asked, ran = document(folder, "asked.json"), document(folder, "ran.json")
    processes = told.read(folder)
    versions = {name: version for process in processes for name, version in process.frameworks.items()}
    used = {name for process in processes for name in process.at_work}
    frameworks = tuple(name for name in versions if name in used or not used - {"keras"})
    return Run(
        frameworks=frameworks, framework_version=versions[frameworks[0]] if len(frameworks) == 1 else None,
        device=asked.get("device", str), devices_asked=asked.get("devices", int), where=asked.get("where", str),
        where_why=asked.maybe("where_why", str), image_asked=asked.maybe("image_id", str),
        image_ran=ran.maybe("image_id", str), recipe_asked=asked.maybe("recipe", str),
        recipe_ran=ran.maybe("recipe", str), exit_code=ran.maybe("exit_code", int), signal=ran.maybe("signal", int),
        oom_killed=ran.get("oom_killed", bool), last_line=next(iter(reversed(ran.texts("last_lines"))), None), parts=(),
        devices_seen=_once(device for process in processes for device in process.process().devices_seen),
        hidden_by=_of_all(process.hidden_by for process in processes),
        missing_libraries=_missing(processes),
        muted=next((process.muted for process in processes if process.muted), None),
        forced=next((process.forced for process in processes if process.forced), None),
        command=asked.texts("command"), processes=tuple(process.process() for process in processes),
        overhead=sum(process.document.get("overhead_seconds", float) for process in processes) if processes else None,
    )  # fmt: skip


def look_placement(folder: Path) -> Placement:
    """Raises CannotLook where no process could have told, and no line was written that says where an op is."""
    processes = told.read(folder)
    found = [_log(folder, processes), *(part for process in processes for part in _of_process(folder, process))]
    counts: Counter[tuple[str, str, str]] = Counter()
    for part in found:
        counts.update({(op.op, op.device, op.mode): op.count for op in part.ops})
    if not counts and not any(process.frameworks for process in processes):
        raise CannotLook(told.why_none(folder))
    modes = sorted({mode for _, _, mode in counts})
    ops = tuple(
        op for mode in modes
        for op in placed(Counter({(name, on): n for (name, on, how), n in counts.items() if how == mode}), mode)
    )  # fmt: skip
    gpu, host_memory = _registry(processes, {op.op for op in ops})
    on_gpu = {op.op for op in ops if op.device.startswith("GPU:")}
    return Placement(
        lines=sum(part.lines for part in found), unread=sum(part.unread for part in found), ops=ops, strict=None,
        refused=None, host_memory=tuple(sorted(host_memory)), reasons=_reasons(folder),
        gpu_kernels=tuple(sorted(gpu | on_gpu)) if any(any(process.builds.values()) for process in processes) else None,
    )  # fmt: skip


def look_kernels(folder: Path) -> Kernels:
    """The windows of all processes as one. Raises CannotLook with the reason why there was none."""
    processes = told.read(folder)
    windows = [
        profiler.Window(file_name(window, "kernels"), window.get("seconds", float), window.maybe("blind", str),
                        process.names, any(device.startswith("GPU:") for device in process.document.texts("devices")))
        for process in processes for window in process.document.each("windows") if window.maybe("kernels", str)
    ]  # fmt: skip
    if windows:
        return profiler.add_up(folder, windows)
    if not any(process.frameworks for process in processes):
        raise CannotLook(told.why_none(folder))
    errors = [window.maybe("error", str) for process in processes for window in process.document.each("windows")]
    problems = [problem for process in processes for problem in process.process().problems]
    why = next((text for text in (*errors, *problems) if text), None)
    if not {name for process in processes for name in process.frameworks} - NO_PROFILER:
        why = why or "XGBoost has no profiler of its own"
    raise CannotLook(why or "the command was over before a framework was seen at work")


PROVE_WITNESSES: Mapping[type, Callable[[Path], Any]] = {
    Run: look_run, Placement: look_placement, Kernels: look_kernels, GpuUse: nvml_samples.look,
    Timeline: timeline.look, Request: request.look,
}  # fmt: skip


def _log(folder: Path, processes: Iterable[Told]) -> Placed:
    """TensorFlow's lines do not say which process wrote them: they are renumbered where all had the same list."""
    log = document(folder, LOG)
    lists = [process.names for process in processes if "tensorflow" in process.frameworks]
    names = lists[0] if lists and all(each == lists[0] for each in lists) else {}
    counts: dict[str, Counter[tuple[str, str]]] = {}
    for row in log.each("ops"):
        device = row.get("device", str)
        key = row.get("op", str), names.get(device, device)
        counts.setdefault(row.get("mode", str), Counter())[key] += row.get("count", int)
    ops = tuple(op for mode, count in sorted(counts.items()) for op in placed(count, mode))
    return Placed(ops, sum(op.count for op in ops), log.get("unread", int))


def _of_process(folder: Path, process: Told) -> Iterator[Placed]:
    """PyTorch's windows add up. JAX's are each the programs alive by then, of which a program is one all the same."""
    for framework, read in _READERS.items():
        counts: Counter[tuple[str, str]] = Counter()
        count = unread = 0
        for name in _files(process.document, framework):
            try:
                part = read(folder, name)
            except CannotLook:
                unread += 1
                continue
            ops = Counter({(op.op, process.named(op.device)): op.count for op in part.ops})
            counts = counts + ops if framework == "torch" else counts | ops
            count = count + part.lines if framework == "torch" else max(count, part.lines)
            unread += part.unread
        yield Placed(placed(counts, _MODES[framework]), count, unread)
    grown: Counter[tuple[str, str]] = Counter()
    for row in process.document.each("ops"):
        grown[row.get("op", str), process.named(row.get("device", str))] += row.get("count", int)
    yield Placed(placed(grown, "configured"), grown.total(), 0)


def _files(process: Document, framework: str) -> list[str]:
    rows = (*process.each("windows"), *process.each("final"))
    return [
        file_name(row, "placement")
        for row in rows
        if row.data.get("framework") == framework and row.maybe("placement", str)
    ]


def _registry(processes: Iterable[Told], named: set[str]) -> tuple[set[str], set[str]]:
    """Of the ops that were named: those with a GPU kernel in TensorFlow, and those that work in host memory."""
    gpu, host_memory = set[str](), set[str]()
    for process in processes:
        registry = process.document.data.get("registry")
        if registry and process.document.inner("registry").get("gpu_build", bool):
            gpu |= named.intersection(process.document.inner("registry").texts("gpu"))
            host_memory |= named.intersection(process.document.inner("registry").texts("host_memory"))
    return gpu, host_memory


def _reasons(folder: Path) -> tuple[str, ...]:
    """What a framework said about not using the GPU, in the beginning of the output."""
    here = [name for name in OUTPUTS if (folder / f"{name}.gz").exists() or (folder / name).exists()]
    tensorflow = placement_log.parse(chain.from_iterable(lines(folder, name) for name in here)).reasons
    others = placement.reasons(chain.from_iterable(lines(folder, name) for name in here))
    return _once((*tensorflow, *(line for line in others if not any(reason in line for reason in tensorflow))))


def _missing(processes: Iterable[Told]) -> tuple[str, ...]:
    """Of the libraries that a process without a GPU could not load, those that none of them could."""
    looked = [libraries for process in processes if (libraries := process.document.data.get("libraries"))]
    names = _once(name for libraries in looked for name in libraries)
    return tuple(name for name in names if all(libraries.get(name) is False for libraries in looked))


def _of_all(found: Iterable[str | None]) -> str | None:
    """The first, where each of them has one."""
    values = list(found)
    return values[0] if values and all(values) else None


def _once(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
