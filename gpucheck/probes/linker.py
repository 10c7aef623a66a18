"""Which libcuda.so.1 a program loads, and which libraries of CUDA are in the dynamic linker's reach. None is loaded."""

from __future__ import annotations

import re

from gpucheck.facts import Linker
from gpucheck.host import NO_SUCH_COMMAND, Host
from gpucheck.probes import files, system

CACHE = ("/sbin/ldconfig", "-p")  # not on every user's PATH
LIST_FILE = "/etc/ld.so.cache"  # which the loader reads itself, ldconfig or not
NAMES = ("cuda", "cudart", "cublas", "cudnn", "cufft", "cusolver", "cusparse", "nvJitLink")
SONAME = rf"lib(?:{'|'.join(NAMES)})\.so\.\d[\d.]*"
CACHED = re.compile(rf"^\s+({SONAME}) \(libc6,([^)]*)\) => (/\S+)$")
HEAD = re.compile(r"\d+ libs found")
# Of the folders given, in their order: only files of these names are told of.
LIST = "for d; do for f in " + " ".join(f'"$d"/lib{name}.so.[0-9]*' for name in NAMES)
LIST += '; do [ -e "$f" ] && echo "$f"; done; done; exit 0'
MOST_FOLDERS = 20


def probe(host: Host) -> Linker:
    value = system.environment(host).get("LD_LIBRARY_PATH", "")
    path = tuple(dict.fromkeys(folder.rstrip("/") or "/" for folder in value.split(":") if folder.startswith("/")))
    named = host.run(("sh", "-c", LIST, "sh", *path[:MOST_FOLDERS])).out.splitlines() if path else []
    cache = host.run(CACHE)
    error = None
    if cache.code == NO_SUCH_COMMAND:
        error = "there is no /sbin/ldconfig here"
    elif cache.code != 0:
        error = f"ldconfig -p failed (exit code {cache.code})"
    elif not HEAD.match(cache.out):
        error = "ldconfig -p said nothing that is known"
    cached = [] if error else parse_cache(cache.out)
    links = [file for file in (*named, *(file for _, file in cached)) if file.endswith("/libcuda.so.1")]
    sonames = {file.rpartition("/")[2] for file in named if re.fullmatch(SONAME, file.rpartition("/")[2])}
    sonames |= {soname for soname, _ in cached}
    return Linker(
        path=path,
        libcuda=files.real(host, links),
        cuda=tuple(sorted(sonames - {"libcuda.so.1"})),
        cache_error=error,
        cache=error is None or bool(files.present(host, [LIST_FILE])),
    )


def parse_cache(text: str) -> list[tuple[str, str]]:
    """(soname, file) of CUDA's 64-bit libraries in `ldconfig -p`, the preferred first. 32-bit ones say "(libc6)"."""
    rows = (CACHED.match(line) for line in text.splitlines())
    return [(row[1], row[3]) for row in rows if row and re.match(r"x86-64|AArch64", row[2])]


def kept(text: str) -> str:
    """The lines of `ldconfig -p` that parse_cache() reads."""
    return "".join(f"{line}\n" for line in text.splitlines() if CACHED.match(line) or HEAD.match(line))
