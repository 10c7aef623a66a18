"""TensorFlow, PyTorch, JAX, Keras and NVIDIA's wheels, as the user's python3 would find them. None is imported."""

from __future__ import annotations

import re
from collections.abc import Mapping

from gpucheck.facts import Frameworks, Package, Version, Wanted
from gpucheck.host import NO_SUCH_COMMAND, CannotLook, Host

NAMES = "tensorflow([-_][cg]pu)?|tf[-_]nightly|torch|jax|jaxlib|jax[-_]cuda[0-9]+[-_]plugin|keras|nvidia[-_].+"
# Those that are built for CUDA; their metadata names the wheels of NVIDIA that they were built with.
BUILDS = re.compile(r"tensorflow|tf-nightly|torch|jaxlib|jax-cuda\d+-plugin")
TOOL = re.compile(r"[A-Za-z][\w. -]{0,40}\s*", re.ASCII)  # in INSTALLER: pip, uv, conda, "Poetry 2.1.0"
HEAD, NAMED = re.compile(r"(Name|Version): \S.{0,200}"), {"Name", "Version"}  # what no METADATA is without
WANTED = re.compile(
    r"Requires-Dist: (nvidia[-_][\w-]{1,60})(?:\[[\w,-]{0,60}\])? ?\(?([^;()]{0,120})\)?(?: ?;(.{0,400}))?"
)
ELSEWHERE = re.compile(r"win32|windows|darwin", re.IGNORECASE)  # in the condition of a requirement
# The names are in the command, so that it tells of no other package.
SCRIPT = rf"""import os, re, sys
print(sys.executable)
for path in filter(os.path.isdir, sys.path):
    for name in sorted(os.listdir(path)):
        if re.match(r"(?i)({NAMES})-[^-]+(-py[0-9.]+)?\.(dist|egg)-info$", name):
            print(os.path.join(path, name))
"""
COMMAND = ("python3", "-c", SCRIPT)


def probe(host: Host) -> Frameworks:
    result = host.run(COMMAND, timeout=10.0)
    if result.code == NO_SUCH_COMMAND:
        return Frameworks(python=None, packages=())
    python, *folders = result.out.splitlines() or [""]
    if result.code != 0 or not python:
        said = (result.err.strip() or "it said nothing").splitlines()[-1]
        raise CannotLook(f"python3 failed (exit code {result.code}): {said.rstrip('.')}")
    found: dict[str, Package] = {}
    for folder in folders:  # in the order of sys.path: the first of a name is the one that is imported
        name, version, path = parse_folder(folder)
        if name not in found and re.match(r"\D{0,2}\d", version):  # "unknown" is what broken metadata has
            found[name] = _package(host, name, version, path, folder)
    return Frameworks(python=python, packages=tuple(found[name] for name in sorted(found)))


def parse_folder(folder: str) -> tuple[str, str, str]:
    """site-packages/torch-2.9.1+cu126.dist-info -> (torch, 2.9.1+cu126, site-packages)."""
    path, _, stem = folder.rpartition("/")
    name, _, version = re.sub(r"(-py[0-9.]+)?\.(dist|egg)-info$", "", stem).rpartition("-")
    return re.sub(r"[-_.]+", "-", name).lower(), version, path


def _package(host: Host, name: str, version: str, path: str, folder: str) -> Package:
    cuda, cpu_only = parse_local(version)
    if cuda is None and cpu_only is None and name == "torch":
        cuda, cpu_only = parse_torch_version(host.read(f"{path}/torch/version.py") or "")
    if name in ("tensorflow", "tensorflow-gpu", "tf-nightly"):
        cuda, cpu_only = parse_build_info(host.read(f"{path}/tensorflow/python/platform/build_info.py") or "")
    if name == "tensorflow-cpu":
        cpu_only = True
    suffix = re.search(r"-cu(?:da)?(1\d)(?:-plugin)?$", name)  # nvidia-cudnn-cu12, jax-cuda12-plugin
    if suffix:
        cuda = Version(suffix[1])
    wheel, wants = True, tuple[Wanted, ...]()
    if BUILDS.fullmatch(name) and not cpu_only:
        # What conda or a distribution built has CUDA from packages of theirs, which no metadata names.
        installer = host.read(f"{folder}/INSTALLER")
        if installer is not None and not TOOL.fullmatch(installer):
            raise CannotLook(f"{folder}/INSTALLER names no installer")
        wheel = installer is not None and installer.strip() != "conda"
        metadata = host.read(f"{folder}/METADATA") if wheel else None
        if metadata is not None and {row[1] for row in map(HEAD.fullmatch, metadata.splitlines()) if row} != NAMED:
            raise CannotLook(f"{folder}/METADATA is no metadata of a package")
        wants = parse_wanted(metadata or "")
    return Package(
        name=name, version=Version(version), path=path, cuda=cuda, cpu_only=cpu_only, wants=wants, wheel=wheel
    )


def parse_wanted(metadata: str) -> tuple[Wanted, ...]:
    """NVIDIA's wheels in METADATA: Requires-Dist: nvidia-cudnn-cu12<10.0,>=9.3.0.75; extra == "and-cuda"."""
    wanted = {}
    for row in filter(None, map(WANTED.fullmatch, metadata.splitlines())):
        if not ELSEWHERE.search(row[3] or ""):
            wanted[re.sub(r"[-_.]+", "-", row[1]).lower()] = "".join(row[2].split())
    return tuple(Wanted(name=name, versions=versions) for name, versions in wanted.items())


def kept(metadata: str) -> str:
    """The lines of METADATA that are read here."""
    return "".join(f"{line}\n" for line in metadata.splitlines() if WANTED.fullmatch(line) or HEAD.fullmatch(line))


def parse_local(version: str) -> tuple[Version | None, bool | None]:
    """(CUDA, CPU only) of a version's local part: 2.9.1+cu126, 2.9.1+cpu, 0.4.7+cuda12.cudnn88."""
    local = version.partition("+")[2]
    number = re.match(r"cu(?:da)?(\d\d)(\d?)", local)
    if number:
        return Version(f"{number[1]}.{number[2]}" if number[2] else number[1]), False
    return None, True if local.startswith("cpu") else None


def parse_torch_version(text: str) -> tuple[Version | None, bool | None]:
    """torch/version.py: cuda: Optional[str] = '12.8', or None in a build without CUDA."""
    value = re.search(r"^cuda\b[^=\n]*=\s*(None|'([\d.]+)'|\"([\d.]+)\")", text, re.MULTILINE)
    if value is None:
        return None, None
    number = value[2] or value[3]
    return (Version(number), False) if number else (None, True)


def parse_build_info(text: str) -> tuple[Version | None, bool | None]:
    """TensorFlow's build_info.py, a dict in 2.3 and an OrderedDict of pairs since. From 2.22 on it no longer says."""
    pairs: Mapping[str, str] = dict(re.findall(r"""['"](\w+)['"][,:]\s*['"]?([\w.]+)\b""", text))
    cuda = re.fullmatch(r"\d+(\.\d+)*", pairs.get("cuda_version", ""))
    return Version(cuda[0]) if cuda else None, {"True": False, "False": True}.get(pairs.get("is_cuda_build", ""))
