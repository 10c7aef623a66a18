"""The report among what a node printed: a login, a wrapper or a library may have printed before and after it."""

from __future__ import annotations

from gpucheck import reports
from gpucheck.model import Failure, Report

CANDIDATES = 20  # lines that may be the report


def report(out: bytes, node: str) -> tuple[bytes, Report | str | None]:
    """The last line that is a report, whatever a login printed before it; else what is wrong with the last."""
    wrong = None
    lines = [line for line in out.splitlines() if line.startswith(b'{"')]
    for line in lines[: -CANDIDATES - 1 : -1]:
        try:
            return line, reports.of_bytes(line, f"what {node} printed")
        except Failure as failure:
            wrong = wrong or str(failure)
    return b"", wrong
