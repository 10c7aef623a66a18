"""What `read` cannot say of a file: its real name, its type, its device numbers. By coreutils, one process for many."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gpucheck.facts import DeviceNode, Library, Version
from gpucheck.host import NO_SUCH_COMMAND, CannotLook, Host

# Where the linker or a container runtime finds NVIDIA's libraries. In turn: Debian and Ubuntu, their multiarch for Arm,
# Red Hat and SUSE, Arch, WSL, images and GKE nodes, Colab, NixOS, Apptainer, the GPU Operator's driver container.
LIBRARY_FOLDERS = (
    "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/lib/wsl/lib",
    "/usr/local/nvidia/lib64", "/usr/local/nvidia/lib", "/usr/lib64-nvidia",
    "/run/opengl-driver/lib", "/.singularity.d/libs", "/run/nvidia/driver/usr/lib/x86_64-linux-gnu",
    "/run/nvidia/driver/usr/lib/aarch64-linux-gnu", "/run/nvidia/driver/usr/lib64",
)  # fmt: skip
STAT_FORMAT = "%f %t %T %a %G %n"  # raw mode, major and minor in hexadecimal; mode in octal; group; name
OS_ERROR = re.compile(r" \(os error [0-9]{1,9}\)$")  # what uutils' stat says behind GNU's words
NOT_THERE = (": No such file or directory", ": Not a directory", ": Too many levels of symbolic links")


def libraries(host: Host, sonames: Sequence[str], folders: Sequence[str] = LIBRARY_FOLDERS) -> tuple[Library, ...]:
    """Those of `sonames` that are in `folders`, each real file once."""
    return real(host, [f"{folder}/{soname}" for folder in folders for soname in sonames])


def real(host: Host, paths: Iterable[str]) -> tuple[Library, ...]:
    """The real files of those `paths` that this user can see, in their order, each once.

    stat says which these are: uutils' readlink, Ubuntu's since 25.10, stops at the first that is not there.
    """
    there = [path for path, entry in present(host, paths).items() if entry]
    if not there:
        return ()
    result = host.run(("readlink", "-e", *there))
    if result.code == NO_SUCH_COMMAND or result.err:
        raise CannotLook(f"readlink -e does not work here: {result.err.strip().partition(chr(10))[0][:200]}")
    if len(result.out.splitlines()) < len(there):
        raise CannotLook(f"stat found {len(there)} files, and readlink told of {len(result.out.splitlines())}")
    return parse_libraries(result.out)


def parse_libraries(text: str) -> tuple[Library, ...]:
    """Real paths, one a line. Raises CannotLook where a line is none."""
    if strange := next((line for line in text.splitlines() if not line.startswith("/")), None):
        raise CannotLook(f"what readlink says cannot be read: {strange[:80]}")
    return tuple(Library(path=path, version=library_version(path)) for path in dict.fromkeys(text.splitlines()))


def library_version(path: str) -> Version | None:
    """libcuda.so.570.124.06 -> 570.124.06. None for an interface's number: libcudnn.so.9, WSL's libcuda.so.1.1."""
    number = re.search(r"\.so\.([0-9]{1,9}(?:\.[0-9]{1,9})+)$", path)
    return Version(number[1]) if number and not number[1].startswith("1.") else None


class Entry(NamedTuple):
    mode: int  # st_mode: type and permissions
    device: DeviceNode | None  # the numbers of a character device


def present(host: Host, paths: Iterable[str]) -> dict[str, Entry | None]:
    """Those of `paths` that are there, links followed. None = it may be: this user is not let near it."""
    asked = tuple(dict.fromkeys(paths))
    if not asked:
        return {}
    result = host.run(("stat", "-L", "-c", STAT_FORMAT, *asked))
    if result.code == NO_SUCH_COMMAND:
        raise CannotLook("there is no stat command here")
    found = parse_stat(result.out)
    # Each path is told, on one stream or the other.
    untold = next((path for path in asked if path not in found and path not in result.err), None)
    if untold:
        raise CannotLook(f"stat said nothing of {untold}")
    unseen = [line for line in result.err.splitlines() if not OS_ERROR.sub("", line).endswith(NOT_THERE)]
    hidden = (path for path in asked if any(f"'{path}'" in line for line in unseen))
    return {**dict.fromkeys(hidden), **found}


def parse_stat(text: str) -> dict[str, Entry]:
    """Lines of STAT_FORMAT. Raises CannotLook where one is another."""
    found = {}
    for line in text.splitlines():
        try:
            raw, major, minor, mode, group, path = line.split(" ", 5)
            device = DeviceNode(path=path, major=int(major, 16), minor=int(minor, 16), mode=mode, group=group)
            found[path] = Entry(int(raw, 16), device if stat.S_ISCHR(int(raw, 16)) else None)
            int(mode, 8)
        except (ValueError, OverflowError) as error:  # a mode of more digits than C has
            raise CannotLook(f"what stat says cannot be read: {line[:80]}") from error
    return found
