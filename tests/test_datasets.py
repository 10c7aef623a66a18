"""Data by every way in: whole, torn, hostile, interrupted. A small mirror on loopback serves what a test needs."""

from __future__ import annotations

import errno
import http.server
import io
import shutil
import tarfile
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpucheck import datasets
from gpucheck.model import Failure

SIZE = 64  # bytes of a batch in these tests; the real size is checked by the real archive


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "BATCH_BYTES", SIZE)


def archive(path: Path, *, names: tuple[str, ...] = datasets.BATCHES, size: int = SIZE) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name in names:
            info = tarfile.TarInfo(f"{datasets.FOLDER}/{name}")
            info.size = size
            tar.addfile(info, io.BytesIO(bytes(size)))
    return path


class Mirror(http.server.BaseHTTPRequestHandler):
    content = b""
    break_after: int | None = None
    delay = 0.0
    refusal: int | None = None
    ranges: list[str | None]

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        type(self).ranges.append(wanted)
        if self.refusal:
            self.send_error(self.refusal)
            return
        time.sleep(self.delay)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        body = self.content[start:]
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if self.break_after is None else body[: self.break_after])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, type[Mirror]]]:
    whole = archive(tmp_path / "whole.tar.gz").read_bytes()
    handler = type("Handler", (Mirror,), {"content": whole, "ranges": []})
    monkeypatch.setattr(datasets, "OFFICIAL_SHA256", datasets.sha256(tmp_path / "whole.tar.gz"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/cifar-10-binary.tar.gz", handler
    server.shutdown()
    thread.join()
    server.server_close()


def test_auto_is_synthetic_until_the_cache_is_filled(tmp_path: Path, mirror: tuple[str, type[Mirror]]) -> None:
    assert datasets.find("auto", tmp_path).folder is None
    found = datasets.find(mirror[0], tmp_path)
    assert found.folder is not None
    assert datasets.find("auto", tmp_path) == found
    assert sorted(p.name for p in found.folder.iterdir()) == sorted(datasets.BATCHES)
    assert not list(tmp_path.glob("cifar10/*.gz*"))


def test_a_broken_download_goes_on_where_it_stopped(tmp_path: Path, mirror: tuple[str, type[Mirror]]) -> None:
    url, handler = mirror
    handler.break_after = 100
    with pytest.raises(Failure, match="broke off: 100 of"):
        datasets.find(url, tmp_path)
    handler.break_after = None
    assert datasets.find(url, tmp_path).folder is not None
    assert handler.ranges[-1] == "bytes=100-"


def test_other_bytes_are_refused_and_not_kept(tmp_path: Path, mirror: tuple[str, type[Mirror]]) -> None:
    mirror[1].content = b"not the archive"
    with pytest.raises(Failure, match="SHA-256") as failed:
        datasets.find(mirror[0], tmp_path)
    assert failed.value.exit_code == 1
    assert not list(tmp_path.glob("cifar10/cifar*"))


def test_two_downloads_at_once_are_one(tmp_path: Path, mirror: tuple[str, type[Mirror]]) -> None:
    mirror[1].delay = 0.3
    found: list[datasets.Dataset] = []
    threads = [threading.Thread(target=lambda: found.append(datasets.find(mirror[0], tmp_path))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [datasets.find("auto", tmp_path)] * 2
    assert len(mirror[1].ranges) == 1


def test_a_filled_cache_is_used_where_nothing_may_be_written(tmp_path: Path, mirror: tuple[str, type[Mirror]]) -> None:
    found = datasets.find(mirror[0], tmp_path)
    (tmp_path / "cifar10" / "lock").unlink(missing_ok=True)
    (tmp_path / "cifar10" / "lock").mkdir()
    assert datasets.find("download", tmp_path) == found


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_no_fault_of_the_archive(
    tmp_path: Path, mirror: tuple[str, type[Mirror]], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def full(*_: object) -> None:
        raise OSError(number, "full")

    with pytest.raises(OSError, match="full"):
        datasets.find(mirror[0], tmp_path, full)
    with pytest.raises(OSError, match="full"):
        datasets.download(mirror[0], tmp_path / "x", datasets.OFFICIAL_SHA256, full)
    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(OSError, match="full"):
        datasets.find(str(archive(tmp_path / "mine.tar.gz")), tmp_path / "cache")


def test_a_mirror_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="broke off") as failed:
        datasets.find("http://127.0.0.1:9/x.tar.gz", tmp_path)
    assert failed.value.exit_code == 1


def test_a_mirror_that_refuses_is_one_sentence(tmp_path: Path, mirror: tuple[str, type[Mirror]]) -> None:
    mirror[1].refusal = 403
    with pytest.raises(Failure, match="answered 403") as failed:
        datasets.find(mirror[0], tmp_path)
    assert failed.value.exit_code == 1


def test_a_local_archive_and_a_local_folder(tmp_path: Path) -> None:
    from_archive = datasets.find(str(archive(tmp_path / "mine.tar.gz")), tmp_path / "cache")
    assert from_archive.folder is not None
    assert "official" not in from_archive.source
    assert datasets.find(str(from_archive.folder), tmp_path / "cache").folder == from_archive.folder
    assert datasets.find(str(from_archive.folder.parent), tmp_path / "cache").folder == from_archive.folder


def test_a_torn_archive_leaves_nothing(tmp_path: Path) -> None:
    whole = archive(tmp_path / "torn.tar.gz")
    whole.write_bytes(whole.read_bytes()[:-20])
    with pytest.raises(Failure, match=r"not a whole archive|binary layout"):
        datasets.find(str(whole), tmp_path / "cache")
    assert not [p for p in tmp_path.glob("cache/**/*") if p.is_file() and p.name != "lock"]


def test_a_damaged_archive_is_one_sentence(tmp_path: Path) -> None:
    info = tarfile.TarInfo(datasets.BATCHES[0])
    info.size = 500_000
    packer = zlib.compressobj(wbits=31)  # gzip
    path = tmp_path / "damaged.tar.gz"
    start = packer.compress(info.tobuf() + bytes(info.size // 2)) + packer.flush(zlib.Z_FULL_FLUSH)
    path.write_bytes(start + b"\7")  # a block of a type that is none
    with pytest.raises(Failure, match=r"not a whole archive: .*invalid block type"):
        datasets.find(str(path), tmp_path / "cache")


def test_a_batch_of_the_wrong_size_is_named(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"data_batch_1.bin has 63 bytes, not 64"):
        datasets.find(str(archive(tmp_path / "short.tar.gz", size=SIZE - 1)), tmp_path / "cache")
    with pytest.raises(Failure, match=r"test_batch.bin is missing"):
        datasets.find(str(archive(tmp_path / "few.tar.gz", names=datasets.BATCHES[:-1])), tmp_path / "cache")


def test_an_archive_cannot_write_outside(tmp_path: Path) -> None:
    path = tmp_path / "evil.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name in datasets.BATCHES:
            link = tarfile.TarInfo(f"{datasets.FOLDER}/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(link)
        info = tarfile.TarInfo("../../outside.bin")
        tar.addfile(info, io.BytesIO())
    with pytest.raises(Failure, match="is missing"):
        datasets.find(str(path), tmp_path / "cache")
    assert not list(tmp_path.glob("**/outside.bin"))


def test_no_such_place(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="no data at"):
        datasets.find(str(tmp_path / "absent"), tmp_path)


@pytest.mark.parametrize("mode", ["w", "w:xz"])
def test_an_archive_of_another_kind_is_a_sentence(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "other.tar"
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        tar.addfile(tarfile.TarInfo("x"), io.BytesIO())
    with pytest.raises(Failure, match="not a whole archive: not a gzip file"):
        datasets.find(str(path), tmp_path / "cache")
