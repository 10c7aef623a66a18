"""A fleet as the page that `gpucheck report` makes of many reports, with its odd ones and its history."""

from __future__ import annotations

from collections.abc import Sequence

from gpucheck.matrix import CHANGES, Change, Fleet
from gpucheck.nodes import Node
from gpucheck.render import fleet as page
from gpucheck.render import fleet_words as words
from gpucheck.render import html
from gpucheck.render.facts_table import NOT_THERE

RIGHT = 1000  # rows of those that are right; of the others every one


def render(fleet: Fleet) -> str:
    hosts = list(map(_host, fleet.nodes))
    right = [host for host in hosts if host.kind == "pass"]
    shown = [host for host in hosts if host.kind != "pass"] + right[:RIGHT]
    told = page.Fleet(
        hosts=shown, number=len({node.name for node in fleet.nodes}), of="nodes",
        left_out=len(right) - len(right[:RIGHT]), headline=words.headline(fleet),
        kind=words.KINDS.get(next(iter(fleet.counts), ""), "unknown"),
        causes=[(each.rule or words.TOLD[each.kind], len(each.nodes), f"{each.said} ({words.names(each.nodes)})")
                for each in fleet.causes],
        caption="The commonest first: what these nodes' messages have in common",
        kinds={kind: [host for host in hosts if host.said == words.WORDS[kind]] for kind in words.WORDS},
        odd=fleet.odd_ones, remarks=fleet.remarks, changes=_changes(fleet),
    )  # fmt: skip
    return html.of_fleet(told)


def _host(node: Node) -> page.Host:
    return page.Host(
        name=node.name, command=node.command or "doctor", kind=words.KINDS.get(node.kind, "unknown"),
        said=words.WORDS[node.kind], rule=node.rule, reason=node.said, exit_code=node.exit_code,
        driver=node.driver or NOT_THERE, gpus=_gpus(node.ids, node.names), anchor="", page="",
    )  # fmt: skip


def _changes(fleet: Fleet) -> Sequence[tuple[str, Sequence[tuple[Change, str]]]] | None:
    if fleet.changes is None:
        return None
    found = {what: [each for each in fleet.changes if each.what == what] for what in CHANGES}
    return [(words.CHANGED[what], [(each, words.KINDS.get(each.kind, "unknown")) for each in those])
            for what, those in found.items()]  # fmt: skip


def _gpus(ids: str | None, names: str | None) -> str:
    number, times, _ = (ids or "").partition(" × ")
    return f"{number} × {names}" if names and times and "+" not in (ids or "") else names or ids or NOT_THERE
