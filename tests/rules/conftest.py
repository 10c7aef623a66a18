"""How a rule is tested: judged alone, by the engine, on facts that are literals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gpucheck import compat, engine
from gpucheck.facts import Facts
from gpucheck.model import Finding
from gpucheck.rules import DEEP_RULES, HOST_RULES, IMAGE_RULES, RUN_RULES, WORLD_RULES

RULES = {rule.id: rule for rule in (*HOST_RULES, *IMAGE_RULES, *DEEP_RULES, *RUN_RULES, *WORLD_RULES)}


@pytest.fixture
def judged() -> Callable[..., Finding]:
    """A function (rule id, facts...) to the finding. A subject that is not among the facts is unknown."""

    def judge(name: str, *facts: Any) -> Finding:
        known = Facts(known={type(fact): fact for fact in facts})
        return engine.judge([RULES[name]], known, compat.load())[0]

    return judge
