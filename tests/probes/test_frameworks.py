import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gpucheck.facts import Frameworks, Version, Wanted
from gpucheck.host import CannotLook, Result
from gpucheck.probes import frameworks

Machine = Callable[..., Any]

SITE = "/home/user/.venv/lib/python3.12/site-packages"
BUILD_INFO = """# Copyright 2020 The TensorFlow Authors. All Rights Reserved.
build_info = collections.OrderedDict([
  ('cpu_compiler', '/usr/lib/llvm-18/bin/clang'),
  ('cuda_compute_capabilities', ['sm_60', 'sm_70', 'sm_80', 'sm_89', 'compute_90']),
  ('cuda_version', '12.5.1'),
  ('cudnn_version', '9'),
  ('is_cuda_build', True),
  ('is_rocm_build', False)
])
"""
TORCH_VERSION = """from typing import Optional

__all__ = ['__version__', 'debug', 'cuda', 'git_version', 'hip', 'xpu']
__version__ = '2.9.1+cu128'
debug = False
cuda: Optional[str] = '12.8'
git_version = '5811a8d7da873dd699ff6687092c225caffcf1bb'
hip: Optional[str] = None
"""


def probe(machine: Machine, *folders: str, files: dict[str, str] | None = None) -> Frameworks:
    out = "\n".join(["/home/user/.venv/bin/python3", *(f"{SITE}/{folder}" for folder in folders)]) + "\n"
    return frameworks.probe(machine(files, {frameworks.COMMAND: Result(code=0, out=out, err="")}))


def test_every_framework_at_once(machine: Machine) -> None:
    found = probe(
        machine,
        "jax-0.7.2.dist-info", "jax_cuda12_plugin-0.7.2.dist-info", "jaxlib-0.7.2.dist-info", "keras-3.12.0.dist-info",
        "nvidia_cublas-13.0.2.14.dist-info", "nvidia_cudnn_cu12-9.10.2.21.dist-info", "tensorflow-2.20.0.dist-info",
        "torch-2.9.1.dist-info",
        files={
            f"{SITE}/tensorflow/python/platform/build_info.py": BUILD_INFO,
            f"{SITE}/torch/version.py": TORCH_VERSION,
        },
    )  # fmt: skip
    assert found.python == "/home/user/.venv/bin/python3"
    assert [(p.name, str(p.version), p.cuda and str(p.cuda), p.cpu_only) for p in found.packages] == [
        ("jax", "0.7.2", None, None),
        ("jax-cuda12-plugin", "0.7.2", "12", None),
        ("jaxlib", "0.7.2", None, None),
        ("keras", "3.12.0", None, None),
        ("nvidia-cublas", "13.0.2.14", None, None),
        ("nvidia-cudnn-cu12", "9.10.2.21", "12", None),
        ("tensorflow", "2.20.0", "12.5.1", False),
        ("torch", "2.9.1", "12.8", False),
    ]
    assert {package.path for package in found.packages} == {SITE}


@pytest.mark.parametrize(
    ("folder", "name", "cuda", "cpu_only"),
    [
        ("torch-2.9.1+cpu.dist-info", "torch", None, True),
        ("torch-2.9.1+cu126.dist-info", "torch", "12.6", False),
        ("torch-1.13.1+cu117.dist-info", "torch", "11.7", False),
        ("jaxlib-0.4.7+cuda12.cudnn88.dist-info", "jaxlib", "12", False),
        ("tensorflow_cpu-2.20.0.dist-info", "tensorflow-cpu", None, True),
        ("tensorflow_gpu-2.12.0.dist-info", "tensorflow-gpu", None, None),
        ("tensorflow-2.22.0.dist-info", "tensorflow", None, None),
        ("tensorflow_gpu-2.4.1-py3.8.egg-info", "tensorflow-gpu", None, None),
    ],
)
def test_builds(machine: Machine, folder: str, name: str, cuda: str | None, cpu_only: bool | None) -> None:
    (package,) = probe(machine, folder).packages
    assert (package.name, package.cuda, package.cpu_only) == (name, cuda and Version(cuda), cpu_only)


