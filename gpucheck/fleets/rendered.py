"""Recipes for launchers that a team runs itself: one template each, in which every value is as JSON writes it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from string import Template

from gpucheck.fleets.runs import Asked, known, printable
from gpucheck.model import Failure

TEMPLATES = Path(__file__).parents[1] / "data" / "fleets"
GRACE = 10  # seconds that gpucheck has to end what it began, when its time is over


def options(asked: Asked, advice: Mapping[str, tuple[str, str]]) -> Mapping[str, str]:
    """Those that were told. `advice`: of each the pattern, and what to write instead. Raises Failure."""
    if asked.options and not advice:
        raise Failure("this recipe has no options of its own", "leave --option out")
    known(asked, advice)
    for name, value in asked.options.items():
        pattern, tip = advice[name]
        if not re.fullmatch(pattern, value):
            raise Failure(f"{name} is {printable(value)!r}", tip)
    return asked.options


def command(asked: Asked) -> tuple[str, ...]:
    """What a node runs. Raises Failure for a word that no file should have."""
    words = (*asked.program, *asked.command)
    for word in words:
        if not word.isprintable():
            raise Failure(
                f"{printable(word)!r} has letters that cannot be printed", "--command and --remote in one line"
            )
    return words


def filled(template: str, **values: str) -> str:
    return Template((TEMPLATES / template).read_text(encoding="utf-8")).substitute(values)


def written(value: object) -> str:
    """As a literal of YAML: JSON is one, but for a letter that it would write as two."""
    return json.dumps(value, ensure_ascii=False)
