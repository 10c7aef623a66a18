"""The catalog: every rule file listed, every id frozen, every outcome tested, every data row with its source."""

from __future__ import annotations

import importlib.util
import inspect
import re
import shlex
import subprocess
import tomllib
from collections import defaultdict
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import typer

from gpucheck import compat, probes, recipes, rules, tables
from gpucheck.cli import app
from gpucheck.cli.options import chosen
from gpucheck.compat import Compat
from gpucheck.facts import DEEP_SUBJECTS, HOST_SUBJECTS, IMAGE_SUBJECTS, RUN_SUBJECTS, WORLD_SUBJECTS, Version
from gpucheck.model import Remedy, Rule, Severity, Status
from gpucheck.recipes import Recipe
from gpucheck.remedying import looks
from gpucheck.render.grouping import SUBJECTS
from gpucheck.rules import ANSWER, DEEP_RULES, HOST_RULES, IMAGE_RULES, RUN_RULES, WORLD_RULES
from gpucheck.tables import FrameworkBuild

ALL = (*HOST_RULES, *IMAGE_RULES, *DEEP_RULES, *RUN_RULES, *WORLD_RULES)
FOLDER = Path(rules.__file__).parent
TESTS = Path(__file__).parent / "rules"
FAMILIES = {"", "debian", "rhel", "suse", "arch", "alpine"}
IMPACTS = {"none", "service", "reboot", "data"}
DESTROYS = re.compile(
    r"\b(rm|rmmod|reboot|shutdown|purge|remove|autoremove|uninstall|mkfs|kill|pkill|dd)\b|>\s*/(?!dev/null)"
)
ASKS = {  # what a package manager is told, or else it asks
    r"\bapt-get .*\binstall\b": " -y", r"\b(dnf|zypper) .*\b(install|upgrade)\b": " -y", r"\bpacman\b": " --noconfirm",
}  # fmt: skip
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


@pytest.mark.parametrize(
    "listed",
    [HOST_RULES, (*HOST_RULES, *IMAGE_RULES), (*HOST_RULES, *DEEP_RULES), RUN_RULES, (*RUN_RULES, *WORLD_RULES)],
    ids=["host", "image", "deep", "run", "world"],
)
def test_a_rule_waits_only_for_rules_before_it(listed: tuple[Rule, ...]) -> None:
    before: set[str] = set()
    for rule in listed:
        assert set(rule.after) <= before, rule.id
        before.add(rule.id)


def test_a_rule_needs_only_what_somebody_gathers() -> None:
    asked = (
        (HOST_RULES, HOST_SUBJECTS),
        (IMAGE_RULES, (*HOST_SUBJECTS, *IMAGE_SUBJECTS)),
        (DEEP_RULES, (*HOST_SUBJECTS, *DEEP_SUBJECTS)),
        (RUN_RULES, (*HOST_SUBJECTS, *RUN_SUBJECTS)),
        (WORLD_RULES, (*RUN_SUBJECTS, *WORLD_SUBJECTS)),
    )
    for listed, subjects in asked:
        for rule in listed:
            needed = {subject for subject, _ in rule.needs.values()} - {Compat}
            assert needed <= set(subjects), rule.id
    assert set(HOST_SUBJECTS) >= set(probes.PROBES)
    assert set(DEEP_SUBJECTS) == set(probes.DEEP_PROBES)


def test_every_subject_has_a_heading() -> None:
    assert {rule.id.partition(".")[0] for rule in ALL} <= set(SUBJECTS)


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
def test_remedies_are_for_a_shell_and_ask_nothing(rule: Rule) -> None:
    """Each command parses, stands on a line of its own and says yes beforehand; a check only looks."""
    for remedy in remedies_of(rule):
        assert all(type(lines) is tuple for lines in remedy.commands.values()), "a string is a tuple of letters"
        assert bool(remedy.check) <= bool(remedy.precondition), "what it checks, in words"
        assert not remedy.check or looks(remedy.check), remedy.check
        lines = [line for lines in remedy.commands.values() for line in lines] + [remedy.check or ":"]
        assert all(line.strip() == line and line.isprintable() and line for line in lines)
        for line in lines:
            for manager, told in ASKS.items():
                assert told in line or not re.search(manager, line), line
        parsed = subprocess.run(["sh", "-n"], input="\n".join(lines), capture_output=True, text=True, check=False)
        assert (parsed.returncode, parsed.stderr) == (0, "")


@each_rule
def test_a_remedy_is_verified_by_a_command_that_there_is(rule: Rule) -> None:
    for remedy in remedies_of(rule):
        _, command, *arguments = shlex.split(remedy.verify)
        parser = typer.main.get_command(app.app)
        with parser.make_context("gpucheck", [command]) as context:
            named, found, rest = parser.resolve_command(context, [command, *arguments])  # type: ignore[attr-defined]
        assert named == command
        with found.make_context(command, rest) as context:
            only = context.params.get("only")
        known = (*HOST_RULES, *IMAGE_RULES)
        assert not only or rule in chosen(known, only, None) or rule not in known, remedy.verify


@each_rule
def test_an_error_can_be_put_right(rule: Rule) -> None:
    if rule in (*HOST_RULES, *DEEP_RULES, *WORLD_RULES) and rule.severity is Severity.ERROR:
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


