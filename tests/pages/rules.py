"""docs/rules.md: every rule with its why, what it waits for and each fix that it may print."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from gpucheck import compat, engine
from gpucheck.compat import Compat
from gpucheck.host import Recorded
from gpucheck.model import Remedy, Rule
from gpucheck.probes import PROBES
from gpucheck.render.grouping import IMPACTS
from gpucheck.rules import DEEP_RULES, HOST_RULES, IMAGE_RULES, PROVE_RULES, RUN_RULES, WORLD_RULES
from tests.pages.markdown import anchor, prose, table

MACHINES = Path(__file__).parents[1] / "machines"
LISTS = (
    ("A machine", "`gpucheck doctor`, in this order", HOST_RULES),
    ("An image", "`gpucheck doctor --image NAME`, after those of the machine", IMAGE_RULES),
    ("GPUs at work", "`gpucheck doctor --deep`, after those of the machine", DEEP_RULES),
    ("A run", "`gpucheck verify`; those marked † also `gpucheck prove`", RUN_RULES),
    ("Nodes that train together", "`gpucheck verify --world`, after those of a run", WORLD_RULES),
)
FAMILIES = {"debian": "Debian, Ubuntu", "rhel": "Fedora, RHEL and their kin", "suse": "SUSE", "arch": "Arch",
            "alpine": "Alpine"}  # fmt: skip
HEAD = """# Rules

What gpucheck asks, why, and every fix that it knows. Written from the source by `pytest tests/test_docs.py --update`;
a test holds it to the source. `gpucheck explain RULE` prints the same of one rule.

A rule is phrased so that true is healthy. An *error* decides the exit code; a *warning* does with `--strict`; a *note*
is worth knowing. A rule waits for those it names: where one of them failed it is not asked, so that one cause is named
and not its consequences. What could not be looked at makes a rule unknown, which is no pass. A rule may know several
fixes: what was found on the machine chooses, and doctor prints one, with the commands of its distribution. Commands
destroy nothing; what does stands in words only. [Failure modes](failures.md) has the machines on which they fail.
"""


def page() -> str:
    lines = [HEAD]
    for title, when, rules in LISTS:
        lines += [f"## {title}\n", f"Asked by {when}.\n"]
        lines.append(table(("Rule", "Holds when", "Severity"), map(_row, rules)))
    found = _found()
    for title, _, rules in LISTS:
        lines += [f"## {title}: rule by rule\n", *(line for rule in rules for line in _rule(rule, found[rule.id]))]
    return "\n".join(lines)


def _row(rule: Rule) -> tuple[str, str, str]:
    mark = " †" if rule in RUN_RULES and rule in PROVE_RULES else ""
    return _link(rule.id), prose(rule.title) + mark, rule.severity


def _rule(rule: Rule, found: dict[str, Remedy]) -> Iterator[str]:
    yield f"### `{rule.id}`\n"
    yield f"**{prose(rule.title)}** · {rule.severity}\n"
    yield prose(rule.why) + "\n"
    needs = [f"{kind.__name__}{' (if known)' * optional}" for kind, optional in rule.needs.values() if kind != Compat]
    waits = f"\\\nWaits for: {', '.join(map(_link, rule.after))}" if rule.after else ""
    yield f"Looks at: {', '.join(needs)}{waits}\n"
    known = [rule.remedy] if rule.remedy else []
    beside = [value for value in vars(inspect.getmodule(rule.judge)).values() if isinstance(value, Remedy)]
    known += [remedy for remedy in beside if remedy not in known]
    yield from (line for remedy in known for line in _fix(remedy, "**Fix**"))
    for name, remedy in found.items():
        if remedy.text not in {each.text for each in known}:
            known.append(remedy)
            yield from _fix(remedy, f"**Fix** (as on [{name}](../tests/machines/{name}/expected.json))")
    if not known:
        yield "No fix of its own.\n"


def _fix(remedy: Remedy, title: str) -> Iterator[str]:
    impact = f" *It {IMPACTS[remedy.impact]}.*" if remedy.impact in ("service", "reboot") else ""
    impact = " *Work or data are at risk.*" if remedy.impact == "data" else impact
    before = f" Before: {prose(remedy.precondition)}." if remedy.precondition else ""
    see = f" [More]({remedy.url})." if remedy.url else ""
    then = f"Then `{remedy.verify}`."
    yield f"{title}: {prose(remedy.text)}.{before}{impact}{see}{'' if remedy.commands else f' {then}'}\n"
    for family, commands in remedy.commands.items():
        if family or len(remedy.commands) > 1:
            yield f"{FAMILIES[family] if family else 'Elsewhere'}:\n"
        yield _block(commands)
    if remedy.commands:
        yield f"{then}\n"


def _block(commands: Sequence[str]) -> str:
    return "\n".join(("```sh", *commands, "```\n"))


def _link(rule: str) -> str:
    return f"[`{rule}`](#{anchor(rule)})"


def _found() -> dict[str, dict[str, Remedy]]:
    """By rule: the fixes that recorded machines were given, each with the first machine. Facts make some of them."""
    found: dict[str, dict[str, Remedy]] = {rule.id: {} for _, _, rules in LISTS for rule in rules}
    texts: set[tuple[str, str]] = set()
    for path in sorted(MACHINES.glob("*/expected.json")):
        if "fail" not in json.loads(path.read_text())["findings"].values():
            continue
        facts = engine.collect(PROBES, Recorded.load(path.with_name("recording.json")))
        for finding in engine.judge(HOST_RULES, facts, compat.load()):
            if finding.remedy and (finding.rule, finding.remedy.text) not in texts:
                texts.add((finding.rule, finding.remedy.text))
                found[finding.rule][path.parent.name] = finding.remedy
    return found
