"""A fleet in Prometheus's text format: each node's verdict, and what is odd about it. A missing node has its series."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gpucheck import extras
from gpucheck.matrix import Fleet
from gpucheck.model import Failure
from gpucheck.nodes import ORDER
from gpucheck.render.wording import printable

if TYPE_CHECKING:
    from prometheus_client.core import GaugeMetricFamily


def render(fleet: Fleet) -> str:
    try:
        from prometheus_client import generate_latest
        from prometheus_client.registry import Collector
    except ImportError as error:
        raise Failure("the format prometheus needs the package prometheus-client", extras.tip("formats")) from error

    class Fleets(Collector):
        def collect(self) -> Iterator[GaugeMetricFamily]:
            yield from _families(fleet)

    return generate_latest(Fleets()).decode()


def _families(fleet: Fleet) -> Iterator[GaugeMetricFamily]:
    from prometheus_client.core import GaugeMetricFamily

    code = GaugeMetricFamily("gpucheck_fleet_exit_code", "0 all right, 1 any failed, 3 any missing, unread or unknown.")
    code.add_metric([], fleet.exit_code)
    total = GaugeMetricFamily("gpucheck_fleet_nodes", "Reports by verdict; a missing one counts.", labels=("verdict",))
    for kind in ORDER:
        total.add_metric([kind], fleet.counts.get(kind, 0))
    each = GaugeMetricFamily("gpucheck_fleet_node", "1 for the verdict of the node.",
                             labels=("host", "command", "verdict", "rule"))  # fmt: skip
    worst: dict[tuple[str, str], list[str]] = {}
    for node in fleet.nodes:  # the worst first: a series may be there once
        worst.setdefault((printable(node.name), printable(node.command)), [node.kind, printable(node.rule or "")])
    for of, told in worst.items():
        each.add_metric([*of, *told], 1)
    odd = GaugeMetricFamily("gpucheck_fleet_odd", "1 where the node differs from its siblings in this.",
                            labels=("host", "what", "value", "usual"))  # fmt: skip
    labels = {(one.node, one.trait, one.value, one.usual) for one in fleet.odd}
    for one in sorted({tuple(map(printable, label)) for label in labels}):
        odd.add_metric(one, 1)
    yield from (code, total, each, odd)
