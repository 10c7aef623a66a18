"""Sets and groups of nodes, as ClusterShell has them; and what a name with a typo may have meant."""

from __future__ import annotations

import difflib
import glob
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from ClusterShell.NodeSet import NodeSet, NodeSetException, std_group_resolver  # type: ignore[import-untyped]
from ClusterShell.NodeUtils import (  # type: ignore[import-untyped]
    GroupResolverError,
    GroupResolverSourceError,
    GroupSourceError,
)

from gpucheck.fleets.runs import none_such, printable
from gpucheck.model import Failure

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@:-]{0,254}")  # a host, an alias or an address, with or without a user
MOST = 20_000
SETS = "as in `--nodes 'n[1-40],@rack3'`; `nodeset -f SET` of ClusterShell shows what a set is"


def names(sets: Sequence[str]) -> tuple[str, ...]:
    """The nodes of all these sets, each once. Raises Failure for what is no set, no name, or nobody's."""
    found = NodeSet()
    for text in sets:
        if (size := _size(text)) > MOST:
            raise Failure(f"{printable(text)!r} is {size:,} nodes", f"at most {MOST:,} at a time")
        found.update(_set(text))
        for operand in _operands(text):
            if not _set(operand):
                raise _nobody(operand)
    for name in found:
        if not NAME.fullmatch(name):
            raise Failure(f"{printable(name)!r} is no name of a node", SETS)
    if len(found) > MOST:
        raise Failure(f"these are {len(found):,} nodes", f"at most {MOST:,} at a time")
    if not found:
        raise Failure("no node was named", SETS)
    return tuple(found)


def _set(text: str) -> NodeSet:
    try:
        return NodeSet(text)
    except (NodeSetException, GroupResolverError, GroupSourceError) as error:
        if isinstance(error, GroupResolverSourceError):
            raise none_such("source of groups", str(error), std_group_resolver().sources()) from error
        raise Failure(f"{printable(text)!r} is no set of nodes: {printable(str(error))}", SETS) from error


def _operands(text: str) -> Iterator[str]:
    """What stands between , ! & ^ outside brackets: ClusterShell takes an unknown group for an empty one."""
    return (word for word in re.split(r"[,!&^](?![^\[]*\])", text) if word)


def _nobody(operand: str) -> Failure:
    if not operand.startswith("@"):
        return Failure(f"no node is called {printable(operand)!r}", SETS)
    source, _, group = operand[1:].rpartition(":")
    try:
        groups = std_group_resolver().grouplist(source or None)
    except (GroupResolverError, GroupSourceError):
        groups = []
    return none_such("group of nodes", group, groups)


def _size(text: str) -> int:
    """About how many names it makes, before any is made."""
    most = 0
    for word in _operands(text):
        sizes = (
            sum(max(1, int(last) - int(first) + 1) for first, last in re.findall(r"(\d{1,18})-(\d{1,18})", ranges))
            for ranges in re.findall(r"\[([^\]]*)\]", word)
        )
        most += math.prod(max(1, size) for size in sizes)
    return most


def nearest(name: str, config: str | None) -> str | None:
    """Of the nodes that ClusterShell's groups and OpenSSH's configuration name."""
    known = set(_configured(Path(config) if config else Path.home() / ".ssh" / "config"))
    with suppress(NodeSetException, GroupResolverError, GroupSourceError):
        known.update(NodeSet("@*"))
    user, at, host = name.rpartition("@")
    near = difflib.get_close_matches(host, sorted(known - {host}), n=1, cutoff=0.7)
    return f"{user}{at}{near[0]}" if near else None


def _configured(file: Path, depth: int = 0) -> Iterator[str]:
    """The hosts that a configuration of OpenSSH names, without the patterns among them."""
    try:
        text = file.read_text(errors="replace")
    except OSError:
        return
    for keyword, rest in re.findall(r"(?im)^[ \t]*(host|include)[ \t=]+(.+)$", text):
        for word in rest.replace('"', " ").split():
            if keyword.lower() == "host" and NAME.fullmatch(word):
                yield word
            elif keyword.lower() == "include" and depth < 4:
                for path in sorted(glob.glob(str(Path.home() / ".ssh" / Path(word).expanduser()))):
                    yield from _configured(Path(path), depth + 1)
