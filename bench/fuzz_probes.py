"""Fuzz what reads a machine: every answer of recorded machines, changed, through its probe, the rules and redaction.

    python -m bench.fuzz_probes [SECONDS] [CORPUS]      prints {"by", "runs", "crashes", "seconds"}

Guided by coverage where atheris is installed (`pip install atheris`), else by chance alone. An input is the number of
a question (two bytes) and the answer. A crash is any exception but CannotLook, and any finding that calls itself a bug;
its input is kept in CORPUS (tests/corpus), where a test reads it again.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.faults.files import MACHINES, Asked, Faulty
from bench.fuzz import mutated
from gpucheck import compat, engine
from gpucheck.facts import Facts
from gpucheck.host import CannotLook, Recorded, Result
from gpucheck.model import BUG
from gpucheck.probes import PROBES
from gpucheck.redaction import redact
from gpucheck.rules import HOST_RULES

CORPUS = Path(__file__).resolve().parents[1] / "tests" / "corpus"
MOST = 65536  # bytes of an answer
# One machine of each kind asks every kind of question; their order is part of a kept input.
KINDS = ("t4-ubuntu2204-healthy", "h100x8-healthy", "wsl2", "stale-cdi", "rtx4090-laptop", "debian12-no-gpu")


class Answering(Faulty):
    """That machine with one answer replaced."""

    def __init__(self, recorded: Recorded, question: tuple[str, ...] | str, answer: str) -> None:
        super().__init__(recorded, question, "")
        self.answer = answer

    def run(self, argv: Any, timeout: float = 5.0) -> Result:
        if tuple(argv) == self.question:
            return Result(code=0, out=self.answer, err="")
        return super().run(argv, timeout)

    def read(self, path: str) -> str | None:
        return self.answer if path == self.question else super().read(path)


class Target:
    def __init__(self) -> None:
        self.tables = compat.load()
        self.questions: list[tuple[type, str, tuple[str, ...] | str, str]] = []
        self.documents = {name: json.loads((MACHINES / name / "recording.json").read_text()) for name in KINDS}
        self.facts: dict[str, Facts] = {}
        seen = set()
        for name, document in self.documents.items():
            host = Recorded(document)
            self.facts[name] = engine.collect(PROBES, host)
            for subject, probe in PROBES.items():
                asked = Asked(host)
                engine.collect({subject: probe}, asked)
                for question in sorted(asked.questions, key=str):
                    answer = self._answer(host, question)
                    if answer and (subject, question) not in seen:
                        seen.add((subject, question))
                        self.questions.append((subject, name, question, answer))
        self.of = {subject: [rule for rule in HOST_RULES if subject in {s for s, _ in rule.needs.values()}]
                   for subject in PROBES}  # fmt: skip

    @staticmethod
    def _answer(host: Recorded, question: tuple[str, ...] | str) -> str | None:
        try:
            return host.read(question) if isinstance(question, str) else host.run(question).out
        except CannotLook:
            return None

    def seeds(self) -> list[bytes]:
        return [number.to_bytes(2) + answer.encode()[:MOST] for number, (*_, answer) in enumerate(self.questions)]

    def __call__(self, data: bytes) -> None:
        """Raises what a probe must not raise, or AssertionError with the words of a finding that is a bug."""
        subject, name, question, _ = self.questions[int.from_bytes(data[:2]) % len(self.questions)]
        answer = data[2 : MOST + 2].decode("utf-8", "replace")
        host = Answering(Recorded(self.documents[name]), question, answer)
        known, unknown = dict(self.facts[name].known), dict(self.facts[name].unknown)
        try:
            known[subject] = PROBES[subject](host)
        except CannotLook as reason:
            known.pop(subject, None)
            unknown[subject] = str(reason)
        for finding in engine.judge(self.of[subject], Facts(known=known, unknown=unknown), self.tables):
            assert BUG not in finding.message, f"{finding.rule}: {finding.message}"
        kind, text = ("text", answer) if isinstance(question, str) else ("out", answer)
        files = {question: {kind: text}} if isinstance(question, str) else {}
        runs = [] if isinstance(question, str) else [{"argv": list(question), "code": 0, "out": text, "err": ""}]
        redact({"schema": 1, "runs": runs, "files": files}, "box")


def by_chance(target: Target, seconds: float, corpus: Path) -> dict[str, Any]:
    seeds, end, runs, crashes = target.seeds(), time.monotonic() + seconds, 0, 0
    while time.monotonic() < end:
        chance = random.Random(runs)  # noqa: S311 - it must be the same again
        seed = chance.choice(seeds)
        data = seed[:2] + mutated(seed[2:] or b"\n", chance.choice(seeds)[2:] or b"\n", chance)
        runs += 1
        try:
            target(data)
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            crashes += 1
            keep(corpus, data, error)
    return {"by": "chance", "runs": runs, "crashes": crashes, "seconds": round(seconds)}


def keep(corpus: Path, data: bytes, error: Exception) -> None:
    corpus.mkdir(exist_ok=True)
    (corpus / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    print(f"{type(error).__name__}: {error}"[:300], file=sys.stderr)  # noqa: T201


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    corpus = Path(sys.argv[2]) if len(sys.argv) > 2 else CORPUS
    try:
        import atheris  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        print(json.dumps(by_chance(Target(), seconds, corpus)))  # noqa: T201
        return
    atheris.instrument_all()
    target, start, crashes = Target(), time.monotonic(), 0

    def guided(data: bytes) -> None:
        nonlocal crashes
        try:
            target(data)
        except Exception as error:  # noqa: BLE001 - the next input may find another
            crashes += 1
            keep(corpus, data, error)

    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(target.seeds()):
            (Path(folder) / str(number)).write_bytes(seed)
        options = [f"-max_total_time={int(seconds)}", f"-max_len={MOST + 2}", "-timeout=20", "-print_final_stats=1"]
        atheris.Setup([sys.argv[0], folder, *options], guided)

        def end() -> None:
            took = round(time.monotonic() - start)
            print(json.dumps({"by": "coverage", "crashes": crashes, "seconds": took}), flush=True)  # noqa: T201

        import atexit

        atexit.register(end)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
