"""A summary for a pull request, as GitHub shows it: the answer, who saw what, the numbers, the fix.

What came from a machine is text and nothing else: no markup, no mention of a person or an issue, no link.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

from gpucheck.model import Report, Status
from gpucheck.render import fleet, proof
from gpucheck.render.sheet import Fix, Sheet
from gpucheck.render.wording import printable, sentence

ICONS = {"pass": "✅", "fail": "❌", "unknown": "❔"}
SIGNS = re.compile(r"[\\`*_\[\]|~$#]")
START = re.compile(r"(\d*)([-+=.)])")  # of a list, a heading
# GitHub makes a link of what has no markup either: @name, #1, //, www., gh-1; and a picture of :name:
LINKS = re.compile(r"(?<=[@#])(?=.)|(?<=/)(?=/)|(?i:(?<=www)(?=\.)|(?<=gh)(?=-))|(?<=:)(?=[\w+-]*[a-z][\w+-]*:)")
MOST, LONGEST = 30, 400  # rows of a table, characters of a message
FITS = 60_000  # a comment takes 65,536
WHOLE = 5  # reports that are told in full


def render(reports: Iterable[Report]) -> str:
    """They are taken one by one."""
    coming = iter(reports)
    first = list(islice(coming, WHOLE + 1))
    if len(first) <= WHOLE:
        page = "\n".join(line for report in first for line in _one(Sheet(report=report, anchor="")))
        if len(page) <= FITS:
            return page
    hosts = (fleet.host(Sheet(report=report, anchor="", whole=False), "") for report in chain(first, coming))
    return "\n".join(_many(fleet.of(hosts)))


def _one(s: Sheet) -> Iterator[str]:
    yield f"### {ICONS[s.kind]} {text(s.report.host)}: {s.word}\n"
    yield f"{text(s.question)} **{s.word}**: {text(s.reason)}\n"
    if s.witnesses:
        yield f"{text(proof.agreement(s.witnesses))}\n"
        yield from _table(("Witness", "Says", "What it saw"),
                          ((w.name, f"{ICONS[w.kind]} {w.says}", w.words) for w in s.witnesses))  # fmt: skip
    if s.numbers:
        yield from _table([n.name for n in s.numbers], [[n.value for n in s.numbers]])
    for fix in s.fixes[:3]:
        yield from _fix(fix)
    for status, title in ((Status.FAIL, "What does not hold"), (Status.UNKNOWN, "What is not known")):
        found = s.report.of(status)
        if found:
            yield f"<details><summary>{title}: {len(found)}</summary>\n"
            yield from (f"- {text(f.title)}: {text(sentence(f))}" for f in found[:MOST])
            yield "\n</details>\n"
    counts = ", ".join(f"{number} {name}" for name, number in s.counts.items())
    yield "".join(f"Again: {_code(line)}  \n" for line in s.again)
    yield f"<sub>{' · '.join(map(text, s.about))} · {counts} · exit code {s.report.exit_code}</sub>\n"


def _fix(fix: Fix) -> Iterator[str]:
    if remedy := fix.finding.remedy:
        impact = f" ({fix.impact})" if fix.impact else ""
        yield f"**Fix** for {_code(fix.finding.rule)}: {_prose(remedy.text)}{impact}\n"
        if fix.commands:
            lines = [printable(command) for command in fix.commands]
            fence = "`" * max(3, 1 + max(len(run) for line in lines for run in re.findall(r"`*", line)))
            yield "\n".join((f"{fence}sh", *lines, fence, ""))


def _many(found: fleet.Fleet) -> Iterator[str]:
    yield f"### {ICONS[found.hosts[0].kind]} {len(found.hosts):,} reports: {found.headline}\n"
    if found.causes:
        yield from _table(("Cause", "Reports", "For one of them"),
                          ((rule, str(number), reason) for rule, number, reason in found.causes[:MOST]))  # fmt: skip
    rows = [(h.name, f"{ICONS[h.kind]} {h.word}", h.rule or h.reason, h.driver, h.gpus) for h in found.hosts[:MOST]]
    yield from _table(("Host", "Answer", "Why", "Driver", "GPUs"), rows)
    if len(found.hosts) > MOST:
        yield f"{len(found.hosts) - MOST:,} more are left out; the worst are here.\n"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(map(text, columns))} |"
    yield f"|{' --- |' * len(columns)}"
    yield from (f"| {' | '.join(map(text, row))} |" for row in rows)
    yield ""


def text(given: str) -> str:
    """Shown as it is, wherever it stands."""
    line = " ".join(printable(given).split())
    line = line if len(line) <= LONGEST else f"{line[:LONGEST]}…"
    start = START.match(line)
    return f"{start[1]}\\{start[2]}{_escaped(line[start.end() :])}" if start else _escaped(line)


def _escaped(line: str) -> str:
    marked = LINKS.sub("\0", line)  # which printable() has left none of
    return SIGNS.sub(r"\\\g<0>", html.escape(marked, quote=False)).replace("\0", "<!-- -->")


def _prose(given: str) -> str:
    """Words of ours, with commands in backticks."""
    parts = printable(given).split("`")
    return "".join(_code(part) if number % 2 else _escaped(part) for number, part in enumerate(parts))


def _code(given: str) -> str:
    """In backticks, more of them than there are within."""
    line = printable(given)
    ticks = "`" * (1 + max(len(run) for run in re.findall(r"`*", line)))
    return f"{ticks} {line} {ticks}" if "`" in line else f"`{line}`"
