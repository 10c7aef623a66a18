"""The programs beside the images' Dockerfile, without an engine: the lock's parts, the layers' bytecode, the health."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from gpucheck.recipes import IMAGES

LOCKS = sorted((IMAGES / "locks").glob("*.txt"))
# A driver that answers as its environment says.
LIBCUDA = """
#include <stdlib.h>
static int told(const char *name) { const char *value = getenv(name); return value ? atoi(value) : 0; }
int cuInit(unsigned flags) { return flags ? 1 : told("CU_INIT"); }
int cuDeviceGetCount(int *count) { *count = told("CU_COUNT"); return told("CU_COUNT_ERROR"); }
int cuGetErrorName(int code, const char **name) {
    *name = code == 2 ? "CUDA_ERROR_OUT_OF_MEMORY" : 0;
    return *name ? 0 : 1;
}
"""


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, IMAGES / "wheels" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a libcuda.so.1."""
    if not shutil.which("cc"):
        pytest.fail("the test needs a C compiler: cc")
    folder = tmp_path_factory.mktemp("driver")
    (folder / "cuda.c").write_text(LIBCUDA)
    library = folder / "libcuda.so.1"
    subprocess.run(["cc", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o", library, folder / "cuda.c"], check=True)
    return folder


def health(folder: Path, **told: int) -> tuple[int, str]:
    environment = {"LD_LIBRARY_PATH": str(folder), **{name: str(value) for name, value in told.items()}}
    done = subprocess.run([sys.executable, "-I", IMAGES / "wheels" / "health.py"], env=environment, text=True,
                          capture_output=True, check=False)  # fmt: skip
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1
    return done.returncode, done.stdout.strip()


@pytest.mark.parametrize(
    ("told", "code", "sentence"),
    [
        ({"CU_COUNT": 1}, 0, "1 GPU answered"),
        ({"CU_COUNT": 8}, 0, "8 GPUs answered"),
        ({"CU_COUNT": 0}, 1, "the driver is there and counts 0 GPUs"),
        ({"CU_INIT": 100}, 1, "cuInit gave 100: the driver is there and shows no GPU"),
        ({"CU_INIT": 803}, 1, "cuInit gave 803: libcuda and the host's kernel driver are of different versions"),
        ({"CU_INIT": 34}, 1, "cuInit gave 34: libcuda is the toolkit's stub"),
        ({"CU_INIT": 999}, 1, "cuInit gave 999: the driver failed for a reason that it does not name"),
        ({"CU_INIT": 2}, 1, "cuInit gave 2: CUDA_ERROR_OUT_OF_MEMORY"),
        ({"CU_INIT": 4711}, 1, "cuInit gave 4711: an error that the driver has no name for"),
        ({"CU_COUNT_ERROR": 999}, 1, "cuDeviceGetCount gave 999: the driver failed"),
    ],
)
def test_the_health_is_what_libcuda_says(driver: Path, told: dict[str, int], code: int, sentence: str) -> None:
    found, words = health(driver, **told)
    assert (found, words[: len(sentence)]) == (code, sentence)


def test_no_libcuda_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "libcuda.so.1").write_bytes(b"")  # also on a machine that has a driver
    code, words = health(tmp_path)
    assert code == 1
    assert words.startswith("no driver in this container: it was started without GPUs")


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_each_requirement_is_in_one_part_at_most_and_unchanged(lock: Path) -> None:
    split, text = script("split"), lock.read_text()
    nvidia, framework = split.part(split.NVIDIA, text), split.part(split.FRAMEWORK, text)
    names = {part: set(re.findall(r"^([a-z0-9-]+)==", part, re.MULTILINE)) for part in (nvidia, framework)}
    assert not names[nvidia] & names[framework]
    assert {name for name in re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE) if name.startswith("nvidia-")} <= names[
        nvidia
    ]
    assert bool(names[nvidia]) == ("-cuda" in lock.stem)
    assert names[framework], "the framework's own wheel is in no part: name it in split.py"
    whole = split.requirements(text)
    assert all(row in whole for part in (nvidia, framework) for row in split.requirements(part))


def test_a_part_keeps_markers_hashes_and_options() -> None:
    split = script("split")
    lock = (
        "--extra-index-url https://there\n# a comment\ntorch==1 ; sys_platform == 'linux' \\\n    --hash=sha256:aa \\\n"
        "    --hash=sha256:bb\n    # via x\nnumpy==2 --hash=sha256:cc\n\ntriton==3 --hash=sha256:dd\n"
    )
    assert split.part(split.FRAMEWORK, lock) == (
        "--extra-index-url https://there\n"
        "torch==1 ; sys_platform == 'linux' \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
    )
    assert split.part(split.NVIDIA, lock) == "--extra-index-url https://there\ntriton==3 --hash=sha256:dd\n"
    assert split.part(split.NVIDIA, "numpy==2 --hash=sha256:cc\n") == ""
    assert split.part(split.NVIDIA, "") == ""


def test_bytecode_names_no_time_and_is_made_once(tmp_path: Path) -> None:
    layer = script("layer")
    source = tmp_path / "one.py"
    source.write_text("x = {'a', 'b', 'c'}\n")
    layer.compile_once(source)
    bytecode = Path(importlib.util.cache_from_source(str(source)))
    first = bytecode.read_bytes()
    assert first[4:8] == b"\1\0\0\0"
    os.utime(bytecode, (1, 1))
    layer.compile_once(source)
    assert bytecode.stat().st_mtime == 1  # a layer does not copy another's
    bytecode.write_bytes(first[:4] + b"\0\0\0\0" + first[8:])  # as pip and ensurepip make it
    layer.compile_once(source)
    assert bytecode.read_bytes() == first
    (tmp_path / "two.py").write_text("print 'of Python 2'\n")
    layer.compile_once(tmp_path / "two.py")
    assert not Path(importlib.util.cache_from_source(str(tmp_path / "two.py"))).exists()
