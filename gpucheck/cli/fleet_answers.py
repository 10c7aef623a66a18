"""What comes home from the nodes of a fleet: told in a line each, kept in a folder, and passed on to be judged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gpucheck import gathering, rosters
from gpucheck.cli.screen import manners, write_whole
from gpucheck.consoles import clean
from gpucheck.fleets.runs import Answer
from gpucheck.nodes import ASKED, ASKING, Arrived, Unread, kept, same_name
from gpucheck.render.grouping import SIGNS
from gpucheck.rosters import Roster

if TYPE_CHECKING:
    from rich.progress import Progress

LONGEST = 200  # characters of a node's line


@dataclass
class Home:
    """What came, told and kept as it comes. `expected` is whole when all have answered."""

    folder: Path | None
    command: str  # that was asked: doctor, verify
    expected: list[str] = field(default_factory=list)
    unwritten: tuple[str, str] | None = None
    renamed: set[str] = field(default_factory=set)
    since: str = field(default_factory=rosters.now)

    def came(self, answers: Iterator[Answer], shown: Progress) -> Iterator[Arrived | Unread]:
        for answer in answers:
            node = answer.node.rpartition("@")[2]
            if self.folder and not self.expected:
                self._keep(self.folder / ASKING, b"")  # until close() the folder says that it is not whole
            self.expected.append(node)
            if not answer.named:  # an address or an alias is what was asked, and so the name of the row
                self.renamed.add(node)
            roster = Roster(
                {node: node in self.renamed}, self.since, self.command
            )  # as `fleet report DIR` will have it
            for each in _read(answer, node):
                own = each.report.host if isinstance(each, Arrived) else node
                had = rosters.as_asked(each, roster)
                _tell(had, own, node, answer.seconds, shown)
                yield had
            if self.folder and answer.report:
                self._keep(self.folder / kept(node), answer.report.rstrip() + b"\n")

    def close(self) -> None:
        """Who was asked, so that `fleet report DIR` misses whom the run missed."""
        if self.folder:
            asked = Roster({node: node in self.renamed for node in sorted(self.expected)}, self.since, self.command)
            self._keep(self.folder / ASKED, rosters.text(asked).encode())
            if not self.unwritten:
                (self.folder / ASKING).unlink(missing_ok=True)

    def _keep(self, file: Path, data: bytes) -> None:
        """A full disk here is nobody's fault there: the rest is judged all the same."""
        try:
            write_whole(file, data)
        except OSError as error:
            self.unwritten = self.unwritten or (
                f"{file} was not written: {error.strerror}",
                "free some space, or another --output; the page is whole",
            )


def _read(answer: Answer, node: str) -> Iterator[Arrived | Unread]:
    if answer.report is None:
        why = answer.why or "it did not say why"
        return iter([Unread(source=node, node=node, why=why, kind="missing")])
    return gathering.of_bytes(answer.report, node)


def _tell(came: Arrived | Unread, own: str, node: str, seconds: float, shown: Progress) -> None:
    if manners.detail == "quiet":
        return
    if isinstance(came, Arrived):
        kind = {0: "unknown" if came.doubt else "pass", 1: "fail"}.get(came.report.exit_code, "unknown")
        named = "" if same_name(own, node) else f"it calls itself {own}"
        said = ": ".join(filter(None, (named, came.doubt, came.report.verdict)))
    else:
        kind, said = "skip" if came.kind == "missing" else "unknown", f"{came.kind}: {came.why}"
    line = clean(f"{SIGNS[kind]} {node}  {said}")
    shown.console.print(line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…", f"({seconds:.1f} s)",
                        markup=False, highlight=False, soft_wrap=True)  # fmt: skip
