"""What a profiler saw, added up by name, so that memory holds names and not events."""

from __future__ import annotations

from dataclasses import dataclass, field

from gpucheck.facts import KernelTime

MOST_NAMES = 10_000  # a program has some hundred; the names that come after them are counted together
LONGEST_NAME = 300  # characters: C++ templates make kernel names of thousands
OTHERS = "(others)"


@dataclass(slots=True)
class Tally:
    """How often each name was there and for how many seconds."""

    names: dict[str, tuple[int, float]] = field(default_factory=dict)

    def add(self, name: str, count: int, seconds: float) -> None:
        name = name[:LONGEST_NAME].encode("utf-8", "replace").decode("utf-8")  # half a surrogate pair cannot be written
        if name not in self.names and len(self.names) >= MOST_NAMES:
            name = OTHERS
        before = self.names.get(name, (0, 0.0))
        self.names[name] = (before[0] + count, before[1] + seconds)

    def include(self, other: Tally) -> None:
        for name, (count, seconds) in other.names.items():
            self.add(name, count, seconds)

    @property
    def count(self) -> int:
        return sum(count for count, _ in self.names.values())

    @property
    def seconds(self) -> float:
        return sum(seconds for _, seconds in self.names.values())

    def longest(self, most: int) -> tuple[KernelTime, ...]:
        rows = sorted(self.names.items(), key=lambda row: (-row[1][1], row[0]))[:most]
        return tuple(KernelTime(name=name, count=count, seconds=seconds) for name, (count, seconds) in rows)


@dataclass(slots=True)
class Profile:
    """One window of a profiler: kernels by device ("GPU:0"), the host's ops by name, and all that the host did."""

    kernels: dict[str, Tally] = field(default_factory=dict)
    host: Tally = field(default_factory=Tally)
    host_events: int = 0
    complaints: list[str] = field(default_factory=list)  # the profiler's own errors and warnings
    gpu_planes: int = 0  # of an XPlane: one for each GPU that CUPTI was on, idle or not

    def kernel(self, device: str, name: str, count: int, seconds: float) -> None:
        self.kernels.setdefault(device, Tally()).add(name, count, seconds)
