"""Every kept run through witnesses, rules and engine. `pytest --update` rewrites expected.json; read the diff.

The facts of the host are a recorded machine's: expected.json names it.
"""

import json
from pathlib import Path

import pytest

from gpucheck import compat, engine
from gpucheck.host import Recorded
from gpucheck.model import BUG
from gpucheck.probes import PROBES
from gpucheck.rules import ANSWER, RUN_RULES
from gpucheck.witnesses import WITNESSES

HERE = Path(__file__).parent
RUNS = sorted(path.parent for path in (HERE / "runs").glob("*/evidence"))


@pytest.mark.parametrize("folder", RUNS, ids=lambda folder: folder.name)
def test_run(folder: Path, request: pytest.FixtureRequest) -> None:
    expected = folder / "expected.json"
    known = json.loads(expected.read_text())
    host = engine.collect(PROBES, Recorded.load(HERE / "machines" / known["machine"] / "recording.json"))
    facts = host | engine.collect(WITNESSES, folder / "evidence")
    assert [reason for reason in facts.unknown.values() if BUG in reason] == []
    report = engine.report("verify", facts, engine.judge(RUN_RULES, facts, compat.load()), answer=ANSWER)
    found = {
        "machine": known["machine"],
        "verdict": report.verdict,
        "exit_code": report.exit_code,
        "findings": {finding.rule: finding.status.value for finding in report.findings},
    }
    if request.config.getoption("--update"):
        expected.write_text(json.dumps(found, indent=1) + "\n")
    assert found == known or request.config.getoption("--update")


def test_only_positive_proof_passes() -> None:
    codes = {folder.name: json.loads((folder / "expected.json").read_text())["exit_code"] for folder in RUNS}
    assert {name for name, code in codes.items() if code == 0} == {
        "tensorflow-cpu", "tensorflow-fast-cpu", "pytorch-cpu", "derived-tensorflow-gpu", "derived-pytorch-gpu",
        "derived-no-nvml",
    }  # fmt: skip
    assert len(codes) >= 18
