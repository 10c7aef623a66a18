"""JUnit XML, as CI servers read it: a suite a report, a case a rule, and one for the verdict.

The case "verdict" passes if and only if the exit code is 0, so a suite is never green by what nobody could see. Of the
rules, an unknown is an error where it weighs and skipped elsewhere; a warning passes, and says so in its output.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gpucheck import extras
from gpucheck.model import Failure, Finding, Report, Status
from gpucheck.render.wording import printable, remedy_lines, sentence, weighs

if TYPE_CHECKING:
    from junitparser import TestCase, TestSuite
    from junitparser.junitparser import FinalResult

VERDICT = "verdict"


def render(reports: Sequence[Report]) -> str:
    try:
        from junitparser import JUnitXml
    except ImportError as error:
        raise Failure("the format junit needs the package junitparser", extras.tip("formats")) from error
    document = JUnitXml("gpucheck")
    for report in reports:
        document.add_testsuite(_suite(report))
    document.update_statistics()  # type: ignore[no-untyped-call]
    written = io.BytesIO()
    document.write(written)
    # ASCII is what the declaration says, whatever the encoding of stdout.
    return written.getvalue().decode().encode("ascii", "xmlcharrefreplace").decode() + "\n"


def _suite(report: Report) -> TestSuite:
    from junitparser import TestSuite

    suite = TestSuite(printable(f"gpucheck {report.command}"))
    suite.hostname = printable(report.host)
    suite.timestamp = printable(report.when).removesuffix("+00:00")  # JUnit's times have no zone
    suite.add_property("tool", printable(report.tool))
    suite.add_property("exit_code", str(report.exit_code))
    suite.add_testcases([_verdict(report), *(_case(report, finding) for finding in report.findings)])
    return suite


def _verdict(report: Report) -> TestCase:
    from junitparser import Error, Failure

    case = _named(report, VERDICT)
    said = printable(report.verdict)
    if report.exit_code == 0:
        case.system_out = said
    else:
        kind = Failure if report.exit_code == 1 else Error
        case.result = [kind(said, f"exit code {report.exit_code}")]
    return case


def _case(report: Report, finding: Finding) -> TestCase:
    from junitparser import Error, Failure, Skipped

    case = _named(report, finding.rule)
    said = sentence(finding)
    lines = "\n".join([printable(finding.title), said, *remedy_lines(report, finding)])
    result: FinalResult
    if finding.status is Status.FAIL and weighs(report, finding):
        result = Failure(said, finding.severity)
    elif finding.status is Status.UNKNOWN and weighs(report, finding):
        result = Error(f"unknown: {said}", "unknown")
    elif finding.status is Status.UNKNOWN:
        result = Skipped(f"unknown: {said}", "unknown")
    elif finding.status is Status.SKIP:
        result = Skipped(said, f"because of {finding.because}" if finding.because else "does not apply")
    else:
        case.system_out = f"{finding.severity}: {lines}" if finding.status is Status.FAIL else lines
        return case
    result.text = lines
    case.result = [result]
    return case


def _named(report: Report, name: str) -> TestCase:
    from junitparser import TestCase

    return TestCase(printable(name), printable(f"gpucheck.{report.command}"))
