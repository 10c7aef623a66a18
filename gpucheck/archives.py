"""What goes into a container and what comes out of one, as tar archives."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import IO

from gpucheck.model import Failure

USER = 1000  # the image's: what goes in is its own
MOST = 4 * 2**30  # bytes that may come out


def pack(archive: IO[bytes], files: Mapping[str, Path], folders: Iterable[str]) -> None:
    """Write a tar of `files` (path in the container: file or folder here) and of empty `folders`, and rewind it.

    A symbolic link goes in as what it points to.
    """

    def owned(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = USER
        member.uname = member.gname = ""
        return member

    with tarfile.open(fileobj=archive, mode="w", dereference=True) as tar:
        for folder in folders:
            member = tarfile.TarInfo(folder.strip("/"))
            member.type, member.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(owned(member))
        for target, source in files.items():
            tar.add(source, target.strip("/"), filter=owned)
    archive.seek(0)


def unpack(chunks: Iterable[bytes], folder: Path) -> None:
    """Write the content of an archived folder to `folder`, beside what is there. Raises Failure above MOST bytes.

    Only plain files and folders, none outside of `folder`, and none over what was there: what a container made is not
    to be trusted. Not tarfile's filter="data": Python 3.11.0 to 3.11.3 do not have it, and Debian 12 ships 3.11.2.
    """
    with tempfile.TemporaryFile() as archive:
        for chunk in chunks:
            archive.write(chunk)
            if archive.tell() > MOST:
                raise Failure("the run left more than 4 GiB of output", "run fewer epochs", 1)
        archive.seek(0)
        with tarfile.open(fileobj=archive) as tar:
            for member in tar:
                parts = PurePosixPath(member.name).parts[1:]  # the first is the archived folder's own name
                if ".." in parts or not (member.isdir() or member.isfile()):
                    continue
                target = folder.joinpath(*parts)
                with suppress(FileExistsError, NotADirectoryError):
                    if member.isdir():
                        target.mkdir(parents=True, exist_ok=True)
                    elif content := tar.extractfile(member):
                        target.parent.mkdir(parents=True, exist_ok=True)
                        with target.open("xb") as file:
                            shutil.copyfileobj(content, file)