# --- recipes: each consistent with each table ---

BOOK, TABLES = recipes.load(), compat.load()
ON_GPU = [recipe for recipe in BOOK.values() if recipe.cuda]
WHEELS = {
    "tensorflow": ("tensorflow",), "pytorch": ("torch",), "torch": ("torch",), "xgboost": ("xgboost",),
    "jax": ("jax-cuda12-plugin", "jax-cuda13-plugin"),
}  # fmt: skip
each_recipe = pytest.mark.parametrize("recipe", BOOK.values(), ids=BOOK)
each_on_gpu = pytest.mark.parametrize("recipe", ON_GPU, ids=lambda recipe: recipe.name)


def pins(recipe: Recipe) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9.-]+)==([0-9.]+\S*)", recipe.lock_path.read_text(), re.MULTILINE))


def wheel(recipe: Recipe) -> FrameworkBuild:
    """The table's row of the wheel that the lock pins."""
    (name,) = (name for name in WHEELS[recipe.backend or recipe.framework] if name in pins(recipe))
    row = TABLES.framework(name, Version(pins(recipe)[name]), Version(str(recipe.cuda)))
    assert row is not None, f"no row of frameworks.toml is {name} {pins(recipe)[name]} of CUDA {recipe.cuda}"
    return row


@each_on_gpu
def test_a_recipe_is_the_wheel_that_the_table_has(recipe: Recipe) -> None:
    row = wheel(recipe)
    assert row.cuda.series == Version(str(recipe.cuda)).series
    assert row.pythons is None or set(recipe.pythons) <= set(row.pythons)
    assert recipe.python in recipe.pythons
    assert recipe.min_driver == TABLES.driver_floor(row.cuda)
    assert TABLES.toolkit_driver(row.cuda) is not None


@each_on_gpu
def test_a_recipe_has_code_for_the_gpus_that_it_names(recipe: Recipe) -> None:
    """Machine code in the wheel, a CUDA that has not dropped them, and a cuDNN that has not either."""
    row, known = wheel(recipe), {span.capability for span in TABLES.capabilities}
    named = sorted(capability for capability in known if recipe.fits(capability))
    assert row.sass
    assert recipe.compute_capabilities
    assert recipe.compute_capabilities[0] in named, "the first is a GPU that there is"
    for capability in named:
        assert compat.runs_on(row, capability) == "native", capability
        span = TABLES.cuda_span(capability)
        assert span
        assert span.last is None or row.cuda.major <= span.last, capability
        if recipe.cudnn:
            assert TABLES.cudnn_serves(Version(recipe.cudnn), capability) is not False, capability


@each_on_gpu
def test_a_recipe_leaves_no_gpu_out_that_it_has_code_for(recipe: Recipe) -> None:
    row = wheel(recipe)
    for span in TABLES.capabilities:
        native = compat.runs_on(row, span.capability) == "native" and (span.last or 99) >= row.cuda.major
        served = not recipe.cudnn or TABLES.cudnn_serves(Version(recipe.cudnn), span.capability) is not False
        assert recipe.fits(span.capability) == (native and served), span.capability


@each_recipe
def test_a_lock_pins_what_its_row_says(recipe: Recipe) -> None:
    pinned = pins(recipe)
    package = {"pytorch": ("torch",)}.get(recipe.framework, (recipe.framework, f"{recipe.framework}-cpu"))
    assert recipe.version in {pinned.get(name, "").partition("+")[0] for name in package}
    cudnn = [version for name, version in pinned.items() if name.startswith("nvidia-cudnn-")]
    assert [f"{version}.".startswith(f"{recipe.cudnn}.") for version in cudnn] == [True] * bool(recipe.cudnn)
    lines = recipe.lock_path.read_text().splitlines()
    starts = [at for at, line in enumerate(lines) if re.match(r"[a-z0-9.-]+==", line)]
    assert all(lines[at].endswith("\\") and lines[at + 1].startswith("    --hash=sha256:") for at in starts)
    strange = [line for line in lines if not re.match(r"[a-z0-9.-]+==|    --hash=sha256:[0-9a-f]{64}|\s*#|$", line)]
    assert not strange


@each_recipe
def test_a_lock_has_its_list_of_materials(recipe: Recipe) -> None:
    assert recipe.sbom_path.is_file(), "scripts/fix --locks makes it"


@each_recipe
def test_a_recipe_says_where_it_was_read(recipe: Recipe) -> None:
    assert recipe.source.strip()
    assert recipe.dockerfile in recipe.files
    assert recipe.lock in recipe.files


def test_a_lock_input_says_why() -> None:
    for path in sorted((recipes.IMAGES / "locks").glob("*.in")):
        lines = path.read_text().splitlines()
        assert lines[0].startswith("#"), path.name


def test_every_section_is_read() -> None:
    """A section that nobody reads is a typing mistake."""
    every = (tables.TABLES, tables.SIGNATURES, tables.RENTALS)
    read = {(file, section) for each in every for file, section, _ in each.values()}
    files = {path.name: tomllib.loads(path.read_text()) for path in tables.FOLDER.glob("*.toml")}
    assert {(file, section) for file, sections in files.items() for section in sections} == read
