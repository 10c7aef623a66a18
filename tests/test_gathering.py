"""Reports of a fleet in any state: what is none is told in a sentence, in bounded memory, and the rest is judged."""

from __future__ import annotations

import io
import json
import sys
import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gpucheck import codec, gathering
from gpucheck.nodes import Unread
from tests.conftest import Gpucheck
from tests.made_up.small import Judged, good, judge, lines, verdicts, write


@pytest.fixture
def judged(gpucheck: Gpucheck) -> Judged:
    return judge(gpucheck)


def changed(**more: Any) -> str:
    return json.dumps({**codec.dump(good("n2")), **more}) + "\n"


TEXTS = {  # what is beside two good reports, and what is said of it
    "a torn line": (changed()[:-60] + "\n", "line 2: it is not whole"),
    "two torn lines": ("{\n" + changed()[:-60] + "\n", "2 lines are no reports (2, 3)"),
    "a newer schema": (changed(schema=99, more=1), "its schema is 99"),
    "another's fact": (
        changed(tool="gpucheck 9", facts={"known": {"Aura": {}}, "unknown": {}}),
        "of gpucheck 9, which",
    ),
    "no report": ('{"a": 1}\n', "line 2: it is no report"),
    "a log": ("Nov 25 box kernel: hello\n", "it is not JSON"),
    "an empty list": ("[]\n", "line 2: it is no report"),
    "brackets": ("[" * 100_000 + "\n", "it is no report"),
    "a huge number": (changed(strict=10**400), "it is a report"),
    "a long line": ("x" * (gathering.LARGEST + 10) + "\n", "longer than 8 MB"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_bad_lines_are_told_and_the_rest_is_judged(
    judged: Judged, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, said = TEXTS[name]
    (tmp_path / "all.jsonl").write_text(lines(good("n1")) + text + lines(good("n3")))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO((tmp_path / "all.jsonl").read_bytes())))
    for given in (tmp_path / "all.jsonl", "-"):
        code, made = judged(given)
        assert code == 3
        (unread,) = [row for row in made["nodes"] if row["verdict"] == "unread"]
        assert said in unread["reason"]
        assert "\n" not in unread["reason"]
        assert {"n1", "n3"} <= {row["node"] for row in made["nodes"] if row["verdict"] == "pass"}
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO((tmp_path / "all.jsonl").read_bytes())))


class Garbage(io.RawIOBase):
    """So many bytes of nothing; `block` again and again."""

    def __init__(self, size: int, block: bytes) -> None:
        self.left, self.block = size, block

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        number = min(len(buffer), self.left, len(self.block))
        buffer[:number] = self.block[:number]
        self.left -= number
        return number


@pytest.mark.parametrize(
    ("block", "size"),
    [(b"\0" * 65536, 256 << 20), (b"{" + b"[" * 65535, 64 << 20), (b"x" * 500 + b"\n", 16 << 20), (b"{\n", 1 << 17)],
    ids=["one line", "brackets", "lines", "a torn document"],
)
def test_garbage_is_read_in_bounded_memory(block: bytes, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = io.BufferedReader(Garbage(size, block * (65536 // len(block))), 1 << 16)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=stdin))
    monkeypatch.setattr(gathering, "MOST_LINES", 10_000)
    tracemalloc.start()
    came = list(gathering.each([Path("-")]))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [type(each) for each in came] == [Unread]
    assert peak < 5 * gathering.LARGEST


def test_documents_folders_and_what_cannot_be_read(judged: Judged, tmp_path: Path) -> None:
    folder = write(tmp_path / "r", good("n1"))
    (folder / "n2.json").write_text(json.dumps(codec.dump(good("n2")), indent=2))
    (folder / "n3.json").write_text(json.dumps([codec.dump(good("n3")), codec.dump(good("n4"))], indent=1))
    (folder / "gone.json").symlink_to(folder / "nowhere")
    (folder / "n5.json").write_text(json.dumps(codec.dump(good("n5")), indent=1)[:-50])
    (folder / "n6.json").write_bytes(b"\x7fELF\x00\xff")
    (folder / "n7.json").write_text("")
    (folder / "n8.json").mkdir()
    code, made = judged(folder, folder / "n1.json", tmp_path / "none", "--expect", "n1,n5,n6,n7,n8,n9")
    told = verdicts(made)
    assert {name for name, kind in told.items() if kind == "pass"} == {"n1", "n2", "n3", "n4"}
    assert {name for name, kind in told.items() if kind == "missing"} == {"n9"}
    assert {"n5", "n6", "n7", "n8"} <= {name for name, kind in told.items() if kind == "unread"}
    assert sum(kind == "unread" for kind in told.values()) == 6
    assert code == 3
