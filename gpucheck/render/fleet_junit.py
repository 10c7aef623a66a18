"""A fleet as JUnit XML: a case a row, which passes if and only if its verdict is a yes. Odd ones are its output."""

from __future__ import annotations

import io
from collections import defaultdict

from gpucheck import extras
from gpucheck.matrix import Fleet
from gpucheck.model import Failure
from gpucheck.render import fleet_words as words
from gpucheck.render.wording import printable


def render(fleet: Fleet) -> str:
    try:
        from junitparser import Error, JUnitXml, TestCase, TestSuite
        from junitparser import Failure as Failed
    except ImportError as error:
        raise Failure("the format junit needs the package junitparser", extras.tip("formats")) from error
    odd: dict[str, list[str]] = defaultdict(list)
    for each in fleet.odd:
        odd[each.node].append(f"odd: {words.difference(each)}")
    suite = TestSuite("gpucheck fleet")
    suite.add_property("exit_code", str(fleet.exit_code))
    cases = []
    for node in fleet.nodes:
        case = TestCase(printable(node.name), printable(f"gpucheck.{node.command or 'fleet'}"))
        if node.kind != "pass":
            kind = Failed if node.kind == "fail" else Error
            case.result = [kind(f"{words.TOLD[node.kind]}: {words.reason(node)}", printable(node.rule or node.kind))]
        said = [words.reason(node)] if node.kind == "pass" else []
        case.system_out = "\n".join([*said, *odd[node.name]])
        cases.append(case)
    suite.add_testcases(cases)
    document = JUnitXml("gpucheck")
    document.add_testsuite(suite)
    document.update_statistics()  # type: ignore[no-untyped-call]
    written = io.BytesIO()
    document.write(written)
    # ASCII is what the declaration says, whatever the encoding of stdout.
    return written.getvalue().decode().encode("ascii", "xmlcharrefreplace").decode() + "\n"
