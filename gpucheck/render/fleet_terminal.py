"""A fleet for a terminal: what is wrong with how many, the odd ones, what has changed, and the worst rows first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from gpucheck.matrix import CHANGES, Fleet
from gpucheck.render import fleet_words as words
from gpucheck.render.grouping import SIGNS
from gpucheck.render.terminal import STYLES, Detail, page
from gpucheck.render.wording import printable

MOST = {"quiet": 5, "normal": 40, "verbose": 100_000}  # rows of a list


def render(fleet: Fleet, detail: Detail = "normal") -> str:
    return page(_parts(fleet, detail))


def _parts(fleet: Fleet, detail: Detail) -> Iterator[RenderableType]:
    most = MOST[detail]
    style = {0: "bold green", 1: "bold red"}.get(fleet.exit_code, "bold yellow")
    yield Text(f"gpucheck fleet · {words.nodes(len({node.name for node in fleet.nodes}))}", style="dim")
    yield Text(words.headline(fleet), style=style)
    yield from (Text(f"! {printable(remark)}", style="yellow") for remark in fleet.remarks)
    yield from _list("Causes", [(each.kind, words.cause(each), _where(each.rule, each.nodes)) for each in fleet.causes],
                     most)  # fmt: skip
    yield from _list("Odd ones out", [("warning", words.odd_ones(each), _of(each.model, each.nodes))
                                      for each in fleet.odd_ones], most)  # fmt: skip
    for what in CHANGES:
        changed = [each for each in fleet.changes or () if each.what == what]
        lines = [(each.kind, words.change(each), "") for each in changed]
        yield from _list(f"{words.nodes(len(changed))} {words.CHANGED[what]}", lines, most)
    if fleet.changes == ():
        yield from (Text(), Text("nothing has changed since", style="dim"))
    if detail != "quiet":
        yield from _rows(fleet, most)
    yield Text()
    yield Text(f"exit code {fleet.exit_code}", style="dim")


def _list(heading: str, lines: list[tuple[str, str, str]], most: int) -> Iterator[RenderableType]:
    if not lines:
        return
    yield from (Text(), Text(heading, style="bold"))
    for kind, said, more in lines[:most]:
        sign = words.KINDS.get(kind, kind if kind in SIGNS else "unknown")
        line = Text(f"  {SIGNS[sign]} ", style=STYLES[sign])
        yield line.append(said, style="default").append(f"  {more}" if more else "", style="dim")
    if len(lines) > most:
        yield Text(f"    and {len(lines) - most:,} more: --verbose", style="dim")


def _where(rule: str | None, nodes: tuple[str, ...]) -> str:
    return " · ".join(filter(None, [printable(rule or ""), words.names(nodes)]))


def _of(model: str, nodes: tuple[str, ...]) -> str:
    return " · ".join(filter(None, [printable(model), words.names(nodes) if len(nodes) > 1 else ""]))


def _rows(fleet: Fleet, most: int) -> Iterator[RenderableType]:
    """Each that is not right; those that are by what they are, unless all are asked for."""
    shown = [node for node in fleet.nodes if node.kind != "pass"][:most]
    if most > len(fleet.nodes):
        shown = list(fleet.nodes)
    yield from (Text(), Text("Nodes", style="bold")) if fleet.nodes else ()
    table = Table(box=None, show_header=False, padding=(0, 1))
    for _ in range(4):
        table.add_column(overflow="fold")
    for node in shown:
        sign = words.KINDS.get(node.kind, "unknown")
        command = f" {node.command}" if node.command not in ("", "doctor") else ""
        cells = ((f"  {SIGNS[sign]}", STYLES[sign]), (printable(node.name + command), ""),
                 (words.TOLD[node.kind], STYLES[sign]), (words.reason(node), "dim"))  # fmt: skip
        table.add_row(*(Text(said, style=style) for said, style in cells))
    if shown:
        yield table
    rest = [node for node in fleet.nodes[len(shown) :] if node.kind != "pass"]
    if rest:
        yield Text(f"    and {len(rest):,} more: --verbose", style="dim")
    right = Counter((node.names or "no GPU", node.driver) for node in fleet.nodes[len(shown) :] if node.kind == "pass")
    for (model, driver), number in sorted(right.items(), key=lambda item: (-item[1], str(item))):
        yield Text(f"  {SIGNS['pass']} ", style="green").append(
            printable(f"{number:,} × {model}" + (f", driver {driver}" if driver else "")), style="default"
        )
