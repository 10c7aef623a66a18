"""No false yes and no false no: good and bad runs, judged with every choice of witnesses that may be missing.

docs/verdicts.md is this table; `pytest --update` writes it anew.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from gpucheck import compat, engine
from gpucheck.facts import Control, Facts, GpuUse, Kernels, Placement, Training
from gpucheck.rules import ANSWER, RUN_RULES
from tests.rules.test_run_rules import (
    CONTROL,
    CPU_RUN,
    FOOLED,
    HEAVY,
    IDLE,
    LIGHT,
    NOT_OURS,
    ON_CPU,
    ON_GPU,
    ONE_ON_CPU,
    RAN,
    RAN_ON_CPU,
    RAN_PIPELINE,
    RUN,
    TIMED,
    TRAINED,
    USED,
    placed,
)

DOCS = Path(__file__).parents[1] / "docs" / "verdicts.md"
WITNESSES = ("log", "profiler", "NVML", "memory", "control")
GATHERED = {"log": Placement, "profiler": Kernels, "NVML": GpuUse, "control": Control}
NO_GPU_SEEN = replace(TRAINED, gpu_memory_peak_bytes=())
ASKED_CPU = replace(ON_CPU, strict=True, refused=None)
UNTOLD = replace(TRAINED, gpu_memory_peak_bytes=None)


class Case(NamedTuple):
    name: str
    good: bool
    facts: tuple[Any, ...]  # run, log, profiler, NVML, memory, control


CASES = (
    Case("it ran on the GPU", True, (RUN, ON_GPU, RAN, USED, TRAINED, CONTROL)),
    Case(
        "the CPU was asked for, and it ran there", True, (CPU_RUN, ASKED_CPU, RAN_ON_CPU, NOT_OURS, NO_GPU_SEEN, None)
    ),
    Case("it fell to the CPU, silently", False, (RUN, ON_CPU, RAN_ON_CPU, NOT_OURS, NO_GPU_SEEN, CONTROL)),
    Case("only the input pipeline on the GPU", False, (RUN, ON_CPU, RAN_PIPELINE, IDLE, UNTOLD, CONTROL)),
    Case("one heavy op of many on the CPU", False, (RUN, ONE_ON_CPU, RAN, USED, TRAINED, CONTROL)),
    Case("the GPU went away after the probe", False, (RUN, ON_GPU, RAN_ON_CPU, NOT_OURS, NO_GPU_SEEN, CONTROL)),
    Case("the log is forged", False, (RUN, ON_GPU, RAN_ON_CPU, NOT_OURS, NO_GPU_SEEN, CONTROL)),
    Case("all that the run writes is forged", False, (RUN, ON_GPU, RAN, NOT_OURS, TRAINED, CONTROL)),
    Case("a neighbour's process on the GPU", False, (RUN, ON_CPU, RAN_ON_CPU, NOT_OURS, NO_GPU_SEEN, CONTROL)),
    Case("a process that holds the GPU and idles", False, (RUN, ON_CPU, RAN_ON_CPU, IDLE, UNTOLD, CONTROL)),
    Case("the control run says GPU too", False, (RUN, ON_GPU, RAN, USED, TRAINED, FOOLED)),
    Case("the CPU was asked for, and it ran on the GPU", False, (CPU_RUN, ON_GPU, RAN, USED, TRAINED, None)),
)
# Of these nothing but the missing witness could tell: a forged whole is caught by NVML alone, a broken judge by the
# control run alone. Without it they look like the good run, which is why the report names a witness that is missing.
NEEDS = {"all that the run writes is forged": "NVML", "the control run says GPU too": "control"}


def verdict(case: Case, missing: frozenset[str]) -> str:
    """By all the rules of a run, as `gpucheck verify` has it; what a missing witness leaves is an unknown subject."""
    gone = {GATHERED[name] for name in missing if name in GATHERED}
    known: dict[type, Any] = {type(f): f for f in (TIMED, *case.facts) if f is not None and type(f) not in gone}
    if "memory" in missing:
        known[Training] = replace(known[Training], gpu_memory_peak_bytes=None)
    findings = engine.judge(RUN_RULES, Facts(known=known), compat.load())
    report = engine.report("verify", Facts(known=known), findings, host="x", answer=ANSWER)
    return {0: "yes", 1: "no", 3: "not proven"}[report.exit_code]


EVERY = [frozenset(gone) for number in range(6) for gone in itertools.combinations(WITNESSES, number)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_false_verdict_whatever_is_missing(case: Case) -> None:
    told = {missing: verdict(case, missing) for missing in EVERY}
    if case.good:
        assert told[frozenset()] == "yes"
    for missing, found in told.items():
        if case.good:
            assert found != "no", missing
        elif NEEDS.get(case.name) not in missing:
            assert found != "yes", missing
    assert told[frozenset(WITNESSES)] == "not proven"


def test_one_missing_witness_does_not_cost_the_verdict() -> None:
    for case in CASES:
        if case.good:
            assert {verdict(case, frozenset({name})) for name in ("profiler", "NVML", "memory", "control")} == {"yes"}


def test_only_the_forged_whole_and_the_broken_judge_need_a_certain_witness() -> None:
    assert {case.name for case in CASES if any(verdict(case, m) == "yes" for m in EVERY) and not case.good} == set(
        NEEDS
    )


def test_a_forged_log_alone_is_contradicted_and_never_believed() -> None:
    forged = Case("", False, (RUN, replace(ON_GPU, ops=placed("GPU:0", *HEAVY) + LIGHT), None, None, UNTOLD, None))
    assert verdict(forged, frozenset()) == "not proven"


def test_the_table_in_the_docs(request: pytest.FixtureRequest) -> None:
    columns = [frozenset[str](), *(frozenset({name}) for name in WITNESSES), frozenset({"profiler", "NVML"})]
    head = ["run", "all there", *(f"no {name}" for name in WITNESSES), "neither profiler nor NVML"]
    rows = [[case.name, *(verdict(case, missing) for missing in columns)] for case in CASES]
    table = "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])
    text = f"""# Verdicts

What `gpucheck verify` answers for good and bad runs, with every witness and with some of them missing. Made by
`pytest --update tests/test_verdicts.py`, which also judges the {len(EVERY)} choices of missing witnesses: a good run is
never "no", a bad one never "yes" but for the two whose only witness is the missing one.

{table}

"not proven" is exit code 3, and is neither. The witnesses: *log*, what the framework says of its placement; *profiler*,
the kernels that were executed; *NVML*, asked from outside; *memory*, what the training held on the GPU; *control*, the
same payload with the GPU hidden.
"""
    if request.config.getoption("--update"):
        DOCS.write_text(text)
    assert DOCS.read_text() == text


def test_timing_is_no_witness() -> None:
    """A fast CPU and a slow GPU overlap: without a gain the verdict is the same."""
    good = CASES[0]
    assert verdict(Case("", True, (*good.facts, replace(TIMED, control_step_seconds=0.001))), frozenset()) == "yes"
