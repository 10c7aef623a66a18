from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from gpucheck import archives
from gpucheck.model import Failure


def test_what_goes_in_belongs_to_the_images_user(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_text("text")
    buffer = io.BytesIO()
    archives.pack(buffer, {"/in/here": tmp_path / "a"}, ["/out"])
    with tarfile.open(fileobj=buffer) as tar:
        assert tar.getnames() == ["out", "in/here", "in/here/file"]
        assert {(member.uid, member.gid, member.uname) for member in tar} == {(1000, 1000, "")}


def test_a_link_goes_in_as_what_it_points_to(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("text")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "link").symlink_to(tmp_path / "real")
    buffer = io.BytesIO()
    archives.pack(buffer, {"/in": tmp_path / "folder", "/one": tmp_path / "folder" / "link"}, [])
    with tarfile.open(fileobj=buffer) as tar:
        assert [(member.name, member.isreg(), member.size) for member in tar if not member.isdir()] == [
            ("in/link", True, 4), ("one", True, 4),
        ]  # fmt: skip


def archive(*members: tuple[str, bytes, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, kind, content in members:
            member = tarfile.TarInfo(name)
            member.type, member.size, member.linkname = kind, len(content), "/etc/passwd"
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def test_only_plain_files_inside_the_folder_come_out(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "evidence"
    data = archive(
        ("out", tarfile.DIRTYPE, b""),
        ("out/good/run.json", tarfile.REGTYPE, b"{}"),
        ("out/../escaped", tarfile.REGTYPE, b"x"),
        ("out/../../escaped", tarfile.REGTYPE, b"x"),
        ("/out/absolute", tarfile.REGTYPE, b"stays inside"),
        ("out/link", tarfile.SYMTYPE, b""),
        ("out/hard", tarfile.LNKTYPE, b""),
        ("out/device", tarfile.CHRTYPE, b""),
        ("out/fifo", tarfile.FIFOTYPE, b""),
    )
    archives.unpack([data[:700], data[700:]], target)
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if not path.is_dir())
    assert found == ["a/b/evidence/good/run.json", "a/b/evidence/out/absolute"]


def test_what_was_there_before_stays(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("ours")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    data = archive(
        ("out", tarfile.DIRTYPE, b""),
        ("out/file", tarfile.REGTYPE, b"theirs"),
        ("out/file", tarfile.DIRTYPE, b""),
        ("out/file/below", tarfile.REGTYPE, b"theirs"),
        ("out/file/deep/below", tarfile.REGTYPE, b"theirs"),
        ("out/folder", tarfile.REGTYPE, b"theirs"),
        ("out/link", tarfile.REGTYPE, b"theirs"),
        ("out/folder/new", tarfile.REGTYPE, b"theirs"),
    )
    archives.unpack([data], tmp_path)
    assert (tmp_path / "file").read_text() == "ours"
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["new"]
    assert not (tmp_path / "nowhere").exists()


def test_output_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MOST", 1000)
    with pytest.raises(Failure):
        archives.unpack((b"x" * 400 for _ in range(10**9)), tmp_path)
