"""Every recorded machine through probes, rules and engine. `pytest --update` rewrites expected.json; read the diff."""

import json
from pathlib import Path

import pytest

from gpucheck import compat, engine
from gpucheck.host import Recorded
from gpucheck.model import BUG
from gpucheck.probes import PROBES
from gpucheck.rules import HOST_RULES

MACHINES = sorted(path.parent for path in (Path(__file__).parent / "machines").glob("*/recording.json"))


@pytest.mark.parametrize("folder", MACHINES, ids=lambda folder: folder.name)
def test_machine(folder: Path, request: pytest.FixtureRequest) -> None:
    facts = engine.collect(PROBES, Recorded.load(folder / "recording.json"))
    # A probe that asks something new: run tests/machines/make.py again, or record the real machine again.
    assert [reason for reason in facts.unknown.values() if "not in the recording" in reason or BUG in reason] == []

    report = engine.report("doctor", facts, engine.judge(HOST_RULES, facts, compat.load()), host=folder.name)
    found = {
        "root_cause": report.root_cause.rule if report.root_cause else None,
        "exit_code": report.exit_code,
        "findings": {finding.rule: finding.status.value for finding in report.findings},
    }
    expected = folder / "expected.json"
    if request.config.getoption("--update"):
        expected.write_text(json.dumps(found, indent=1) + "\n")
    assert found == json.loads(expected.read_text())


def test_there_are_machines() -> None:
    assert len(MACHINES) >= 13
