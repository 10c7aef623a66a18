from collections.abc import Callable
from typing import Any

from gpucheck.probes import cudnn
from tests.probes.real_files import answers

Machine = Callable[..., Any]

ASKED = [f"{folder}/{name}" for folder in cudnn.FOLDERS for name in ("libcudnn.so.9", "libcudnn.so.8")]
HEADER = "/* cuDNN */\n#define CUDNN_MAJOR 8\n#define CUDNN_MINOR 9\n#define CUDNN_PATCHLEVEL 7\n"


def found(machine: Machine, real: dict[str, str], files: dict[str, str] | None = None) -> list[tuple[str, str | None]]:
    libraries = cudnn.probe(machine(files, answers(ASKED, real))).libraries
    return [(library.path, str(library.version) if library.version else None) for library in libraries]


def test_the_version_is_in_the_files_name(machine: Machine) -> None:
    link = "/usr/lib/x86_64-linux-gnu/libcudnn.so.9"
    assert found(machine, {link: f"{link}.1.0"}) == [(f"{link}.1.0", "9.1.0")]


def test_else_it_is_in_the_header_of_the_same_major_version(machine: Machine) -> None:
    nine, eight = "/usr/local/cuda/lib64/libcudnn.so.9", "/usr/local/cuda/lib64/libcudnn.so.8"
    files = {"/usr/local/cuda/include/cudnn_version.h": HEADER}
    assert found(machine, {nine: nine, eight: eight}, files) == [(nine, None), (eight, "8.9.7")]


def test_none(machine: Machine) -> None:
    assert found(machine, {}) == []


def test_a_torn_header() -> None:
    assert cudnn.parse_header(HEADER[:60]) is None