def test_of_two_versions_the_first_on_the_path_is_the_one_imported(machine: Machine) -> None:
    found = probe(machine, "torch-2.9.1+cu126.dist-info", "../dist-packages/torch-2.0.0+cpu.dist-info")
    assert [str(package.version) for package in found.packages] == ["2.9.1+cu126"]


def test_a_package_without_a_version_hides_no_other(machine: Machine) -> None:
    found = probe(machine, "nvidia_thing-unknown.dist-info", "torch-2.9.1+cu126.dist-info")
    assert [package.name for package in found.packages] == ["torch"]


def test_no_python(machine: Machine) -> None:
    found = frameworks.probe(machine())
    assert (found.python, found.packages) == (None, ())


@pytest.mark.parametrize("result", [Result(code=1, out="", err="pyenv: python3: command not found\n"),
                                    Result(code=0, out="", err="")])  # fmt: skip
def test_a_python_that_fails_cannot_be_looked_at(machine: Machine, result: Result) -> None:
    with pytest.raises(CannotLook, match="python3 failed"):
        frameworks.probe(machine({}, {frameworks.COMMAND: result}))


def test_the_command_itself(tmp_path: Path) -> None:
    """Run by a real interpreter: it finds metadata of either kind, and tells of no other package."""
    names = ("torch-2.9.1+cpu.dist-info", "tensorflow_gpu-2.4.1-py3.8.egg-info", "nvidia_cudnn_cu12-9.1.0.dist-info")
    for name in (*names, "secret_project-1.0.dist-info", "torchvision-0.1.dist-info", "torch"):
        (tmp_path / name).mkdir()
    run = subprocess.run(
        [sys.executable, *frameworks.COMMAND[1:]], capture_output=True, text=True, cwd="/",
        env={"PYTHONPATH": str(tmp_path)}, check=True,
    )  # fmt: skip
    python, *found = run.stdout.splitlines()
    assert python == sys.executable
    ours = [path.removeprefix(f"{tmp_path}/") for path in found if path.startswith(str(tmp_path))]
    assert ours == sorted(names)
    assert "secret" not in run.stdout


@pytest.mark.parametrize(
    ("text", "cuda", "cpu_only"),
    [
        (TORCH_VERSION, "12.8", False),
        ("cuda = '11.8'\n", "11.8", False),
        ("cuda: Optional[str] = None\n", None, True),
        ("", None, None),
        ("cuda: Optional[str] = '12", None, None),
    ],
)
def test_torch_version(text: str, cuda: str | None, cpu_only: bool | None) -> None:
    assert frameworks.parse_torch_version(text) == (cuda and Version(cuda), cpu_only)


@pytest.mark.parametrize(
    ("text", "cuda", "cpu_only"),
    [
        (BUILD_INFO, "12.5.1", False),
        ('build_info = collections.OrderedDict([("is_cuda_build", False), ("is_rocm_build", False)])', None, True),
        ("build_info = {'cuda_version': '10.1', 'is_rocm_build': False, 'is_cuda_build': True}", "10.1", False),
        ("build_info = collections.OrderedDict([('cuda_version', '64_112'), ('is_cuda_build', True)])", None, False),
        ("build_info = collections.OrderedDict([])", None, None),
        ("", None, None),
    ],
)
def test_build_info(text: str, cuda: str | None, cpu_only: bool | None) -> None:
    assert frameworks.parse_build_info(text) == (cuda and Version(cuda), cpu_only)


