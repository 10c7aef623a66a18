"""Many reports at a glance: the worst first, and what is wrong with how many of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from gpucheck.facts import Driver, Nvml
from gpucheck.matrix import Change
from gpucheck.outliers import OddOnes
from gpucheck.render.facts_table import NOT_THERE, models
from gpucheck.render.grouping import SIGNS
from gpucheck.render.sheet import WORDS, Sheet

ORDER = ("fail", "unknown", "pass")
TOLD = 140  # characters of a reason


class Host(NamedTuple):
    name: str
    command: str
    kind: str
    rule: str | None  # of the root cause
    reason: str
    exit_code: int
    driver: str
    gpus: str
    anchor: str  # of `page`; "" = it has none
    page: str  # what is told of it below
    said: str = ""  # instead of the word for `kind`

    @property
    def sign(self) -> str:
        return SIGNS[self.kind]

    @property
    def word(self) -> str:
        return self.said or WORDS[self.kind]


class Fleet(NamedTuple):
    hosts: Sequence[Host]
    causes: Sequence[tuple[str, int, str]]  # rule, how many, the first reason of them
    kinds: Mapping[str, Sequence[Host]]
    number: int
    headline: str
    kind: str  # the worst of them
    of: str = "reports"  # what there are so many of
    caption: str = "Root causes, the commonest first"
    left_out: int = 0  # hosts that are right, and have no row
    odd: Sequence[OddOnes] = ()
    remarks: Sequence[str] = ()
    changes: Sequence[tuple[str, Sequence[tuple[Change, str]]]] | None = None  # None = nothing to compare with


def host(sheet: Sheet, page: str) -> Host:
    report, known = sheet.report, sheet.report.facts.known
    nvml, driver = known.get(Nvml), known.get(Driver)
    version = (driver.version if driver else None) or (nvml.driver_version if nvml else None)
    return Host(
        name=report.host, command=report.command, kind=sheet.kind, rule=sheet.rule if sheet.kind == "fail" else None,
        reason=sheet.reason if len(sheet.reason) <= TOLD else f"{sheet.reason[:TOLD]}…", exit_code=report.exit_code,
        driver=str(version or NOT_THERE), gpus=models(report), anchor=sheet.anchor, page=page,
    )  # fmt: skip


def of(hosts: Iterable[Host]) -> Fleet:
    """Those with the commonest cause first, then what is not known, then what is right."""
    given = list(hosts)
    often = Counter(each.rule for each in given if each.rule)
    first = {each.rule: each.reason for each in reversed(given) if each.rule}
    ordered = sorted(
        given,
        key=lambda each: (ORDER.index(each.kind), -often[each.rule or ""], each.rule or "", each.name, each.command),
    )
    kinds = {kind: [each for each in ordered if each.kind == kind] for kind in ORDER}
    told = {"fail": "no", "unknown": "not proven", "pass": "yes"}
    return Fleet(
        hosts=ordered, number=len(ordered), kind=ordered[0].kind, kinds=kinds,
        causes=[(rule, number, first[rule]) for rule, number in often.most_common()],
        headline=", ".join(f"{len(hosts):,} {told[kind]}" for kind, hosts in kinds.items() if hosts),
    )  # fmt: skip
