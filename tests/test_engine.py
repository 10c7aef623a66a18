"""collect() and judge(): nothing in one hides another's answer, and the first failure is the root cause."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from gpucheck import engine
from gpucheck.compat import Compat
from gpucheck.facts import Facts, Pci, PciDevice, Toolkit, Version
from gpucheck.host import CannotLook, Host, Recorded
from gpucheck.model import Finding, Outcome, Report, Rule, Severity, Status, bad, ok, skip, unsure

PASS, FAIL, SKIP, UNKNOWN = Status
NOBODY = Recorded({"runs": [], "files": {}})
PCI = Pci(gpus=(PciDevice(address="0000:01:00.0", device_id="1eb8", driver=None),), nvswitches=())
TOOLKIT = Toolkit(cuda=Version("12.8"), nvcc=None, installs=())


# --- collect ---


def test_a_probe_that_fails_costs_its_own_subject_only() -> None:
    def refused(_: Host) -> Pci:
        raise CannotLook("permission denied")

    facts = engine.collect({Pci: refused, Toolkit: lambda _: TOOLKIT}, NOBODY)
    assert facts == Facts(known={Toolkit: TOOLKIT}, unknown={Pci: "permission denied"})


def test_a_probe_with_a_bug_is_unknown_and_says_so() -> None:
    def broken(_: Host) -> Pci:
        raise KeyError("class")

    assert engine.collect({Pci: broken}, NOBODY).unknown == {Pci: "bug in gpucheck: KeyError: 'class'"}


def test_a_probe_that_does_not_end_is_left_behind() -> None:
    release = threading.Event()

    def stuck(_: Host) -> Pci:
        release.wait(30)
        return PCI

    start = time.monotonic()
    facts = engine.collect({Pci: stuck, Toolkit: lambda _: TOOLKIT}, NOBODY, deadline=0.2)
    took = time.monotonic() - start
    release.set()
    assert facts.known == {Toolkit: TOOLKIT}
    assert "0.2 s" in facts.unknown[Pci]
    assert took < 5


def test_probes_run_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=10)

    def meet(answer: object) -> Callable[[Host], object]:
        def probe(_: Host) -> object:
            both.wait()
            return answer

        return probe

    assert engine.collect({Pci: meet(PCI), Toolkit: meet(TOOLKIT)}, NOBODY).known == {Pci: PCI, Toolkit: TOOLKIT}


# --- judge ---


def rule(name: str, outcome: Outcome, *after: str, severity: Severity = Severity.ERROR) -> Rule:
    def judge() -> Outcome:
        return outcome

    return Rule(id=name, title=f"{name} holds", judge=judge, severity=severity, after=after)


def judged(*rules: Rule, facts: Facts | None = None) -> dict[str, Finding]:
    return {finding.rule: finding for finding in engine.judge(rules, facts or Facts(), Compat())}


def test_what_depends_on_a_failure_is_skipped_and_names_the_root() -> None:
    found = judged(
        rule("a.x", ok("fine")), rule("b.x", bad("broken"), "a.x"), rule("c.x", ok("fine"), "b.x"),
        rule("d.x", bad("broken too"), "c.x"), rule("e.x", ok("fine"), "a.x"),
    )  # fmt: skip
    assert {name: f.status for name, f in found.items()} == {
        "a.x": PASS, "b.x": FAIL, "c.x": SKIP, "d.x": SKIP, "e.x": PASS,
    }  # fmt: skip
    assert (found["c.x"].because, found["d.x"].because) == ("b.x", "b.x")


@pytest.mark.parametrize("outcome", [unsure("nobody looked"), skip("does not apply"), ok("fine")])
def test_only_a_failure_blocks(outcome: Outcome) -> None:
    assert judged(rule("a.x", outcome), rule("b.x", bad("broken"), "a.x"))["b.x"].status is FAIL


def test_a_rule_is_judged_after_those_it_waits_for_and_reported_at_its_place() -> None:
    found = judged(rule("b.x", ok("fine"), "a.x"), rule("a.x", bad("broken")))
    assert list(found) == ["b.x", "a.x"]
    assert found["b.x"].because == "a.x"


def test_a_rule_that_was_left_out_blocks_nothing() -> None:
    assert judged(rule("b.x", ok("fine"), "a.x"))["b.x"].status is PASS


def needs(pci: Pci, compat: Compat) -> Outcome:
    return ok(f"{len(pci.gpus)} GPUs, {len(compat.floors)} floors")


def can_do_without(pci: Pci | None) -> Outcome:
    return ok("without" if pci is None else "with")


def test_a_rule_gets_the_facts_that_its_signature_names() -> None:
    found = judged(Rule(id="a.x", title="x", judge=needs), facts=Facts(known={Pci: PCI}))
    assert (found["a.x"].status, found["a.x"].message) == (PASS, "1 GPUs, 0 floors")


def test_a_subject_that_could_not_be_looked_at_makes_the_rule_unknown_with_the_reason() -> None:
    found = judged(Rule(id="a.x", title="x", judge=needs), facts=Facts(unknown={Pci: "no /sys here"}))
    assert (found["a.x"].status, found["a.x"].message) == (UNKNOWN, "no /sys here")
    assert judged(Rule(id="a.x", title="x", judge=needs))["a.x"].status is UNKNOWN


@pytest.mark.parametrize(("facts", "says"), [(Facts(known={Pci: PCI}), "with"), (Facts(), "without")])
def test_an_optional_subject_may_be_unknown(facts: Facts, says: str) -> None:
    assert judged(Rule(id="a.x", title="x", judge=can_do_without), facts=facts)["a.x"].message == says


def test_a_rule_with_a_bug_is_unknown_and_hides_no_other() -> None:
    def broken() -> Outcome:
        raise ZeroDivisionError("by zero")

    found = judged(Rule(id="a.x", title="x", judge=broken), rule("b.x", ok("fine"), "a.x"))
    assert (found["a.x"].status, found["b.x"].status) == (UNKNOWN, PASS)
    assert found["a.x"].message.startswith("bug in gpucheck: ZeroDivisionError")


# --- the report's verdict ---

WARNING, NOTE = Severity.WARNING, Severity.NOTE


def report(*rules: Rule, answer: str | None = None) -> Report:
    return engine.report("doctor", Facts(), engine.judge(rules, Facts(), Compat()), answer=answer)


@pytest.mark.parametrize(
    ("rules", "code", "strict"),
    [
        ([rule("a.x", ok("fine")), rule("b.x", skip("no"))], 0, 0),
        ([rule("a.x", bad("broken"))], 1, 1),
        ([rule("a.x", bad("broken"), severity=WARNING)], 0, 1),
        ([rule("a.x", bad("broken"), severity=NOTE)], 0, 0),
        ([rule("a.x", unsure("nobody looked"))], 3, 3),
        ([rule("a.x", unsure("nobody looked"), severity=WARNING), rule("b.x", ok("fine"))], 0, 3),
        ([rule("a.x", unsure("nobody looked")), rule("b.x", bad("broken"))], 1, 1),
        ([rule("a.x", unsure("bug in gpucheck: x"), severity=NOTE)], 70, 70),
        ([rule("a.x", skip("no"))], 3, 3),
        ([], 3, 3),
    ],
)
def test_exit_codes(rules: list[Rule], code: int, strict: int) -> None:
    made = report(*rules)
    assert (made.exit_code, replace(made, strict=True).exit_code) == (code, strict)


def test_the_root_cause_is_the_first_error_in_the_order_of_the_rules() -> None:
    made = report(rule("a.x", bad("odd"), severity=WARNING), rule("b.x", bad("first")), rule("c.x", bad("second")))
    assert made.root_cause
    assert made.root_cause.rule == "b.x"
    assert made.verdict == "no: first"


def test_a_question_is_answered_only_by_a_pass() -> None:
    asked = rule("a.x", ok("fine"))
    assert report(asked, answer="a.x").verdict == "yes: fine"
    assert report(asked, answer="a.x").exit_code == 0
    for answer in (unsure("nothing was observed"), skip("does not apply")):
        made = report(rule("a.x", answer), rule("b.x", ok("fine")), answer="a.x")
        assert (made.exit_code, made.verdict) == (3, f"not proven: {answer.message}")
    missing = report(rule("b.x", ok("fine")), answer="a.x")
    assert (missing.exit_code, missing.verdict) == (3, "not proven: nothing answered the question")


def test_a_failed_answer_is_the_verdict_before_its_own_causes() -> None:
    made = report(rule("a.x", bad("no GPU kernels")), rule("b.x", bad("every op ran on the CPU")), answer="b.x")
    assert made.verdict == "no: every op ran on the CPU"


def test_a_healthy_report_says_what_it_counted() -> None:
    assert report(rule("a.x", ok("fine")), rule("b.x", skip("no"))).verdict == "yes: 1 of 2 rules hold, 1 did not apply"
    seen = report(
        rule("a.x", ok("fine")), rule("b.x", unsure("?"), severity=WARNING), rule("c.x", bad("!"), severity=NOTE)
    )
    assert (seen.exit_code, seen.verdict) == (0, "yes: 1 of 3 rules hold, 1 to look at, 1 could not be judged")