# tensorflow 2.21.0, torch 2.10.0, and how older tools wrote it.
METADATA = """Metadata-Version: 2.4
Name: tensorflow
Version: 2.21.0
Author-email: somebody@example.com
Requires-Dist: numpy>=1.26.0
Requires-Dist: nvidia-cublas-cu12<13.0,>=12.5.3.2; extra == "and-cuda"
Requires-Dist: nvidia-cudnn-cu12==9.10.2.21; platform_system == "Linux"
Requires-Dist: nvidia-cuda-runtime-cu12 (==12.1.105) ; platform_system == "Linux" and platform_machine == "x86_64"
Requires-Dist: nvidia-nccl-cu13
Requires-Dist: nvidia-cufft-cu12 (>=11.0) ; sys_platform == "win32"

Requires nvidia-curand-cu12, says the description.
"""


def test_the_wheels_that_a_package_wants() -> None:
    wanted = frameworks.parse_wanted(METADATA)
    assert [(want.name, want.versions) for want in wanted] == [
        ("nvidia-cublas-cu12", "<13.0,>=12.5.3.2"),
        ("nvidia-cudnn-cu12", "==9.10.2.21"),
        ("nvidia-cuda-runtime-cu12", "==12.1.105"),
        ("nvidia-nccl-cu13", ""),
    ]
    assert [str(want.oldest) for want in wanted] == ["12.5.3.2", "9.10.2.21", "12.1.105", "None"]


def test_what_is_kept_of_metadata_says_the_same() -> None:
    kept = frameworks.kept(METADATA)
    assert frameworks.parse_wanted(kept) == frameworks.parse_wanted(METADATA)
    assert frameworks.kept(kept) == kept
    assert "example.com" not in kept


# Of conda's jaxlib and jax_cuda12_plugin there is no INSTALLER (conda-forge/jaxlib-feedstock issue 293).
@pytest.mark.parametrize(
    ("installer", "wheel", "wants"),
    [("pip\n", True, 4), ("Poetry 2.1.0", True, 4), ("conda\n", False, 0), (None, False, 0)],
)
def test_conda_brings_cuda_in_packages_of_its_own(
    machine: Machine, installer: str | None, wheel: bool, wants: int
) -> None:
    (package,) = installed(machine, METADATA, installer).packages
    assert (package.wheel, len(package.wants)) == (wheel, wants)


@pytest.mark.parametrize("installer", ["", "\n", "\0\ufffd\x01", "x" * 300, "?\n"])
def test_an_installer_that_is_none_is_not_known(machine: Machine, installer: str) -> None:
    with pytest.raises(CannotLook, match="INSTALLER"):
        installed(machine, METADATA, installer)


def installed(machine: Machine, metadata: str | None, installer: str | None = "pip\n") -> Frameworks:
    folder = f"{SITE}/torch-2.10.0.dist-info"
    files = {f"{folder}/METADATA": metadata, f"{folder}/INSTALLER": installer}
    return probe(
        machine, "torch-2.10.0.dist-info", files={path: text for path, text in files.items() if text is not None}
    )


@pytest.mark.parametrize("metadata", ["", "\0\ufffd\x01" * 500, "Metadata-Version: 2.4\nName: torch\n", "Version: 2\n"])
def test_torn_metadata_is_not_metadata_without_requirements(machine: Machine, metadata: str) -> None:
    with pytest.raises(CannotLook, match="METADATA"):
        installed(machine, metadata)
    assert installed(machine, metadata, installer="conda").packages[0].wants == ()


def test_what_is_kept_of_metadata_is_metadata(machine: Machine) -> None:
    assert installed(machine, frameworks.kept(METADATA)) == installed(machine, METADATA)


def test_a_build_for_the_cpu_wants_nothing(machine: Machine) -> None:
    folder = "torch-2.10.0+cpu.dist-info"
    (package,) = probe(machine, folder, files={f"{SITE}/{folder}/METADATA": METADATA}).packages
    assert package.wants == ()


def test_a_requirement_of_megabytes_is_none() -> None:
    assert frameworks.parse_wanted("Requires-Dist: nvidia-x" + " " * 3_000_000 + "((") == ()
    assert Wanted(name="x", versions="==" + "9" * 100).oldest == Version("9" * 100)
