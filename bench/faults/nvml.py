"""Every NVML function that the probe calls, failing with every NVML error; and hanging, crashing, talking nonsense."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench.faults.files import MACHINES
from bench.faults.judging import Tally, examine, judge
from gpucheck import codec
from gpucheck.engine import collect
from gpucheck.facts import Facts, Nvml
from gpucheck.host import Local, Recorded, Result
from gpucheck.probes import PROBES, nvml
from tests.conftest import FAKENVML, flat

# Whose other answers a profile is judged with.
PROFILES = {"h100x8": "h100x8-healthy", "t4": "t4-ubuntu2204-healthy", "rtx4090-laptop": "rtx4090-laptop"}
ENDINGS = ("hang", "abort", "segv")
DEADLINE = 2.0  # seconds for a child that hangs on purpose
# Codes that are answers, by the start of the function's name: this GPU, or this driver, has no such thing. A handle and
# a count every driver has; a GPU that this user may not have is somebody else's.
LACKING = ("3", "13", "25")
ANSWERS = {"nvmlDeviceGetCount": (), "nvmlDeviceGetHandle": ("4",), "nvml": LACKING}
TEXTS = {"garbage": "\x01\x7f" * 20, "long": "x" * 3000, "empty": ""}
NUMBERS = {"zero": 0, "most": 2**64 - 1, "minus one": 2**32 - 1, "absurd": 10**15}


class Readings:
    """A child that reads NVML again for each profile it is given: thousands of readings in one process.

    It is given the library's folder by the environment of whoever starts it.
    """

    def __init__(self, folder: Path, library: Path) -> None:
        self.path = folder / "profile"
        self._write({})
        environment = {**os.environ, "FAKE_NVML_PROFILE": str(self.path), "LD_LIBRARY_PATH": str(library)}
        self._child = subprocess.Popen(
            [sys.executable, "-m", "bench.faults.reading"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=environment,
        )  # fmt: skip

    def __call__(self, profile: Mapping[str, str]) -> dict[str, Any]:
        """{"nvml": ..., "calls": [...]}. Raises ValueError where the child is gone."""
        self._write(profile)
        assert self._child.stdin
        assert self._child.stdout
        self._child.stdin.write("\n")
        self._child.stdin.flush()
        answer: dict[str, Any] = json.loads(self._child.stdout.readline())
        return answer

    def _write(self, profile: Mapping[str, str]) -> None:
        new = self.path.with_suffix(".new")
        new.write_text("".join(f"{key}={value}\n" for key, value in profile.items()))
        new.replace(self.path)

    def close(self) -> None:
        assert self._child.stdin
        assert self._child.stdout
        self._child.stdin.close()
        self._child.wait()
        self._child.stdout.close()


def codes() -> dict[str, int]:
    import pynvml  # type: ignore[import-untyped]

    names = [name for name in vars(pynvml) if name.startswith("NVML_ERROR_")]
    return {name.removeprefix("NVML_ERROR_"): getattr(pynvml, name) for name in names}


def run(
    library: Path, *, only_codes: Iterable[int] = (), endings: int | None = None,
    profiles: Iterable[str] = PROFILES, done: Callable[[str], None] = lambda _: None,
) -> Tally:  # fmt: skip
    """The whole matrix; or only these codes, and this many functions that end the child."""
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder:
        for name in profiles:
            table = dict(flat(tomllib.loads((FAKENVML / "profiles" / f"{name}.toml").read_text())))
            rest = collect({kind: probe for kind, probe in PROBES.items() if kind is not Nvml},
                           Recorded.load(MACHINES / PROFILES[name] / "recording.json"))  # fmt: skip
            tally += _profile(name, table, rest, Path(folder), library, tuple(only_codes) or tuple(codes().values()),
                              endings, done)  # fmt: skip
    return tally


def _profile(
    name: str, table: Mapping[str, str], rest: Facts, folder: Path, library: Path, asked: tuple[int, ...],
    endings: int | None, done: Callable[[str], None],
) -> Tally:  # fmt: skip
    tally, read = Tally(), Readings(folder, library)
    try:
        healthy = read(table)
        before = rest | Facts(known={Nvml: codec.load(Nvml, healthy["nvml"])})
        found = judge(before)
        for case, changes in (*_errors(healthy["calls"], int(table["count"]), asked), *_nonsense(table)):
            answer = read({**table, **changes})
            after = rest | Facts(known={Nvml: codec.load(Nvml, answer["nvml"])})
            # Another number than before is an answer; only one that is gone can make a pass false.
            same = before if _loses(changes) else after
            examine(tally, f"{name}, {case}", same, found if same is before else judge(after), after)
    finally:
        read.close()
    done(f"{name}: {tally.runs} readings")
    calls = healthy["calls"][:endings]
    with ThreadPoolExecutor(4) as pool:
        cases = [(call, how) for call in calls for how in ENDINGS]
        ended = pool.map(lambda case: _ended(name, table, rest, folder, library, *case), cases)
        for after, case, seconds in ended:
            if seconds > DEADLINE + 3:
                tally.hangs.append(case)
            examine(tally, case, before, found, after)
    done(f"{name}: {len(cases)} children that hang or crash")
    return tally


def _errors(calls: Iterable[str], count: int, asked: Iterable[int]) -> Iterable[tuple[str, dict[str, str]]]:
    for call in calls:
        for code in asked:
            yield f"{call} gives {code}", {f"ret.{call}": str(code)}
            if count > 1:
                yield f"{call} of GPU 1 gives {code}", {f"ret.{call}.1": str(code)}


def _loses(changes: Mapping[str, str]) -> bool:
    """Whether it takes an answer away. What is LACKING is one."""
    ((key, value),) = changes.items()
    codes = next((codes for call, codes in ANSWERS.items() if key.startswith(f"ret.{call}")), ())
    absent = value in codes
    return key.startswith("ret.") and not absent


def _nonsense(table: Mapping[str, str]) -> Iterable[tuple[str, dict[str, str]]]:
    for key, value in table.items():
        if key == "count" or key.startswith("ret."):
            continue
        numeric = all(part.lstrip("-").isdigit() or part.startswith("0x") for part in value.split()) and value.split()
        for how, other in (NUMBERS if numeric else TEXTS).items():
            yield (
                f"{key} is {how}",
                {key: " ".join([str(other)] * max(1, len(value.split()))) if numeric else str(other)},
            )
    yield "no GPU", {"count": "0"}
    yield "64 GPUs", {"count": "64"}


def _ended(
    name: str, table: Mapping[str, str], rest: Facts, folder: Path, library: Path, call: str, how: str
) -> tuple[Facts, str, float]:
    path = folder / f"{call}-{how}"
    path.write_text("".join(f"{key}={value}\n" for key, value in {**table, f"ret.{call}": how}.items()))
    command = ("env", f"FAKE_NVML_PROFILE={path}", f"LD_LIBRARY_PATH={library}", sys.executable, *nvml.COMMAND[1:])

    class Door(Local):
        def run(self, argv: Any, timeout: float = 5.0) -> Result:
            return super().run(command if tuple(argv) == nvml.COMMAND else argv, timeout)

    start = time.monotonic()
    facts = collect({Nvml: PROBES[Nvml]}, Door(deadline=DEADLINE))
    return rest | facts, f"{name}, {call} ends by {how}", time.monotonic() - start
