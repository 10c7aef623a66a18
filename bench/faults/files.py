"""Every file and command of every recorded machine: missing, empty, cut, refused, binary, 10 MB long, or too slow."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from bench.faults.judging import Tally, examine, judge
from gpucheck.engine import collect
from gpucheck.facts import Facts
from gpucheck.host import MOST_OUTPUT, NO_SUCH_COMMAND, CannotLook, Host, Recorded, Result
from gpucheck.probes import PROBES

MACHINES = Path(__file__).resolve().parents[2] / "tests" / "machines"
HANG = 20.0  # seconds: a probe that reads what is in memory takes milliseconds
BINARY = random.Random(5).randbytes(4096).decode("utf-8", "replace")  # noqa: S311
FAULTS: dict[str, Callable[[str], str | None]] = {
    "missing": lambda _: None,
    "empty": lambda _: "",
    "cut": lambda text: text[: len(text) // 2],
    "binary": lambda _: BINARY,
    "10 MB": lambda text: ((text or "x") * (10**7 // max(1, len(text)) + 1))[:MOST_OUTPUT],  # what the door lets in
}
REFUSALS = {"refused": "{}: Permission denied", "slow": "{} did not answer within 5 s"}


class Asked:
    """A host that keeps what it was asked."""

    def __init__(self, host: Host) -> None:
        self.host, self.questions = host, set[tuple[str, ...] | str]()

    def run(self, argv: Sequence[str], timeout: float = 5.0) -> Result:
        self.questions.add(tuple(argv))
        return self.host.run(argv, timeout)

    def read(self, path: str) -> str | None:
        self.questions.add(path)
        return self.host.read(path)


class Faulty:
    """A machine on which one file or command is broken. What it was never asked before is not there."""

    def __init__(self, host: Host, question: tuple[str, ...] | str, fault: str) -> None:
        self.host, self.question, self.fault = host, question, fault

    def run(self, argv: Sequence[str], timeout: float = 5.0) -> Result:
        if tuple(argv) != self.question:
            try:
                return self.host.run(argv, timeout)
            except CannotLook as reason:
                if "not in the recording" in str(reason):
                    return Result(code=NO_SUCH_COMMAND, out="", err=f"{argv[0]}: no such command")
                raise
        self._refuse(" ".join(argv[:3]))
        answer = self.host.run(argv, timeout)
        if self.fault == "missing":
            return Result(code=NO_SUCH_COMMAND, out="", err=f"{argv[0]}: no such command")
        return Result(code=answer.code, out=FAULTS[self.fault](answer.out) or "", err=answer.err)

    def read(self, path: str) -> str | None:
        if path != self.question:
            try:
                return self.host.read(path)
            except CannotLook as reason:
                if "not in the recording" in str(reason):
                    return None
                raise
        self._refuse(path)
        return FAULTS[self.fault](self.host.read(path) or "")

    def _refuse(self, what: str) -> None:
        if self.fault in REFUSALS:
            raise CannotLook(REFUSALS[self.fault].format(what))


def run(names: Iterable[str] = (), done: Callable[[str], None] = lambda _: None) -> Tally:
    """All faults on these machines; all machines where none is named."""
    tally = Tally()
    wanted = set(names)
    for folder in sorted(path.parent for path in MACHINES.glob("*/recording.json")):
        if not wanted or folder.name in wanted:
            tally += machine(folder)
            done(folder.name)
    return tally


def machine(folder: Path) -> Tally:
    host = Recorded(json.loads((folder / "recording.json").read_text()))
    asked = {subject: Asked(host) for subject in PROBES}
    before = Facts()
    for subject, door in asked.items():
        before |= collect({subject: PROBES[subject]}, door)
    found, tally = judge(before), Tally()
    for question in dict.fromkeys(question for door in asked.values() for question in sorted(door.questions, key=str)):
        of = {subject: PROBES[subject] for subject, door in asked.items() if question in door.questions}
        for fault in (*FAULTS, *REFUSALS):
            name = question if isinstance(question, str) else " ".join(question)[:60]
            case = f"{folder.name}, {name}, {fault}"
            start = time.monotonic()
            changed = collect(of, Faulty(host, question, fault), deadline=HANG)
            if time.monotonic() - start >= HANG:
                tally.hangs.append(case)
            rest = Facts(
                known={kind: fact for kind, fact in before.known.items() if kind not in of},
                unknown={kind: reason for kind, reason in before.unknown.items() if kind not in of},
            )
            # A thing that is not there is an answer, and so is an empty configuration: what follows is no false pass.
            empty = fault == "empty" and not name.startswith("/etc/")
            same = before if fault in REFUSALS or fault == "binary" or empty else rest | changed
            examine(tally, case, same, judge(same) if same is not before else found, rest | changed)
    return tally
