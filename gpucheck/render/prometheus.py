"""Prometheus's text format, for node_exporter's textfile collector or a push: each rule's status, and the GPUs.

A rule has four series, of which the one of its status is 1, so an unknown is seen as unknown. What was not told has no
series: never a 0. Of two reports of the same host and command the newer counts, because a series may be there once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from gpucheck import extras
from gpucheck.facts import Nvml
from gpucheck.model import Failure, Report, Status
from gpucheck.nodes import moment
from gpucheck.render.wording import printable

if TYPE_CHECKING:
    from prometheus_client.core import GaugeMetricFamily

OF = ("host", "command")
GPU = (*OF, "gpu", "uuid")
GPU_FIGURES = {  # metric: what it is, the field of Gpu
    "gpucheck_gpu_memory_bytes": ("Memory of the GPU.", "memory_total_bytes"),
    "gpucheck_gpu_memory_used_bytes": ("Memory of the GPU that is used.", "memory_used_bytes"),
    "gpucheck_gpu_temperature_celsius": ("Temperature of the GPU.", "temperature_c"),
    "gpucheck_gpu_utilization_percent": ("Time in which the GPU worked.", "utilization_percent"),
}


def render(reports: Sequence[Report]) -> str:
    try:
        from prometheus_client import generate_latest
        from prometheus_client.registry import Collector
    except ImportError as error:
        raise Failure("the format prometheus needs the package prometheus-client", extras.tip("formats")) from error
    newest = {tuple(_of(report)): report for report in sorted(reports, key=_age)}

    class Reports(Collector):
        def collect(self) -> Iterator[GaugeMetricFamily]:
            yield from _of_reports(tuple(newest.values()))
            yield from _of_gpus(tuple(newest.values()))

    return generate_latest(Reports()).decode()


def _of_reports(reports: Sequence[Report]) -> Iterator[GaugeMetricFamily]:
    from prometheus_client.core import GaugeMetricFamily

    about = GaugeMetricFamily("gpucheck_info", "Which gpucheck wrote the report.", labels=(*OF, "tool"))
    code = GaugeMetricFamily("gpucheck_exit_code", "0 healthy, 1 failed, 3 unknown, 70 a bug.", labels=OF)
    when = GaugeMetricFamily("gpucheck_report_timestamp_seconds", "When the machine was looked at.", labels=OF)
    rule = GaugeMetricFamily(
        "gpucheck_rule_status", "1 for the status that the rule has: pass, fail, skip or unknown.",
        labels=(*OF, "rule", "severity", "status"),
    )  # fmt: skip
    for report in reports:
        of = _of(report)
        about.add_metric([*of, printable(report.tool)], 1)
        code.add_metric(of, report.exit_code)
        if made := moment(report.when):
            when.add_metric(of, made.timestamp())
        for finding in report.findings:
            for status in Status:
                labels = [*of, printable(finding.rule), finding.severity.value, status.value]
                rule.add_metric(labels, int(finding.status is status))
    yield from (about, code, when, rule)


def _of_gpus(reports: Sequence[Report]) -> Iterator[GaugeMetricFamily]:
    from prometheus_client.core import GaugeMetricFamily

    about = GaugeMetricFamily("gpucheck_gpu_info", "A GPU that NVML lists.", labels=(*GPU, "name", "pci"))
    figures = {name: GaugeMetricFamily(name, text, labels=GPU) for name, (text, _) in GPU_FIGURES.items()}
    for report in reports:
        nvml = report.facts.known.get(Nvml)
        for gpu in nvml.gpus if nvml else ():
            of = [*_of(report), str(gpu.index), printable(gpu.uuid or "")]
            about.add_metric([*of, printable(gpu.name or ""), printable(gpu.pci_address or "")], 1)
            for name, (_, field) in GPU_FIGURES.items():
                value = getattr(gpu, field)
                if value is not None:
                    figures[name].add_metric(of, value)
    yield from (family for family in (about, *figures.values()) if family.samples)


def _of(report: Report) -> list[str]:
    return [printable(report.host), printable(report.command)]


def _age(report: Report) -> float:
    """A report that does not say when it was made is older than all."""
    made = moment(report.when)
    return made.timestamp() if made else float("-inf")
