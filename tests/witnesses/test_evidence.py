"""What a container wrote is not trusted: bombs, pipes, torn files, names that lead elsewhere."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from gpucheck.host import CannotLook
from gpucheck.witnesses import evidence
from gpucheck.witnesses.evidence import LONGEST_LINE, PIECE, Document

MEMBER = gzip.compress(bytes(1 << 20))  # a mebibyte of zeros in a kilobyte
PEAK = """
import sys
from pathlib import Path
from gpucheck.host import CannotLook
from gpucheck.witnesses import evidence

read = getattr(evidence, sys.argv[1])
try:
    found = read(Path(sys.argv[2]), "bomb.gz", *map(int, sys.argv[3:]))
    print(sum(len(part) for part in found))
except CannotLook as error:
    print(error)
status = Path("/proc/self/status").read_text()
print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")))
"""


def read_a_bomb(folder: Path, door: str, *limit: str) -> tuple[str, int]:
    """10 GB of zeros in 10 MB: (what the door said, MiB that the process held at most)."""
    with (folder / "bomb.gz").open("wb") as file:
        for _ in range(10 * 1024):
            file.write(MEMBER)
    command = [sys.executable, "-c", PEAK, door, str(folder), *limit]
    said, kib = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return said, int(kib) // 1024


def test_a_document_that_is_a_bomb(tmp_path: Path) -> None:
    said, mib = read_a_bomb(tmp_path, "document")
    assert said == "bomb.gz is larger than 16 MiB"
    assert mib < 150


@pytest.mark.parametrize("door", ["lines", "chunks"])
def test_a_log_that_is_a_bomb(tmp_path: Path, door: str) -> None:
    said, mib = read_a_bomb(tmp_path, door)
    assert said == "bomb.gz is larger than 1024 MiB"
    assert mib < 150


def test_a_profile_that_is_a_bomb(tmp_path: Path) -> None:
    said, mib = read_a_bomb(tmp_path, "whole", str(64 << 20))
    assert said == "bomb.gz is larger than 64 MiB"
    assert mib < 300


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "probe.out")
    with pytest.raises(CannotLook, match=r"probe\.out is no plain file"):
        next(evidence.lines(tmp_path, "probe.out"))
    (tmp_path / "probe.json").mkdir()
    with pytest.raises(CannotLook, match=r"probe\.json is no plain file"):
        evidence.document(tmp_path, "probe.json")


def test_a_long_line_comes_in_marked_pieces(tmp_path: Path) -> None:
    line = "x" * (2 * LONGEST_LINE + 10)
    (tmp_path / "log").write_text(f"short\n{line}\nlast\n")
    found = list(evidence.lines(tmp_path, "log"))
    assert [found[0], found[-1]] == ["short\n", "last\n"]
    assert len(found[1]) == LONGEST_LINE + 1
    assert all(piece.startswith(PIECE) for piece in found[2:-1])
    assert "".join([found[1], *(piece.removeprefix(PIECE) for piece in found[2:-1])]) == f"{line}\n"


@pytest.mark.parametrize("content", [gzip.compress(b"{}" * 999)[:-9], b"\x1f\x8b\x08" + b"\xff" * 99, b"PK\x03\x04"])
def test_a_torn_archive(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.json.gz").write_bytes(content)
    for read in (lambda: evidence.document(tmp_path, "x.json"), lambda: list(evidence.chunks(tmp_path, "x.json.gz"))):
        with pytest.raises(CannotLook, match=r"x\.json"):
            read()


def test_a_torn_archive_whose_stream_is_broken(tmp_path: Path) -> None:
    content = bytearray(gzip.compress(os.urandom(4000)))
    content[100:140] = bytes(40)
    (tmp_path / "x.gz").write_bytes(content)
    with pytest.raises((zlib.error, OSError)):
        gzip.decompress(bytes(content))
    with pytest.raises(CannotLook, match=r"x\.gz cannot be read"):
        evidence.whole(tmp_path, "x.gz", 1 << 20)


@pytest.mark.parametrize("name", ["../train.json", "/etc/passwd", "", ".", "..", "a\0b", "\ud800", "x" * 300, "a b"])
def test_a_file_name_leads_nowhere_else(name: str) -> None:
    with pytest.raises(CannotLook, match="as file"):
        evidence.file_name(Document("x", {"file": name}), "file")
    assert evidence.file_name(Document("x", {"file": "train.xplane.pb.gz"}), "file") == "train.xplane.pb.gz"


@pytest.mark.parametrize("value", [[[[]]], {"a": {}}, "x" * 9999, 10**400, 1.5, None, True])
def test_what_is_of_another_type_is_shown_short(value: object) -> None:
    with pytest.raises(CannotLook) as error:
        Document("x.json", {"seed": value}).get("seed", bytes)
    assert len(str(error.value)) < 70


def test_a_number_too_large_for_a_float() -> None:
    with pytest.raises(CannotLook, match="seconds"):
        Document("x.json", {"seconds": 10**400}).get("seconds", float)


def test_half_a_surrogate_pair_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"text": "a\\ud800b", "texts": ["\\udfff"]}')
    found = evidence.document(tmp_path, "x.json")
    assert found.get("text", str).encode() == b"a?b"
    assert found.texts("texts")[0].encode() == b"?"


@pytest.mark.parametrize("deep", [500, 100_000])
def test_deep_json_is_no_crash(tmp_path: Path, deep: int) -> None:
    (tmp_path / "x.json").write_text(json.dumps({"x": 0}).replace("0", "[" * deep + "]" * deep))
    with pytest.raises(CannotLook, match=r"x\.json"):
        evidence.document(tmp_path, "x.json").get("x", str)
