"""What `gpucheck explain` prints: a rule, or what was found in a text or a log; for people or as one JSON object."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from gpucheck.answers import Answer
from gpucheck.compat import Compat
from gpucheck.model import Remedy, Rule
from gpucheck.render.grouping import IMPACTS
from gpucheck.render.terminal import PLAIN_WIDTH
from gpucheck.render.wording import printable
from gpucheck.signatures import LONGEST, Reading

NOTES = {"program": "the program's own fault, or the way it was started: by itself no sign of a broken machine"}


def rule_page(rule: Rule) -> str:
    lines = [f"{rule.id} ({rule.severity})", rule.title, "", rule.why, "", f"needs: {', '.join(_needs(rule))}"]
    if rule.after:
        lines.append(f"after: {', '.join(rule.after)}")
    if rule.remedy:
        lines += ["", *_remedy(rule.remedy)]
    return "\n".join(lines) + "\n"


def rule_json(rule: Rule) -> str:
    data = {
        "rule": rule.id, "severity": rule.severity, "title": rule.title, "why": rule.why, "needs": _needs(rule),
        "after": rule.after, "fix": rule.remedy and _fix(rule.remedy),
    }  # fmt: skip
    return json.dumps(data) + "\n"


def page(answers: Sequence[Answer], reading: Reading, log: str | None) -> str:
    """`log` is the name of the log that was read, None where a text was asked for."""
    lines = []
    if log is not None:
        first = ", the likeliest cause first" if len(answers) > 1 else ""
        lines = [f"{printable(log)}: {len(answers)} known of {_lines(reading)}{first}", *_cut(reading), ""]
    for number, answer in enumerate(answers, 1):
        title = f"{number}. {answer.id}" if len(answers) > 1 else answer.id
        if log is not None and answer.seen:
            often = f"{answer.seen.count} lines, the first is" if answer.seen.count > 1 else "line"
            title += f" ({often} {answer.seen.line})"
        lines += [title, *_answer(answer, quoted=log is not None), ""]
    return "\n".join(lines[:-1]) + "\n"


def as_json(answers: Sequence[Answer], reading: Reading, log: str | None) -> str:
    """One object; `lines` and what was `cut` are of a log or a text, 0 where a number was asked for."""
    found = [
        {
            "id": answer.id, "tells": answer.tells, "meaning": answer.meaning, "cause": answer.cause,
            "fix": _fix(answer.fix), "rule": answer.rule, "source": answer.source,
            "count": answer.seen and answer.seen.count, "line": answer.seen and answer.seen.line,
            "sample": answer.seen and answer.seen.sample,
        }
        for answer in answers
    ]  # fmt: skip
    return json.dumps({"log": log, "lines": reading.lines, "cut": reading.cut, "answers": found}) + "\n"


def nothing(reading: Reading, log: str | None, known: int) -> str:
    """One honest sentence."""
    where = f"in the {_lines(reading)} of {printable(log)}" if log is not None else "in this text"
    cut = "".join(f"; {line}" for line in _cut(reading))
    return f"none of the {known} messages and no Xid that we know is {where}{cut}"


def _answer(answer: Answer, *, quoted: bool) -> Iterator[str]:
    if quoted and answer.seen:
        yield f"   | {printable(answer.seen.sample)}"
    yield from _wrapped(answer.meaning)
    if answer.cause:
        yield from _wrapped(f"cause: {answer.cause}")
    if (note := NOTES.get(answer.tells)) and not answer.id.startswith("xid-"):  # its cause says so
        yield from _wrapped(f"note: {note}")
    yield from (f"   {line}" for line in _remedy(answer.fix))
    if answer.rule:
        yield f"   on this machine: gpucheck doctor --only {answer.rule}"
    if answer.source:
        yield f"   read in: {answer.source}"


def _remedy(remedy: Remedy) -> Iterator[str]:
    yield from _wrapped(f"fix: {remedy.text}", indent="")
    for family, commands in remedy.commands.items():
        if family or len(remedy.commands) > 1:
            yield f"  on {family or 'others'}:"
        yield from (f"    $ {command}" for command in commands)  # never wrapped: what is pasted must be whole
    if remedy.precondition:
        yield f"  before: {remedy.precondition}"
    if remedy.impact in IMPACTS:
        yield f"  impact: {IMPACTS[remedy.impact]}"
    if remedy.url:
        yield f"  see {remedy.url}"


def _fix(remedy: Remedy) -> dict[str, Any]:
    return {"text": remedy.text, "commands": dict(remedy.commands), "impact": remedy.impact, "url": remedy.url}


def _needs(rule: Rule) -> list[str]:
    facts = ((kind, optional) for kind, optional in rule.needs.values() if kind is not Compat)
    return [f"{kind.__name__}{' (if known)' if optional else ''}" for kind, optional in facts]


def _wrapped(text: str, indent: str = "   ") -> Iterable[str]:
    return textwrap.wrap(
        text, PLAIN_WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  ", break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip


def _lines(reading: Reading) -> str:
    return f"{reading.lines:,} line{'' if reading.lines == 1 else 's'}"


def _cut(reading: Reading) -> list[str]:
    if not reading.cut:
        return []
    what = "1 line was" if reading.cut == 1 else f"{reading.cut} lines were"
    return [f"{what} longer than {LONGEST >> 20} MB: the rest of it was not looked at"]
