"""What DKMS left of a build that failed. A build that succeeds takes its log out of `build/` (dkms, do_build)."""

from __future__ import annotations

import re

from gpucheck.facts import Dkms, FailedBuild
from gpucheck.host import Host

TREE = "/var/lib/dkms"
# "nvidia" of NVIDIA's and Ubuntu's packages, the others of Debian's; not nvidia-fs or nvidia-peermem.
MODULE = re.compile(r"nvidia(?:-open|-current|-current-open|-(?:legacy|tesla)-[\w-]+)?")
VERSION = re.compile(r"\d[\w.+~-]{0,60}")
# "DKMS make.log for nvidia-550.54 for kernel 6.1.0-28-amd64 (x86_64)"; newer ones "DKMS (dkms-3.2.0) make.log for ...".
HEADER = re.compile(r"^DKMS .{0,40}make\.log for \S{1,100} for kernel (\S{1,100})", re.MULTILINE)
# The first cause, not what follows from it: compilers and the shell name it, make only says that something failed.
CAUSES = (
    re.compile(r"^(?>/\S*/)?+(\S{1,100}?):(?:\d{1,7}:)*\s(?:fatal )?(error: .{1,200})$", re.MULTILINE),
    re.compile(r"^(?>/\S*/)?+(\S{1,60}:\s.{0,100}(?:not found|No such file or directory))$", re.MULTILINE),
    re.compile(r"^(make(?:\[\d{1,2}\])?: \*\*\* .{1,200})$", re.MULTILINE),
)
LONGEST_LINE = 500  # a compiler's command line is longer, and is none of ours


def probe(host: Host) -> Dkms:
    failed = []
    for module in kept_modules(host.read(TREE) or "").splitlines():
        for version in kept_versions(host.read(f"{TREE}/{module}") or "").splitlines():
            log = host.read(f"{TREE}/{module}/{version}/build/make.log")
            if log is not None:
                kernel, error = parse(log)
                failed.append(FailedBuild(module=f"{module}/{version}", kernel=kernel, error=error))
    return Dkms(failed=tuple(failed))


def kept_modules(names: str) -> str:
    return "".join(f"{name}\n" for name in names.splitlines() if MODULE.fullmatch(name))


def kept_versions(names: str) -> str:
    """Not links: "kernel-6.1.0-28-amd64-x86_64"."""
    return "".join(f"{name}\n" for name in names.splitlines() if VERSION.fullmatch(name))


def parse(log: str) -> tuple[str, str | None]:
    """(kernel, the first error). Where the log is torn the kernel is ""."""
    text = "\n".join(line for line in log.splitlines() if len(line) <= LONGEST_LINE)
    header = HEADER.search(text)
    for pattern in CAUSES:
        if found := pattern.search(text):
            return (header[1] if header else ""), ": ".join(found.groups())
    return (header[1] if header else ""), None


def kept(log: str) -> str:
    """What parse() reads of which lines: no folder."""
    text = "\n".join(line for line in log.splitlines() if len(line) <= LONGEST_LINE)
    header, cause = HEADER.search(text), next(filter(None, (pattern.search(text) for pattern in CAUSES)), None)
    found = [header[0]] if header else []
    return "".join(f"{line}\n" for line in (*found, *([text[cause.start(1) : cause.end()]] if cause else [])))
