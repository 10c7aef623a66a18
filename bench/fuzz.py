"""Mutate what the witnesses read, and see that nothing crashes them and that their memory stays flat.

    python -m bench.fuzz [LINES] [SEED]      prints {"lines": ..., "crashes": ..., "mib_above_start": ...}

A line is one line of a recorded log, trace, HLO text or document, or 64 bytes of a recorded profile, mutated: bits
flipped, cut, doubled, swapped with another. A crash is any exception but CannotLook; each is shown with its seed.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import random
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gpucheck.host import CannotLook
from gpucheck.witnesses import WITNESSES, executables, execution_trace, kineto, placement_log, xplane
from gpucheck.witnesses.evidence import Document

ROOT = Path(__file__).resolve().parents[1]
LOGS, TRACES = ROOT / "tests" / "witnesses" / "samples", ROOT / "tests" / "witnesses" / "samples" / "traces"
RUNS = ROOT / "tests" / "runs"
AT_ONCE = 40  # lines in one text
PIECE = 64  # bytes of a profile that count as a line
WARM_UP = 0.1  # of the lines: what is imported and cached then is no growth
# What the documents of the recorded runs lack that are older than it.
NEWER: dict[str, dict[str, Any]] = {
    "train.json": {
        "profile": {"source": "XPlane", "file": "train.xplane.pb.gz", "seconds": 0.5, "steps": 10, "blind": None},
        "confusion": [[7, 2], [1, 9]], "classes": ["cat", "dog"], "recipe": "fast", "precision": "bfloat16",
        "step_seconds": 0.01, "shares": [{"device": "GPU:0", "samples": 32}], "deterministic": None,
    },
    "probe.json": {"placement": {"kind": "execution-trace", "file": "probe.trace.json.gz"}, "gpu_build": True},
}  # fmt: skip
FILES = {"train.xplane.pb.gz": "derived-gpu.xplane.pb.gz", "probe.trace.json.gz": "derived-torch-gpu.trace.json.gz"}
Case = Callable[[random.Random], int]  # reads one mutated text, returns its lines


def mutated(line: bytes, other: bytes, chance: random.Random) -> bytes:
    how, at = chance.randrange(6), chance.randrange(len(line) + 1)
    if how == 0:
        return b"".join(
            bytes([byte ^ (1 << chance.randrange(8))]) if chance.random() < 0.02 else bytes([byte]) for byte in line
        )
    if how == 1:
        return line[:at]
    if how == 2:
        return line[:at] + line[chance.randrange(len(line) + 1) :]
    if how == 3:
        return line * chance.randint(2, 4)
    if how == 4:
        return line[:at] + other
    return other[: chance.randrange(len(other) + 1)] + line[at:]


def some(lines: Sequence[bytes], chance: random.Random) -> bytes:
    """AT_ONCE lines from one place, most of them mutated."""
    start = chance.randrange(max(1, len(lines) - AT_ONCE))
    return b"".join(
        mutated(line, chance.choice(lines), chance) if chance.random() < 0.7 else line
        for line in lines[start : start + AT_ONCE]
    )


def texts(paths: Sequence[Path], read: Callable[[str], Any], head: bytes = b"") -> Case:
    contents = [gzip.decompress(path.read_bytes()).splitlines(keepends=True) for path in paths]

    def case(chance: random.Random) -> int:
        read((head + some(chance.choice(contents), chance)).decode("utf-8", "replace"))
        return AT_ONCE

    return case


def profiles(paths: Sequence[Path]) -> Case:
    contents = [gzip.decompress(path.read_bytes()) for path in paths]

    def case(chance: random.Random) -> int:
        content = chance.choice(contents)
        pieces = [content[at : at + PIECE] for at in range(0, len(content), PIECE)]
        number = min(len(pieces), chance.randint(1, 8))
        for at in chance.sample(range(len(pieces)), number):
            pieces[at] = mutated(pieces[at], chance.choice(pieces), chance)
        xplane.parse(b"".join(pieces))
        return number

    return case


def documents(folder: Path) -> Case:
    """A whole evidence folder of a recorded run with one document mutated, before all witnesses."""
    runs = [
        {path.name: path.read_bytes() for path in run.iterdir()}
        for run in sorted(RUNS.glob("*/evidence"))
        if not run.parent.name.startswith("derived-")
    ]
    newer = dict(runs[0]) | {name: (TRACES / sample).read_bytes() for name, sample in FILES.items()}
    for name, more in NEWER.items():
        newer[name] = json.dumps({**json.loads(newer[name]), **more}, indent=1).encode()
    runs.append(newer)

    def case(chance: random.Random) -> int:
        whole = chance.choice(runs)
        for old in folder.iterdir():
            old.unlink()
        for name, content in whole.items():
            (folder / name).write_bytes(content)
        name = chance.choice([name for name in whole if name.endswith(".json")])
        lines = whole[name].splitlines(keepends=True)
        for at in chance.sample(range(len(lines)), min(len(lines), chance.randint(1, 5))):
            lines[at] = mutated(lines[at], chance.choice(lines), chance)
        (folder / name).write_bytes(b"".join(lines))
        for look in WITNESSES.values():
            with contextlib.suppress(CannotLook):
                look(folder)
        return len(lines)

    return case


def hlo(text: str) -> None:
    executables.instructions(text)
    row = {"devices": ["CPU:0"], "hlo": text, "cut": False}
    executables.parse(Document("fuzz", json.loads(json.dumps({"executables": [row]}))))


def cases(folder: Path) -> dict[str, Case]:
    logs = sorted(LOGS.glob("*.gz"))

    def of(ending: str) -> list[Path]:
        return sorted(TRACES.glob(f"*{ending}.gz"))

    with tempfile.TemporaryDirectory() as made:
        modules = []
        for path in of(".executables.json"):
            rows = json.loads(gzip.decompress(path.read_bytes()))["executables"]
            modules.append(Path(made) / path.name)
            modules[-1].write_bytes(gzip.compress("\n".join(row["hlo"] for row in rows).encode()))
        return {
            "placement log": texts(logs, lambda text: placement_log.parse(text.splitlines(keepends=True))),
            "execution trace": texts(of(".trace.json"), lambda text: execution_trace.parse([text]), b'{"nodes": ['),
            "kineto": texts(of(".kineto.json"), lambda text: kineto.parse([text]), b'{"traceEvents": ['),
            "HLO": texts(modules, hlo),
            "XPlane": profiles(of(".xplane.pb")),
            "documents": documents(folder),
        }


def fuzz(lines: int, seed: int) -> dict[str, Any]:
    """The cases by turns until so many lines were read."""
    crashes: list[str] = []
    read = turn = start = 0
    with tempfile.TemporaryDirectory() as folder:
        all_cases = list(cases(Path(folder)).items())
        while read < lines:
            name, case = all_cases[turn % len(all_cases)]
            chance = random.Random(f"{seed} {turn}")  # noqa: S311 - it must be the same again
            try:
                read += case(chance)
            except CannotLook:
                read += AT_ONCE
            except Exception:  # noqa: BLE001 - that is what is looked for
                read += AT_ONCE
                crashes.append(f"{name}, seed {seed}, turn {turn}:\n{traceback.format_exc()}")
            turn += 1
            if not start and read > lines * WARM_UP:
                start = kib("VmHWM")
    for crash in crashes[:5]:
        print(crash, file=sys.stderr)  # noqa: T201
    return {"lines": read, "crashes": len(crashes), "mib_above_start": round((kib("VmHWM") - start) / 1024, 1)}


def kib(what: str) -> int:
    """Of /proc/self/status."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(f"{what}:"))


if __name__ == "__main__":
    asked = [int(word) for word in sys.argv[1:3]]
    print(json.dumps(fuzz(*asked, *(1_000_000, 0)[len(asked) :])))  # noqa: T201
