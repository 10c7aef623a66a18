"""CIFAR-10 for the verification: from a folder, an archive, the cache or a mirror; never a pickle, never unasked."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import http.client
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gpucheck.model import Failure

# https://www.cs.toronto.edu/~kriz/cifar.html gives the archive and its MD5; this is the SHA-256 of the same bytes.
OFFICIAL_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
OFFICIAL_SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
FOLDER = "cifar-10-batches-bin"
BATCHES = (*(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin")
BATCH_BYTES = 10_000 * (1 + 3 * 32 * 32)
SILENCE = 30.0  # seconds without a byte before a mirror is given up
FULL = {errno.ENOSPC, errno.EDQUOT}  # no fault of the data or the network: the command line has a tip for it

Progress = Callable[[int, int | None], None]  # bytes so far, bytes in all


@dataclass(frozen=True, kw_only=True, slots=True)
class Dataset:
    folder: Path | None  # holds BATCHES; None = the payload's synthetic set
    source: str  # in words, for the report


SYNTHETIC = Dataset(folder=None, source="a synthetic set of CIFAR-10's shape")


def find(wanted: str, cache: Path, progress: Progress = lambda _done, _all: None) -> Dataset:
    """What `--data` names: auto, synthetic, download, a folder, an archive or a mirror's URL.

    auto is the cache where it is filled, else the synthetic set: a verification never waits for a download unasked.
    Raises Failure, and OSError where the cache cannot be written.
    """
    if wanted == "synthetic":
        return SYNTHETIC
    cached = cache / "cifar10" / FOLDER
    if wanted == "auto":
        return Dataset(folder=cached, source="CIFAR-10, the official archive") if _whole(cached) else SYNTHETIC
    if wanted == "download" or wanted.startswith(("http://", "https://")):
        if not _whole(cached):
            progress(0, None)
            _fill(cached, lambda: fetch(OFFICIAL_URL if wanted == "download" else wanted, cached, progress))
        return Dataset(folder=cached, source="CIFAR-10, the official archive")
    path = Path(wanted).expanduser()
    if path.is_dir():
        folder = path if (path / BATCHES[-1]).exists() else path / FOLDER
        _check(folder)
        return Dataset(folder=folder, source=f"CIFAR-10 from {path}")
    if path.is_file():
        digest = sha256(path)
        folder = cache / "cifar10" / digest[:16] / FOLDER
        if not _whole(folder):
            _fill(folder, lambda: extract(path, folder))
        official = " (the official archive)" if digest == OFFICIAL_SHA256 else ""
        return Dataset(folder=folder, source=f"CIFAR-10 from {path}{official}")
    raise Failure(f"there is no data at {wanted}", "give a folder or an archive, or `--data synthetic`")


def fetch(url: str, folder: Path, progress: Progress) -> None:
    """The official archive from `url`, extracted to `folder`. Raises Failure, or OSError of FULL."""
    archive = folder.with_name("cifar-10-binary.tar.gz")
    download(url, archive, OFFICIAL_SHA256, progress)
    extract(archive, folder)
    archive.unlink()


def download(url: str, to: Path, digest: str, progress: Progress) -> None:
    """Fetch `url` to `to`, going on from what an earlier try left in `to`.part. Raises Failure, or OSError of FULL."""
    part = to.with_name(to.name + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=SILENCE) as reply:  # noqa: S310 - http(s) only, see find()
            resumed = reply.status == http.HTTPStatus.PARTIAL_CONTENT
            have = have if resumed else 0
            length = reply.headers.get("Content-Length")
            whole = have + int(length) if length else None
            with part.open("ab" if resumed else "wb") as file:
                while chunk := reply.read(1 << 18):
                    have += file.write(chunk)
                    progress(have, whole)
            if whole is not None and have < whole:
                raise ConnectionError(f"{have} of {whole} bytes came")
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            sentence = f"{url} answered {error.code} {error.reason}"
            raise Failure(sentence, "give another mirror: `--data URL`", 1) from error
    except (OSError, http.client.HTTPException) as error:
        if getattr(error, "errno", None) in FULL:
            raise
        sentence = f"the download of {url} broke off: {getattr(error, 'reason', error)}"
        raise Failure(sentence, "the same command goes on from there", 1) from error
    if sha256(part) != digest:
        part.unlink()
        raise Failure(f"what {url} sent is not the official archive (SHA-256 differs)", "try another mirror", 1)
    part.replace(to)


def extract(archive: Path, folder: Path) -> None:
    """Only the six files that are wanted, by their names and exact sizes; all of them or none.

    Raises Failure, or OSError of FULL.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        fresh = Path(temporary) / FOLDER
        fresh.mkdir()
        try:
            with tarfile.open(archive, "r:gz") as tar:
                for member in tar:
                    name = Path(member.name).name
                    source = tar.extractfile(member) if name in BATCHES and member.isreg() else None
                    if source is not None:
                        with (fresh / name).open("wb") as file:
                            shutil.copyfileobj(source, file)
        except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
            if getattr(error, "errno", None) in FULL:
                raise
            raise Failure(f"{archive} is not a whole archive: {error}", "fetch it again: `--data download`") from error
        _check(fresh, called=archive)
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fill(folder: Path, how: Callable[[], None]) -> None:
    """One process at a time; the others wait and then find it filled."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not _whole(folder):
            how()


def _whole(folder: Path) -> bool:
    return all((folder / name).is_file() and (folder / name).stat().st_size == BATCH_BYTES for name in BATCHES)


def _check(folder: Path, called: Path | None = None) -> None:
    for name in BATCHES:
        size = (folder / name).stat().st_size if (folder / name).is_file() else None
        if size != BATCH_BYTES:
            found = "is missing" if size is None else f"has {size} bytes, not {BATCH_BYTES}"
            raise Failure(
                f"{called or folder} is not CIFAR-10's binary layout: {name} {found}", "see `--data` in --help"
            )
