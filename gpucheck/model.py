"""What a rule is, what it answers, and the report that is made of the answers."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from gpucheck.facts import Facts

REPORT_SCHEMA = 1


class Severity(StrEnum):
    """Of a rule, never of an outcome."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Status(StrEnum):
    """Of an outcome; unknown is never a pass."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    SKIP = "skip"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class Remedy:
    """How to put it right. `commands` are safe to paste, by os_family, "" for every other; they destroy nothing.

    `impact` is the worst that carrying it out does: none, service (restarts one), reboot, data (work or data at risk).
    """

    text: str
    commands: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    impact: str = "none"
    precondition: str | None = None  # what must hold before, in words: "nvidia-ctk is installed"
    check: str | None = None  # a command that succeeds where the precondition holds, and changes nothing
    verify: str = "gpucheck doctor"
    url: str | None = None

    def commands_for(self, os_family: str | None) -> tuple[str, ...]:
        return self.commands.get(os_family or "", self.commands.get("", ()))


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """Made only by ok(), bad() and skip(). `affects` names the GPUs or files it is about; () = the whole machine."""

    status: Status
    message: str
    affects: tuple[str, ...] = ()
    remedy: Remedy | None = None  # where the facts choose between remedies


def ok(message: str) -> Outcome:
    return Outcome(status=Status.PASS, message=message)


def bad(message: str, *, affects: tuple[str, ...] = (), remedy: Remedy | None = None) -> Outcome:
    return Outcome(status=Status.FAIL, message=message, affects=affects, remedy=remedy)


def skip(message: str) -> Outcome:
    """The question does not arise on this machine."""
    return Outcome(status=Status.SKIP, message=message)


def unsure(message: str) -> Outcome:
    """What was gathered does not decide it: no evidence is not a pass."""
    return Outcome(status=Status.UNKNOWN, message=message)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    id: str
    title: str  # affirmative, true when healthy
    judge: Callable[..., Outcome]
    severity: Severity = Severity.ERROR
    remedy: Remedy | None = None
    after: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()

    @property
    def needs(self) -> dict[str, tuple[type, bool]]:
        """judge's parameters: name -> (type, may be unknown). `x: Pci | None` is judged without Pci too."""
        hints = typing.get_type_hints(self.judge)
        needs = {}
        for name in inspect.signature(self.judge).parameters:
            hint = hints[name]
            optional = isinstance(hint, types.UnionType)
            needs[name] = (next(t for t in hint.__args__ if t is not types.NoneType) if optional else hint, optional)
        return needs

    @property
    def why(self) -> str:
        return inspect.getdoc(inspect.getmodule(self.judge)) or ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    rule: str
    title: str
    severity: Severity
    status: Status
    message: str
    affects: tuple[str, ...] = ()
    because: str | None = None  # the rule whose failure made this one pointless
    remedy: Remedy | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """Facts and findings of one host and one command. `when` is UTC, ISO 8601."""

    schema: int = REPORT_SCHEMA
    tool: str
    when: str
    host: str
    command: str
    facts: Facts
    findings: tuple[Finding, ...]
    answer: str | None = None  # the rule whose finding answers the command's question
    strict: bool = False  # warnings count as failures, and every unknown counts

    def of(self, status: Status, *severities: Severity) -> tuple[Finding, ...]:
        return tuple(f for f in self.findings if f.status is status and (not severities or f.severity in severities))

    @property
    def root_cause(self) -> Finding | None:
        """The answer if it is a failure, else the first failure of error severity, as a person would look."""
        if self._answer and self._answer.status is Status.FAIL:
            return self._answer
        return next(iter(self.of(Status.FAIL, Severity.ERROR)), None)

    @property
    def exit_code(self) -> int:
        """0 healthy, 1 an error-severity rule failed (or, if strict, a warning), 3 something needed is unknown.

        Where no rule had anything to judge nothing is known; a question is answered only by a pass of its own rule.
        """
        if self.of(Status.FAIL, Severity.ERROR) or (self.strict and self.of(Status.FAIL, Severity.WARNING)):
            return 1
        unknown = self.of(Status.UNKNOWN)
        if any(f.message.startswith(BUG) for f in unknown):
            return 70
        passed = self.of(Status.PASS)
        answered = bool(passed or self.of(Status.FAIL)) if self.answer is None else self._answer in passed
        return 0 if answered and not any(f.severity is Severity.ERROR or self.strict for f in unknown) else 3

    @property
    def _answer(self) -> Finding | None:
        return next((f for f in self.findings if f.rule == self.answer), None)

    @property
    def verdict(self) -> str:
        """The report in one sentence: yes, no or not proven, and why."""
        code, answer, cause = self.exit_code, self._answer, self.root_cause
        if code == 1:
            return f"no: {(cause or self.of(Status.FAIL, Severity.WARNING)[0]).message}"
        if code:
            unknown = (self.of(Status.UNKNOWN, Severity.ERROR) or self.of(Status.UNKNOWN))[:1]
            told = answer if answer and answer.status is not Status.PASS else next(iter(unknown), None)
            return f"not proven: {told.message if told else 'nothing answered the question'}"
        if answer:
            return f"yes: {answer.message}"
        counts = {
            "did not apply": self.of(Status.SKIP),
            "to look at": self.of(Status.FAIL),
            "could not be judged": self.of(Status.UNKNOWN),
        }
        rest = "".join(f", {len(found)} {what}" for what, found in counts.items() if found)
        return f"yes: {len(self.of(Status.PASS))} of {len(self.findings)} rules hold{rest}"


BUG = "bug in gpucheck"


Say = Callable[[str, float | None], None]  # a line of progress, and the share that is done (0 to 1) where it is known


class Failure(Exception):
    """A command cannot go on: one sentence, a tip, an exit code (2 = what was asked, 1 = what was tried)."""

    def __init__(self, sentence: str, tip: str, exit_code: int = 2) -> None:
        super().__init__(sentence)
        self.tip = tip
        self.exit_code = exit_code
