"""One compact JSON object a report, a line each: for jq, for `gpucheck report` and for fleets.

The schema is gpucheck/data/report.schema.json. `verdict` and `exit_code` are derived from the findings.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from gpucheck import codec
from gpucheck.model import Report


def render(reports: Sequence[Report]) -> str:
    lines = [
        json.dumps({**codec.dump(report), "verdict": report.verdict, "exit_code": report.exit_code})
        for report in reports
    ]
    return "\n".join(lines) + "\n"


def read(line: str) -> Report:
    """A report from its line. Raises codec.WrongShape, also where verdict or exit code are not what follows."""
    try:
        data = json.loads(line)
    except json.JSONDecodeError as error:
        raise codec.WrongShape(f"$: not JSON: {error}") from error
    derived = {key: data.pop(key, None) for key in ("verdict", "exit_code")} if isinstance(data, dict) else {}
    report = codec.load(Report, data)
    if derived != {"verdict": report.verdict, "exit_code": report.exit_code}:
        raise codec.WrongShape("$.verdict: does not follow from the findings")
    return report
