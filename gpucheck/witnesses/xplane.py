"""XPlane, the profile that TensorFlow's and JAX's profilers write: the kernels of each GPU, and the ops of the host.

A GPU's plane is "/device:GPU:0" (xplane_schema.h, GpuPlaneName), and what CUPTI recorded is on its lines, one for each
CUDA stream: "Stream #7(Compute,MemcpyH2D)" (cupti_collector.cc). Its other lines ("XLA Ops", "XLA Modules", "Steps",
"Framework Ops", "Source code", "_counters_") repeat that grouped, and are left out. A kernel bears the stat
kernel_details; copies and memsets have others. Where a CUDA graph is traced as a whole, CUPTI records
"CudaGraphExec:<id>" and none of its kernels (cupti_buffer_events.cc): it counts as one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from gpucheck.host import CannotLook
from gpucheck.witnesses.placement_log import op_name
from gpucheck.witnesses.tally import Profile

MOST_BYTES = 64 << 20  # where all parts are of two bytes, reading takes 16 times the size
MOST_PARTS = 20_000_000  # of all kinds together: some seconds
_GPU = re.compile(r"/device:(GPU:\d+)(?:\D.*)?")
_HOST = "/host:CPU"
_STREAM = "Stream #"
_GRAPH = "CudaGraphExec:"
_TF_OP = re.compile(r"[^\s$]\S*(?<!:):([A-Za-z_]\w*)")  # model/conv/Conv2D:Conv2D
_NUMBER = re.compile(r"\.\d+$")  # of an XLA instruction: dot.3
_NO_WORK = ("$", "end: ")  # a Python frame; the mark that an XLA op has ended

# Of tsl/profiler/protobuf/xplane.proto, with the numbers of that schema. What repeats is read as bytes and parsed when
# its turn comes, so that memory holds the file and one part of it.
_BYTES, _INT, _MANY = "bytes", "int64", "bytes*"
SCHEMA = {
    "XSpace": {"planes": (1, _MANY), "errors": (2, _MANY), "warnings": (3, _MANY)},
    "XPlane": {"name": (2, _BYTES), "lines": (3, _MANY), "event_metadata": (4, _MANY), "stat_metadata": (5, _MANY)},
    "Entry": {"key": (1, _INT), "value": (2, _BYTES)},  # of both maps
    "XEventMetadata": {"id": (1, _INT), "name": (2, _BYTES)},
    "XStatMetadata": {"id": (1, _INT), "name": (2, _BYTES)},
    "XLine": {"name": (2, _BYTES), "events": (4, _MANY)},
    "XEvent": {"metadata_id": (1, _INT), "duration_ps": (3, _INT), "stats": (4, _MANY), "num_occurrences": (5, _INT)},
    "XStat": {"metadata_id": (1, _INT)},
}


def parse(content: bytes) -> Profile:
    """An XSpace, serialised. Raises CannotLook where it is torn, or of more parts than a profile has."""
    reader, profile = _Reader(messages(), MOST_PARTS), Profile()
    from google.protobuf.message import DecodeError

    try:
        space = reader.types["XSpace"].FromString(content)
        profile.complaints = [_text(part) for part in (*space.errors[:10], *space.warnings[:10])]
        for plane in reader.each("XPlane", space.planes):
            name = _text(plane.name)
            if match := _GPU.fullmatch(name):
                profile.gpu_planes += 1
                _gpu(plane, match[1], reader, profile)
            elif name == _HOST:
                _host(plane, reader, profile)
    except DecodeError as error:
        raise CannotLook("the profile is torn: it is no whole XSpace") from error
    return profile


@cache
def messages() -> dict[str, Any]:
    """A class for each message of SCHEMA. Raises CannotLook without the package protobuf."""
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    except ImportError as error:
        raise CannotLook("protobuf, which reads profiles, is not installed: gpucheck[verify]") from error
    of = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="gpucheck_xplane.proto", package="gpucheck", syntax="proto3")
    for name, fields in SCHEMA.items():
        message = file.message_type.add(name=name)
        for label, (number, kind) in fields.items():
            message.field.add(
                name=label, number=number, type=of.TYPE_INT64 if kind == _INT else of.TYPE_BYTES,
                label=of.LABEL_REPEATED if kind == _MANY else of.LABEL_OPTIONAL,
            )  # fmt: skip
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"gpucheck.{name}")) for name in SCHEMA}


@dataclass(slots=True)
class _Reader:
    types: dict[str, Any]
    left: int  # parts that may still be read

    def each(self, kind: str, parts: Sequence[bytes]) -> Iterator[Any]:
        self.left -= len(parts)
        if self.left < 0:
            raise CannotLook(f"the profile has more than {MOST_PARTS} parts")
        return map(self.types[kind].FromString, parts)

    def names(self, kind: str, entries: Sequence[bytes]) -> dict[int, str]:
        of = self.types[kind].FromString
        return {entry.key: _text(of(entry.value).name) for entry in self.each("Entry", entries)}

    def bears(self, event: Any, stats: set[int]) -> bool:
        return bool(stats) and any(stat.metadata_id in stats for stat in self.each("XStat", event.stats))


def _gpu(plane: Any, device: str, reader: _Reader, profile: Profile) -> None:
    names = reader.names("XEventMetadata", plane.event_metadata)
    details = _numbers(reader, plane, "kernel_details")
    for line in reader.each("XLine", plane.lines):
        for event in reader.each("XEvent", line.events) if _text(line.name).startswith(_STREAM) else ():
            name = names.get(event.metadata_id, "(no name)")
            if name.startswith(_GRAPH) or reader.bears(event, details):
                profile.kernel(device, name, max(1, event.num_occurrences), _seconds(event))


def _host(plane: Any, reader: _Reader, profile: Profile) -> None:
    names = reader.names("XEventMetadata", plane.event_metadata)
    hlo = _numbers(reader, plane, "hlo_op")
    for line in reader.each("XLine", plane.lines):
        for event in reader.each("XEvent", line.events):
            name, seconds = names.get(event.metadata_id, ""), _seconds(event)
            if seconds == 0 or name.startswith(_NO_WORK):
                continue
            profile.host_events += 1
            if match := _TF_OP.fullmatch(name):
                profile.host.add(op_name(match[1]), 1, seconds)
            elif reader.bears(event, hlo):
                profile.host.add(_NUMBER.sub("", name), 1, seconds)


def _numbers(reader: _Reader, plane: Any, stat: str) -> set[int]:
    names = reader.names("XStatMetadata", plane.stat_metadata)
    return {number for number, name in names.items() if name == stat}


def _seconds(event: Any) -> float:
    return max(0, int(event.duration_ps)) / 1e12


def _text(content: bytes) -> str:
    return content[:1000].decode("utf-8", "replace")
