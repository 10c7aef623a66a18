"""`gpucheck explain RULE`: why a rule exists, what it needs and how it is put right."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from gpucheck.cli.options import nearest
from gpucheck.compat import Compat
from gpucheck.model import Failure, Rule
from gpucheck.rules import HOST_RULES, RUN_RULES


def explain(rule: Annotated[str | None, typer.Argument(help="A rule's id; none lists them all.")] = None) -> int:
    """Why a rule exists, what it needs, and how to put it right."""
    rules = (*HOST_RULES, *RUN_RULES)
    if rule is None:
        width = max(len(r.id) for r in rules)
        sys.stdout.write("".join(f"{r.id:<{width}}  {r.title}\n" for r in rules))
        return 0
    names = {name: r for r in rules for name in (r.id, *r.aliases)}
    if rule not in names:
        raise Failure(f"there is no rule {rule!r}", nearest(rule, names) or "`gpucheck explain` lists them")
    sys.stdout.write(_page(names[rule]))
    return 0


def _page(rule: Rule) -> str:
    facts = [(kind, optional) for kind, optional in rule.needs.values() if kind is not Compat]
    needs = ", ".join(f"{kind.__name__}{' (if known)' if optional else ''}" for kind, optional in facts)
    lines = [f"{rule.id} ({rule.severity})", rule.title, "", rule.why, "", f"needs: {needs}"]
    if rule.after:
        lines.append(f"after: {', '.join(rule.after)}")
    if rule.remedy:
        lines += ["", f"fix (impact: {rule.remedy.impact}): {rule.remedy.text}"]
        for family, commands in rule.remedy.commands.items():
            on = [f"  on {family}:"] if family else ["  on others:"] if len(rule.remedy.commands) > 1 else []
            lines += [*on, *(f"    $ {command}" for command in commands)]
        if rule.remedy.url:
            lines.append(f"  see {rule.remedy.url}")
    return "\n".join(lines) + "\n"
