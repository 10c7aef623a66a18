"""Fixtures that more than one folder of tests uses."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from gpucheck import environments, recipes
from gpucheck.cli import app
from gpucheck.cli.verify import cache_folder
from gpucheck.host import CannotLook, Result


def pytest_configure() -> None:
    """A shell's background job ignores SIGINT, and so would the programs that the tests interrupt."""
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


# --- fake NVML: a libnvidia-ml.so.1 that the real nvidia-ml-py loads (tests/fakenvml/fakenvml.c) ---

FAKENVML = Path(__file__).parent / "fakenvml"


@pytest.fixture(scope="session")
def fakenvml_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a freshly built libnvidia-ml.so.1 and of the bindings.h it was built with."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler (cc), so nothing was asked of a fake NVML")
    folder = tmp_path_factory.mktemp("fakenvml")
    built = subprocess.run([sys.executable, str(FAKENVML / "build.py"), str(folder)], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return folder


def flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """A TOML table as the fake's keys and values: tables joined by points, list items by spaces."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, " ".join(map(str, value)) if isinstance(value, list) else str(value)


@pytest.fixture
def fake_nvml(
    fakenvml_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, Mapping[str, object]], None]:
    """A function (profile, changes) that puts children of this process on a machine of tests/fakenvml/profiles.

    Called again, it changes that machine, also under a child that is asking it.
    """

    def use(profile: str, changes: Mapping[str, object]) -> None:
        table = tomllib.loads((FAKENVML / "profiles" / f"{profile}.toml").read_text())
        values = {**dict(flat(table)), **{key: str(value) for key, value in changes.items()}}
        path = tmp_path / "fakenvml-profile"
        new = path.with_suffix(".new")
        new.write_text("".join(f"{key}={value}\n" for key, value in values.items()))
        new.replace(path)
        monkeypatch.setenv("FAKE_NVML_PROFILE", str(path))
        monkeypatch.setenv("LD_LIBRARY_PATH", str(fakenvml_folder))

    return use


# --- fake CUDA: a libcuda.so.1 that works in the host's memory (tests/fakecuda/fakecuda.c) ---

FAKECUDA = Path(__file__).parent / "fakecuda" / "fakecuda.c"
CUDA_FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1")


@pytest.fixture(scope="session")
def fakecuda_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler (cc), so no work was given to a fake GPU")
    folder = tmp_path_factory.mktemp("fakecuda")
    command = ["cc", *CUDA_FLAGS, "-o", str(folder / "libcuda.so.1"), str(FAKECUDA)]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return folder


FakeCuda = Callable[..., None]


@pytest.fixture
def fake_cuda(
    fakecuda_folder: Path,
    fakenvml_folder: Path,
    fake_nvml: Callable[[str, Mapping[str, object]], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> FakeCuda:
    """A function (profile, changes of it, lines for the fake CUDA): a fake NVML's machine, its GPUs able to work."""

    def use(profile: str, nvml: Mapping[str, object] | None = None, **cuda: object) -> None:
        fake_nvml(profile, nvml or {})
        table = dict(flat(tomllib.loads((FAKENVML / "profiles" / f"{profile}.toml").read_text())))
        table = {key: value for key, value in table.items() if key == "count" or key.endswith(".uuid")}
        lines = {**table, **{key.replace("__", "."): value for key, value in cuda.items()}}
        (tmp_path / "fakecuda-profile").write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
        monkeypatch.setenv("FAKE_CUDA_PROFILE", str(tmp_path / "fakecuda-profile"))
        monkeypatch.setenv("LD_LIBRARY_PATH", f"{fakenvml_folder}:{fakecuda_folder}")

    return use


# --- recorded machines and runs ---


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What did not run and why, a line a reason: a skip must not look like a pass."""
    reasons = Counter(
        report.longrepr[2].removeprefix("Skipped: ") for report in terminalreporter.stats.get("skipped", ())
    )
    for reason, count in reasons.items():
        terminalreporter.write_line(f"not run: {count}: {reason.removeprefix('not run: ')}", yellow=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update", action="store_true", help="rewrite tests/*/*/expected.json with what was found")


# --- a machine made of literals, for the probes ---


class Machine:
    """A host of `files` (path to text, or to a CannotLook) and `runs` (argv to Result, or to a CannotLook).

    Other files are not there, other commands are not installed. `asked` lists the commands that were run.
    """

    def __init__(
        self,
        files: Mapping[str, str | CannotLook | None] | None = None,
        runs: Mapping[tuple[str, ...], Result | CannotLook] | None = None,
    ) -> None:
        self.files = dict(files or {})
        self.runs = dict(runs or {})
        self.asked: list[tuple[str, ...]] = []

    def run(self, argv: Sequence[str], timeout: float = 5.0) -> Result:  # noqa: ARG002
        self.asked.append(tuple(argv))
        answer = self.runs.get(tuple(argv), Result(code=127, out="", err="no such command"))
        if isinstance(answer, CannotLook):
            raise answer
        return answer

    def read(self, path: str) -> str | None:
        answer = self.files.get(path)
        if isinstance(answer, CannotLook):
            raise answer
        return answer


@pytest.fixture
def machine() -> type[Machine]:
    return Machine


# --- real frameworks and real data ---


@pytest.fixture(scope="session")
def framework_python() -> Callable[[str], str]:
    """A function (recipe name) that gives an interpreter with its framework: gpucheck's own environment for that
    recipe, made on first use; or GPUCHECK_PYTHON, which has them all."""

    def interpreter(name: str) -> str:
        given = os.environ.get("GPUCHECK_PYTHON")
        if given:
            return given
        recipe = recipes.load()[name]
        return str(environments.prepare(recipe.lock_path, recipe.pythons, cache_folder(), lambda *_: None))

    return interpreter


@pytest.fixture(scope="session")
def tensorflow_python(framework_python: Callable[[str], str]) -> str:
    """An interpreter that has TensorFlow; GPUCHECK_TF_PYTHON names another."""
    return os.environ.get("GPUCHECK_TF_PYTHON") or framework_python("tensorflow-cpu")


@pytest.fixture(scope="session")
def cifar10(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """CIFAR-10's binary layout from GPUCHECK_CIFAR10, or unpacked from a JPEG copy beside the checkout; or None."""
    given = os.environ.get("GPUCHECK_CIFAR10")
    if given:
        return Path(given)
    unpack = Path(__file__).parents[2] / "shared" / "cifar10" / "unpack.py"
    if not unpack.exists():
        return None
    folder = tmp_path_factory.mktemp("cifar10")
    subprocess.run([sys.executable, str(unpack), str(folder)], check=True)
    return folder


# --- the command line, in this process ---

Gpucheck = Callable[..., tuple[int, str, str]]


@pytest.fixture
def gpucheck(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Gpucheck:
    """A function (arguments) to exit code, stdout and stderr."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["gpucheck", *map(str, arguments)])
        code = app.run()
        return code, *capfd.readouterr()

    return run
