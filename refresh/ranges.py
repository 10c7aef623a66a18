"""A file on a web server as a seekable file: only what is read is fetched, by HTTP range requests."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import requests

from gpucheck.model import Failure

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

TAIL = 1 << 16  # a wheel's directory mostly lies in its last 64 KiB
FIRST, MOST = 1 << 17, 1 << 23  # bytes read ahead: doubled as long as reading goes straight on
SECONDS = 60


class Remote(io.RawIOBase):
    """Raises Failure where the server does not answer with ranges."""

    def __init__(self, url: str, session: requests.Session) -> None:
        self.url = url
        self.session = session
        self.position = self.fetched = 0
        self.ahead = FIRST
        self.start, self.block = 0, b""
        self.start, self.block, self.size = self._fetch(f"bytes=-{TAIL}")

    def _fetch(self, span: str) -> tuple[int, bytes, int]:
        """Where the answer begins, its bytes, and the size of the whole file."""
        host = urlsplit(self.url).hostname
        try:
            with self.session.get(
                self.url, headers={"Range": span, "Accept-Encoding": "identity"}, stream=True, timeout=SECONDS
            ) as answer:
                answer.raise_for_status()
                told = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", answer.headers.get("Content-Range", ""))
                if answer.status_code != 206 or not told:
                    raise Failure(
                        f"{host} serves no parts of files (it answered {answer.status_code} to a range request)",
                        "name an index whose files come from a server that does range requests: PIP_INDEX_URL", 1,
                    )  # fmt: skip
                data = answer.content
        except requests.RequestException as error:
            raise unreached(self.url, error) from error
        self.fetched += len(data)
        return int(told[1]), data, int(told[2])

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self.size}[whence]
        return self.position

    def readinto(self, into: WriteableBuffer) -> int:
        view = memoryview(into).cast("B")
        if self.position >= self.size or not view:
            return 0
        end = self.start + len(self.block)
        if not self.start <= self.position < end:
            self.ahead = min(self.ahead * 2, MOST) if self.position == end else FIRST
            last = min(self.position + self.ahead, self.size) - 1
            self.start, self.block, _ = self._fetch(f"bytes={self.position}-{last}")
        offset = self.position - self.start
        part = self.block[offset : offset + len(view)]
        view[: len(part)] = part
        self.position += len(part)
        return len(part)


def wheel(url: str, session: requests.Session) -> zipfile.ZipFile:
    """A wheel on a server or, by a file: address, on this machine. Raises Failure where it is not one."""
    try:
        if url.startswith("file:"):
            return zipfile.ZipFile(Path(unquote(urlsplit(url).path)))
        return zipfile.ZipFile(io.BufferedReader(Remote(url, session), 1 << 16))
    except (OSError, zipfile.BadZipFile) as error:
        name = urlsplit(url).path.rpartition("/")[2]  # the address may hold a password
        raise Failure(f"{name} is no wheel: {error}", "look at what the index serves", 1) from error


def unreached(url: str, error: Exception) -> Failure:
    answer = getattr(error, "response", None)
    deepest: BaseException = error
    while below := deepest.__cause__ or deepest.__context__:
        deepest = below
    why = (
        f"it answered {answer.status_code}"
        if answer is not None
        else getattr(deepest, "strerror", None) or str(deepest)
    )
    return Failure(
        f"{urlsplit(url).hostname} was not reached: {why}",
        "pip's settings are honoured: PIP_INDEX_URL, HTTPS_PROXY, PIP_CERT", 1,
    )  # fmt: skip


def length(wheel: zipfile.ZipFile) -> int:
    """Bytes of the wheel itself."""
    assert wheel.fp
    return wheel.fp.seek(0, io.SEEK_END)
