"""One report as a page for people lays it out: the answer, the fix, the groups. HTML and Markdown read it from here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpucheck.facts import Run, System
from gpucheck.model import Finding, Report, Status
from gpucheck.render import chain, costs, facts_table, grouping, proof

if TYPE_CHECKING:
    from gpucheck.render.charts import Chart

WORDS = {"pass": "Yes", "fail": "No", "unknown": "Not proven"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Fix:
    finding: Finding
    commands: tuple[str, ...]
    impact: str | None
    waiting: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Sheet:
    """`whole`: with all that held, and the facts. `charted`: with the charts of its run."""

    report: Report
    anchor: str
    whole: bool = True
    charted: bool = False

    @property
    def kind(self) -> str:
        return {0: "pass", 1: "fail"}.get(self.report.exit_code, "unknown")

    @property
    def word(self) -> str:
        return WORDS[self.kind]

    @property
    def reason(self) -> str:
        return self.report.verdict.partition(": ")[2]

    @property
    def rule(self) -> str | None:
        """The rule that the answer rests on."""
        cause = self.report.root_cause
        return cause.rule if cause and self.kind == "fail" else self.report.answer

    @property
    def question(self) -> str:
        run = self.report.facts.known.get(Run)
        if not isinstance(run, Run):
            return "Is the GPU stack of this machine healthy?"
        device = run.device.upper()
        return f"Did it really run on the {device}?" if run.command is None else f"Did its work run on the {device}?"

    @property
    def about(self) -> tuple[str, ...]:
        report, system = self.report, self.report.facts.known.get(System)
        machine = (system.os or "unknown system", f"kernel {system.kernel}") if isinstance(system, System) else ()
        return (f"gpucheck {report.command}", *machine, report.when.replace("T", " ").replace("+00:00", " UTC"))

    @property
    def fixes(self) -> tuple[Fix, ...]:
        """The root cause's first."""
        cause = self.report.root_cause
        return tuple(map(self._fix, (*((cause,) if cause else ()), *grouping.others(self.report))))

    def _fix(self, finding: Finding) -> Fix:
        system, remedy = self.report.facts.known.get(System), finding.remedy
        return Fix(
            finding=finding, commands=remedy.commands_for(system.os_family if system else None) if remedy else (),
            impact=grouping.IMPACTS.get(remedy.impact) if remedy else None,
            waiting=grouping.waiting(self.report, finding),
        )  # fmt: skip

    @property
    def counts(self) -> dict[str, int]:
        return grouping.counts(self.report)

    @property
    def groups(self) -> dict[str, list[grouping.Row]]:
        """What was judged, by subject; of a page that is cut down, what does not hold."""
        found = {}
        for name, group in grouping.by_subject(self.report).items():
            rows = [row for row in grouping.rows(group) if self.whole or row.kind != "pass"]
            if rows:
                found[name] = rows
        return found

    @property
    def skipped(self) -> dict[str, list[Finding]]:
        """What was not judged, by the reason."""
        found: dict[str, list[Finding]] = {}
        for finding in self.report.of(Status.SKIP):
            found.setdefault(f"wait for {finding.because}" if finding.because else "do not apply", []).append(finding)
        return found

    @property
    def stations(self) -> tuple[chain.Station, ...]:
        return chain.stations(self.report)

    @property
    def witnesses(self) -> tuple[proof.Witness, ...]:
        return proof.witnesses(self.report)

    @property
    def numbers(self) -> tuple[proof.Number, ...]:
        return tuple(proof.numbers(self.report))

    @property
    def costs(self) -> costs.Costs | None:
        return costs.costs(self.report)

    @property
    def settings(self) -> tuple[tuple[str, str], ...]:
        return tuple(proof.settings(self.report))

    @property
    def again(self) -> tuple[str, ...]:
        return proof.again(self.report)

    @property
    def charts(self) -> Sequence[Chart]:
        """All but the witnesses': the page has them in words."""
        from gpucheck.render import charts

        return [chart for chart in charts.charts(self.report) if chart.name != "witnesses"] if self.charted else ()

    @property
    def gpus(self) -> tuple[tuple[str, ...], ...]:
        return facts_table.gpus(self.report) if self.whole else ()

    @property
    def unknown(self) -> tuple[tuple[str, str], ...]:
        """The subjects that nobody could look at, and why."""
        return tuple((subject.__name__, reason) for subject, reason in self.report.facts.unknown.items())

    @property
    def facts(self) -> tuple[facts_table.Subject, ...]:
        return tuple(facts_table.subjects(self.report)) if self.whole else ()
