"""What every page of a fleet says alike: the words for a row, its odd ones, its history, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from gpucheck.matrix import Cause, Change, Fleet
from gpucheck.nodes import Node
from gpucheck.outliers import Odd, OddOnes
from gpucheck.render.wording import printable

WORDS = {"fail": "No", "missing": "Missing", "unread": "Not read", "unknown": "Not proven", "pass": "Yes"}
TOLD = {"fail": "no", "missing": "missing", "unread": "not read", "unknown": "not proven", "pass": "yes"}
KINDS = {"fail": "fail", "pass": "pass"}  # of grouping.SIGNS and the page's colours; every other is unknown
CHANGED = {
    "new": "not right any more", "still": "not right still", "mended": "right again",
    "gone": "not here any more", "came": "not here before",
}  # fmt: skip
NAMED = 8  # nodes of a list


def headline(fleet: Fleet) -> str:
    told = ", ".join(f"{number:,} {TOLD[kind]}" for kind, number in fleet.counts.items()) or "nothing came"
    odd = len({each.node for each in fleet.odd})
    return told + (f"; {odd:,} odd" if odd else "")


def names(nodes: Sequence[str], most: int = NAMED) -> str:
    rest = len(nodes) - most
    return printable(", ".join(nodes[:most])) + (f" and {rest:,} more" if rest > 0 else "")


def nodes(number: int) -> str:
    return f"{number:,} node" + ("s" if number != 1 else "")


def cause(each: Cause) -> str:
    """ "17 nodes: driver 570.86.15 against libraries 570.124.06"."""
    return f"{nodes(len(each.nodes))}: {printable(each.said)}"


def odd_ones(each: OddOnes) -> str:
    who = names(each.nodes, 1) if len(each.nodes) == 1 else nodes(len(each.nodes))
    return f"{who}: {difference(each)}"


def difference(each: Odd | OddOnes) -> str:
    agree = f"all {each.agree:,}" if each.agree == each.siblings else f"{each.agree:,} of {each.siblings:,}"
    return printable(f"{each.trait} {each.value}; {agree} siblings: {each.usual}")


def change(each: Change) -> str:
    command = f" ({each.command})" if each.command not in ("", "doctor") else ""
    return printable(f"{each.node}{command}: {'it was: ' if each.what == 'mended' else ''}{each.said}")


def reason(node: Node) -> str:
    return printable(node.said)
