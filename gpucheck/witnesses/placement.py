"""Where the framework says that the probe's ops went, whatever the framework: probe.json names the kind of evidence."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from pathlib import Path

from gpucheck.facts import PlacedOp, Placement
from gpucheck.host import CannotLook
from gpucheck.witnesses import executables, execution_trace, placement_log
from gpucheck.witnesses.evidence import LONGEST_LINE, PIECE, Document, Placed, chunks, document, file_name, lines

OLDER = "tensorflow-log"  # evidence older than the key "placement" is TensorFlow's
MOST_OF_EXECUTABLES = 64 << 20  # bytes: one executable's text is cut at 4 MiB
MOST_REASONS, LONGEST_REASON = 10, 300
# What each says when it goes without the GPU: jax/_src/xla_bridge.py, torch/cuda/__init__.py and c10/cuda, xgboost's
# src/context.cc. TensorFlow's are placement_log's.
_REASON = re.compile(
    r"An NVIDIA GPU may be present|Unable to initialize backend|[Ff]alling back to cpu|No visible (?:GPU|CUDA) devices"
    r"|CUDA initialization: |Found no NVIDIA driver|Torch not compiled with CUDA|no CUDA-capable device|CUDA_ERROR_"
    r"|driver on your system is too old|Device is changed from GPU to CPU|not compiled with CUDA support"
)


def look(folder: Path) -> Placement:
    """The probe's evidence. Raises CannotLook where some of it is missing or torn."""
    probe = document(folder, "probe.json")
    refused = document(folder, "strict.json").maybe("refused", str) if (folder / "strict.json").exists() else None
    found = read(folder, "probe", probe)
    strict = probe.maybe("strict", bool)
    gpu_kernels, host_memory = _registry(probe, found)
    return Placement(
        lines=found.lines, unread=found.unread, ops=found.ops,
        strict=None if strict is None else strict and refused is None, refused=refused,
        gpu_kernels=gpu_kernels, host_memory=host_memory,
        reasons=found.reasons if kind(probe) == "tensorflow-log" else reasons(_log(folder, "probe")),
    )  # fmt: skip


def kind(probe: Document) -> str:
    """tensorflow-log, execution-trace, executables or configured. Raises CannotLook."""
    found = probe.inner("placement").get("kind", str) if "placement" in probe.data else OLDER
    if found not in _READERS:
        raise CannotLook(f"{probe.name} has {found!r:.40} as kind of placement")
    return found


def read(folder: Path, stem: str, probe: Document) -> Placed:
    """The ops of the probe of that stem (probe, control). Raises CannotLook."""
    return _READERS[kind(probe)](folder, stem, probe)


def reasons(log: Iterable[str]) -> tuple[str, ...]:
    """What the framework said about not using the GPU, verbatim, each once."""
    found: dict[str, None] = {}
    for line in log:
        if len(line) <= LONGEST_LINE and not line.startswith(PIECE) and (match := _REASON.search(line)):
            found[line[match.start() :].strip()[:LONGEST_REASON]] = None  # without the time and place before it
            if len(found) == MOST_REASONS:
                break
    return tuple(found)


def _log(folder: Path, stem: str) -> Iterable[str]:
    return chain(lines(folder, f"{stem}.out"), lines(folder, f"{stem}.err"))


def _of_log(folder: Path, stem: str, _probe: Document) -> Placed:
    log = placement_log.parse(_log(folder, stem))
    return Placed(log.ops, sum(op.count for op in log.ops), log.unread, log.reasons)


def _of_trace(folder: Path, _stem: str, probe: Document) -> Placed:
    return execution_trace.parse(chunks(folder, _file(probe)))


def _of_executables(folder: Path, _stem: str, probe: Document) -> Placed:
    return executables.parse(document(folder, _file(probe), MOST_OF_EXECUTABLES))


def _configured(_folder: Path, _stem: str, probe: Document) -> Placed:
    ops = tuple(
        PlacedOp(op=row.get("op", str), device=row.get("device", str), count=row.get("count", int), mode="configured")
        for row in probe.each("ops")
    )
    return Placed(ops, len(ops), 0)


_READERS: Mapping[str, Callable[[Path, str, Document], Placed]] = {
    "tensorflow-log": _of_log, "execution-trace": _of_trace, "executables": _of_executables, "configured": _configured,
}  # fmt: skip


def _file(probe: Document) -> str:
    told = probe.inner("placement")
    if told.maybe("file", str) is None:
        raise CannotLook(f"the probe left no {told.get('kind', str)}")
    return file_name(told, "file")


def _registry(probe: Document, found: Placed) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """(ops with a GPU kernel, ops that work in host memory). Only TensorFlow keeps a registry that says so: of
    another framework's ops those that were on a GPU have a kernel for it."""
    named = {op.op for op in found.ops}
    if "registry" in probe.data:
        registry = probe.inner("registry")
        if not registry.get("gpu_build", bool):
            return None, ()
        return tuple(sorted(named.intersection(registry.texts("gpu")))), tuple(
            sorted(named.intersection(registry.texts("host_memory")))
        )
    if not probe.get("gpu_build", bool):
        return None, ()
    return tuple(sorted({op.op for op in found.ops if op.device.startswith("GPU:")})), ()
