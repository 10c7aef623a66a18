"""The catalog: every rule file listed, every id frozen, every outcome tested, every data row with its source."""

from __future__ import annotations

import importlib.util
import inspect
import re
import tomllib
from collections import defaultdict
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from gpucheck import probes, rules, tables
from gpucheck.compat import Compat
from gpucheck.facts import HOST_SUBJECTS, RUN_SUBJECTS
from gpucheck.model import Remedy, Rule, Severity, Status
from gpucheck.rules import ANSWER, HOST_RULES, RUN_RULES

ALL = (*HOST_RULES, *RUN_RULES)
FOLDER = Path(rules.__file__).parent
TESTS = Path(__file__).parent / "rules"
FAMILIES = {"", "debian", "rhel", "suse", "arch", "alpine"}
IMPACTS = {"none", "reversible", "persistent"}
DESTROYS = re.compile(
    r"\b(rm|rmmod|reboot|shutdown|purge|remove|autoremove|uninstall|mkfs|kill|pkill|dd)\b|>\s*/(?!dev/null)"
)
PLACEHOLDER = re.compile(r"<[a-z]|\.\.\.|…")

each_rule = pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.id)


def file_of(rule: Rule) -> Path:
    return Path(inspect.getfile(rule.judge))


def test_every_rule_file_is_listed_and_every_listed_rule_has_its_own() -> None:
    there = {path for path in FOLDER.glob("*/*.py") if path.name != "__init__.py"}
    listed = [file_of(rule) for rule in ALL]
    assert set(listed) == there
    assert len(listed) == len(there)


@each_rule
def test_an_id_is_the_path_of_its_file(rule: Rule) -> None:
    assert file_of(rule).relative_to(FOLDER).with_suffix("").as_posix() == rule.id.replace(".", "/").replace("-", "_")


def test_ids_are_frozen() -> None:
    """A rule is never renamed and never dropped without an alias: people have these names in scripts."""
    frozen = (TESTS / "ids.txt").read_text().split()
    names = [name for rule in ALL for name in (rule.id, *rule.aliases)]
    assert set(frozen) <= set(names), "an id that was published is gone: keep it as an alias"
    assert set(names) <= set(frozen), "a new id: add it to tests/rules/ids.txt"
    assert len(names) == len(set(names))


@pytest.mark.parametrize("listed", [HOST_RULES, RUN_RULES], ids=["host", "run"])
def test_a_rule_waits_only_for_rules_before_it(listed: tuple[Rule, ...]) -> None:
    before: set[str] = set()
    for rule in listed:
        assert set(rule.after) <= before, rule.id
        before.add(rule.id)


def test_a_rule_needs_only_what_somebody_gathers() -> None:
    for listed, subjects in ((HOST_RULES, HOST_SUBJECTS), (RUN_RULES, (*HOST_SUBJECTS, *RUN_SUBJECTS))):
        for rule in listed:
            needed = {subject for subject, _ in rule.needs.values()} - {Compat}
            assert needed <= set(subjects), rule.id
    assert set(HOST_SUBJECTS) >= set(probes.PROBES)


def test_the_verdict_is_a_rule() -> None:
    assert ANSWER in {rule.id for rule in RUN_RULES}


@each_rule
def test_a_rule_explains_itself(rule: Rule) -> None:
    lines = rule.why.splitlines()
    assert 1 <= len(lines) <= 6
    assert rule.title[0].isupper()
    assert not rule.title.endswith(".")
    words = file_of(rule).read_text().split()
    assert "except" not in words, "isolation is the engine's"


def test_titles_are_unique() -> None:
    assert len({rule.title for rule in ALL}) == len(ALL)


# --- outcomes ---


def cases() -> dict[str, list[tuple[Status, tuple[Any, ...]]]]:
    """The CASES of every tests/rules/test_*.py, by rule."""
    found = defaultdict(list)
    for path in TESTS.glob("test_*.py"):
        spec = importlib.util.spec_from_file_location(f"cases_of_{path.stem}", path)
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for rule, facts, status, _ in module.CASES:
            found[rule].append((status, facts))
    return found


CASES = cases()


@each_rule
def test_both_outcomes_of_a_rule_are_tested(rule: Rule) -> None:
    """A pass and a failure; of a rule that never fails, an unknown."""
    tested = {status for status, _ in CASES[rule.id]}
    can_fail = "bad(" in inspect.getsource(inspect.getmodule(rule.judge) or rule.judge)
    assert Status.PASS in tested
    assert (Status.FAIL if can_fail else Status.UNKNOWN) in tested


def test_no_case_is_for_a_rule_that_is_not_there() -> None:
    assert set(CASES) <= {rule.id for rule in ALL}


def remedies_of(rule: Rule) -> list[Remedy]:
    """The rule's own and those that its outcomes bring, by its cases."""
    compat = Compat(**tables.read())
    found = [rule.remedy] if rule.remedy else []
    for status, facts in CASES[rule.id]:
        if status is Status.FAIL:
            given = {type(fact): fact for fact in facts} | {Compat: compat}
            outcome = rule.judge(**{name: given.get(subject) for name, (subject, _) in rule.needs.items()})
            assert outcome.remedy or rule.remedy or rule in RUN_RULES, f"{rule.id} fails without a remedy"
            found += [outcome.remedy] if outcome.remedy else []
    return found


@each_rule
def test_remedies_are_safe_to_paste(rule: Rule) -> None:
    for remedy in remedies_of(rule):
        assert len(remedy.text) > 10
        assert remedy.impact in IMPACTS
        assert set(remedy.commands) <= FAMILIES
        assert remedy.verify.startswith("gpucheck ")
        assert remedy.url is None or remedy.url.startswith("https://")
        for command in (line for lines in remedy.commands.values() for line in lines):
            assert not DESTROYS.search(command), command
            assert not PLACEHOLDER.search(command), f"a placeholder cannot be pasted: {command}"


@each_rule
def test_an_error_can_be_put_right(rule: Rule) -> None:
    if rule in HOST_RULES and rule.severity is Severity.ERROR:
        assert remedies_of(rule)


# --- data ---


@pytest.mark.parametrize("path", sorted(tables.FOLDER.glob("*.toml")), ids=lambda path: path.name)
def test_every_row_says_where_and_when_it_was_read(path: Path) -> None:
    document = tomllib.loads(path.read_text())
    assert document
    for section, rows in document.items():
        assert isinstance(rows, list), f"{section} is not a list of rows"
        for row in rows:
            assert row["source"].strip(), row
            assert type(row["checked"]) is date, row


def test_every_section_is_read() -> None:
    """A section that nobody reads is a typing mistake."""
    read = {(file, section) for file, section, _ in tables.TABLES.values()}
    files = {path.name: tomllib.loads(path.read_text()) for path in tables.FOLDER.glob("*.toml")}
    assert {(file, section) for file, sections in files.items() for section in sections} == read
