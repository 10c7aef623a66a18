"""How every page for people orders, names and folds findings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from gpucheck.model import Finding, Report, Severity, Status
from gpucheck.render.wording import printable, sentence

SUBJECTS = {
    "pci": "PCI bus", "kernel": "Kernel", "driver": "Driver", "nvml": "NVML", "toolkit": "CUDA toolkit",
    "cudnn": "cuDNN", "docker": "Docker", "container_toolkit": "Container toolkit", "frameworks": "Frameworks",
    "system": "System", "run": "Run", "placement": "Placement", "training": "Training", "verdict": "Verdict",
    "image": "Image", "kernel_log": "Kernel log", "services": "Services",
    "linker": "Libraries", "pcie": "PCIe", "packages": "Packages", "cloud": "Cloud",
    "compute": "Active probe", "kernels": "Profiler", "gpu-use": "NVML, from outside", "control": "Control run",
    "world": "Nodes together",
    "timing": "Speed",
}  # fmt: skip
IMPACTS = {"service": "restarts a service", "reboot": "needs a reboot", "data": "work or data are at risk"}
SIGNS = {"pass": "✓", "fail": "✗", "warning": "!", "unknown": "?", "skip": "–"}


class Row(NamedTuple):
    kind: str  # a key of SIGNS: a failure that is no error is a warning
    title: str
    said: str
    rule: str | None  # None = it stands for several


def kind(finding: Finding) -> str:
    weak = finding.status is Status.FAIL and finding.severity is not Severity.ERROR
    return "warning" if weak else finding.status.value


def by_subject(report: Report, *, skipped: bool = False) -> dict[str, list[Finding]]:
    """What was judged, under its heading; the answer is the headline of every page, and not here again."""
    subjects: dict[str, list[Finding]] = {}
    for finding in report.findings:
        if (skipped or finding.status is not Status.SKIP) and finding.rule != report.answer:
            subject = finding.rule.split(".")[0]
            subjects.setdefault(SUBJECTS.get(subject, subject), []).append(finding)
    return subjects


def rows(group: Sequence[Finding]) -> Iterator[Row]:
    """A row each; one for all that could not be judged for the same reason, at the place of the first."""
    reasons = Counter(finding.message for finding in group if finding.status is Status.UNKNOWN)
    for finding in group:
        if finding.status is not Status.UNKNOWN or reasons[finding.message] == 1:
            yield Row(kind(finding), printable(finding.title), sentence(finding), finding.rule)
        elif number := reasons.pop(finding.message, 0):
            yield Row("unknown", f"{number} rules could not be judged", sentence(finding), None)


def waiting(report: Report, root: Finding) -> int:
    """How many rules are not asked before this one holds."""
    return sum(finding.because == root.rule for finding in report.findings)


def others(report: Report) -> Iterable[Finding]:
    """What failed beside the root cause and is more than a row: it has a remedy, or rules wait for it."""
    cause = report.root_cause
    return (f for f in report.of(Status.FAIL) if f is not cause and (f.remedy or waiting(report, f)))


def counts(report: Report) -> dict[str, int]:
    """By what they are called; none of them is 0."""
    found = {
        "hold": len(report.of(Status.PASS)),
        "failed": len(report.of(Status.FAIL, Severity.ERROR)),
        "to look at": len(report.of(Status.FAIL, Severity.WARNING, Severity.NOTE)),
        "unknown": len(report.of(Status.UNKNOWN)),
        "did not apply or wait": len(report.of(Status.SKIP)),
    }
    return {name: number for name, number in found.items() if number}
