"""Wheels against the driver and the GPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gpucheck.facts import Driver, Frameworks, Gpu, Library, Linker, Nvml, Package, System, Version, Wanted
from gpucheck.model import Finding, Status
from tests.rules.literals import SYSTEM

PASS, FAIL, SKIP, UNKNOWN = Status


def wheels(*given: tuple[str, str, str | None]) -> Frameworks:
    """(name, version, CUDA); the CUDA "cpu" is a CPU-only build."""
    packages = [
        Package(
            name=name, version=Version(version), path="/venv/site-packages",
            cuda=Version(cuda) if cuda and cuda != "cpu" else None,
            cpu_only=None if cuda is None else cuda == "cpu",
        )
        for name, version, cuda in given
    ]  # fmt: skip
    return Frameworks(python="/venv/bin/python3", packages=tuple(packages))


def driver(version: str | None) -> Driver:
    return Driver(version=Version(version) if version else None, open_module=None, libraries=(), devices=())


def gpu(capability: str, cuda: str | None = None) -> Nvml:
    return replace(gpus(capability), cuda_version=Version(cuda) if cuda else None)


def gpus(*capabilities: str) -> Nvml:
    """Of each the UUID is GPU- and its number."""
    return Nvml(
        gpus=tuple(
            Gpu(index=i, name="a GPU", uuid=f"GPU-{i}", compute_capability=Version(c))
            for i, c in enumerate(capabilities)
        )
    )


def visible(value: str) -> System:
    return replace(SYSTEM, environment={"CUDA_VISIBLE_DEVICES": value})


def by_conda(*given: tuple[str, str, str | None]) -> Frameworks:
    found = wheels(*given)
    return replace(found, packages=tuple(replace(package, wheel=False) for package in found.packages))


def libcuda(version: str) -> Linker:
    library = Library(path=f"/usr/local/cuda/compat/libcuda.so.{version}", version=Version(version))
    return Linker(path=(), libcuda=(library,), cuda=())


TF = ("tensorflow", "2.21.0", "12.5.1")
TORCH = ("torch", "2.15.0", "13.2")
CUDNN = ("nvidia-cudnn-cu12", "9.3.0.75", "12")
PLUGIN, JAX, JAXLIB = ("jax-cuda12-plugin", "0.10.2", "12"), ("jax", "0.10.2", None), ("jaxlib", "0.10.2", None)
IN_REACH = Linker(path=(), libcuda=(), cuda=("libcudnn.so.9", "libcudart.so.12"))
NONE_IN_REACH = Linker(path=(), libcuda=(), cuda=("libcudnn.so.8", "libcudart.so.11.0"))
BLIND = Linker(path=(), libcuda=(), cuda=(), cache_error="there is no /sbin/ldconfig here")


def wanting(package: tuple[str, str, str | None], wanted: dict[str, str], *others: tuple[str, str, str]) -> Frameworks:
    """A package whose metadata names these wheels, beside other packages."""
    found = wheels(package, *others)
    wants = tuple(Wanted(name=name, versions=versions) for name, versions in wanted.items())
    return replace(found, packages=(replace(found.packages[0], wants=wants), *found.packages[1:]))


WANTED = {
    "nvidia-cudnn-cu12": "<10.0,>=9.3.0.75",
    "nvidia-cuda-runtime-cu12": "<13.0,>=12.5.82",
    "nvidia-nccl-cu12": "",
}
RUNTIME = ("nvidia-cuda-runtime-cu12", "12.8.90", "12")
PINNED = {"nvidia-cudnn-cu12": "==9.10.2.21"}


CASES: list[tuple[str, tuple[Any, ...], Status, str]] = [
    ("frameworks.no-tensorflow-gpu", (wheels(TF),), PASS, "/venv/bin/python3"),
    ("frameworks.no-tensorflow-gpu", (wheels(("tensorflow-gpu", "2.10.1", "11.2")),), FAIL, "2.10.1"),
    ("frameworks.no-tensorflow-gpu", (Frameworks(python=None, packages=()),), SKIP, "python3"),
    ("frameworks.cuda-build", (wheels(TF, TORCH),), PASS, "2.21.0"),
    ("frameworks.cuda-build", (wheels(TF, ("torch", "2.15.0+cpu", "cpu")),), FAIL, "2.15.0+cpu"),
    ("frameworks.cuda-build", (wheels(("keras", "3.15.1", None)),), SKIP, "no framework"),
    ("frameworks.wheel-fits-driver", (wheels(TF), driver("525.60.13")), PASS, "525.60.13"),
    ("frameworks.wheel-fits-driver", (wheels(TF), driver("520.61.05")), FAIL, "525.60.13"),
    ("frameworks.wheel-fits-driver", (wheels(TF, TORCH), driver("570.124.06")), FAIL, "580.65.06"),
    ("frameworks.wheel-fits-driver", (wheels(("jax-cuda12-plugin", "0.12.0", "12")), driver("525.60.13")), PASS, "jax"),
    ("frameworks.wheel-fits-driver", (wheels(TORCH), driver(None), gpu("8.9", "12.8")), FAIL, "12.8"),
    ("frameworks.wheel-fits-driver", (wheels(TF), driver(None), gpu("8.9", "12.8")), PASS, "12.8"),
    ("frameworks.wheel-fits-driver", (wheels(TF), driver(None)), UNKNOWN, "12.5.1"),
    # Forward compatibility: the libcuda that is loaded is a newer driver's.
    ("frameworks.wheel-fits-driver", (wheels(TORCH), driver("570.124.06"), libcuda("595.45.04")), PASS, "595.45.04"),
    ("frameworks.wheel-fits-driver", (wheels(TORCH), driver("570.124.06"), libcuda("575.57.08")), FAIL, "575.57.08"),
    ("frameworks.wheel-fits-driver", (wheels(TORCH), driver("580.65.06"), libcuda("535.54.03")), PASS, "580.65.06"),
    # NVIDIA's own wheels belong to a framework.
    (
        "frameworks.wheel-fits-driver",
        (wheels(("nvidia-cublas-cu12", "12.5.3.2", "12")), driver("470.82.01")),
        SKIP,
        "no framework",
    ),
    ("frameworks.wheel-fits-driver", (wheels(("torch", "2.15.0", "cpu")), driver("470.82.01")), SKIP, "no framework"),
    ("frameworks.wheel-fits-gpu", (wheels(TF), driver("525.60.13"), gpu("9.0")), PASS, "9.0"),
    ("frameworks.wheel-fits-gpu", (wheels(TF), driver("525.60.13"), gpu("7.5")), PASS, "7.5"),
    ("frameworks.wheel-fits-gpu", (wheels(TF), driver("580.65.06"), gpu("12.0")), FAIL, "reported to fail"),
    ("frameworks.wheel-fits-gpu", (wheels(TF), driver("580.65.06"), gpu("10.0")), PASS, "first use"),
    ("frameworks.wheel-fits-gpu", (wheels(TF), driver("550.54.14"), gpu("10.0")), FAIL, "555.42.06"),
    ("frameworks.wheel-fits-gpu", (wheels(TF), driver("525.60.13"), gpu("5.2")), FAIL, "5.2"),
    (
        "frameworks.wheel-fits-gpu",
        (wheels(("tensorflow", "2.13.1", "11.8")), driver("525.60.13"), gpu("9.0")),
        PASS,
        "first use",
    ),
    (
        "frameworks.wheel-fits-gpu",
        (wheels(("torch", "2.7.0+cu128", "12.8")), driver("570.26"), gpu("6.1")),
        FAIL,
        "6.1",
    ),
    ("frameworks.wheel-fits-gpu", (wheels(TORCH), driver("595.45.04"), gpu("7.0")), FAIL, "dropped"),
    ("frameworks.wheel-fits-gpu", (wheels(TORCH), driver("595.45.04"), gpu("9.0")), PASS, "9.0"),
    (
        "frameworks.wheel-fits-gpu",
        (wheels(("torch", "2.99.0", "13.0")), driver("595.45.04"), gpu("9.0")),
        SKIP,
        "table",
    ),
    ("frameworks.wheel-fits-gpu", (wheels(("torch", "2.9.1", "12.8")), driver("570.26"), gpu("12.0")), PASS, "12.0"),
    (
        "frameworks.wheel-fits-gpu",
        (wheels(("torch", "2.9.1+cu126", "12.6")), driver("570.26"), gpu("12.0")),
        FAIL,
        "12.0",
    ),
    (
        "frameworks.wheel-fits-gpu",
        (wheels(("torch", "2.11.0+cu128", "12.8")), driver("570.26"), gpu("7.0")),
        FAIL,
        "7.0",
    ),
    (
        "frameworks.wheel-fits-gpu",
        (wheels(("tensorflow", "9.9.0", "12.5")), driver("580.65.06"), gpu("9.0")),
        SKIP,
        "table",
    ),
    ("frameworks.wheel-fits-gpu", (wheels(TF), driver("580.65.06")), SKIP, "GPU"),
    (
        "frameworks.wheel-fits-gpu",
        (wheels(TF), driver("550.54.14"), libcuda("580.65.06"), gpu("10.0")),
        PASS,
        "first use",
    ),
    # One GPU that fits is enough, and the other is named; of two frameworks each may have its own.
    ("frameworks.wheel-fits-gpu", (wheels(TORCH), driver("595.45.04"), gpus("6.1", "8.9")), PASS, "not fit GPU 0"),
    ("frameworks.wheel-fits-gpu", (wheels(TORCH), driver("595.45.04"), gpus("6.1", "7.0")), FAIL, "dropped"),
    ("frameworks.wheel-fits-gpu", (wheels(TF, TORCH), driver("595.45.04"), gpus("6.1", "12.0")), PASS, "not fit GPU 1"),
    (
        "frameworks.wheel-fits-gpu",
        (wheels(TORCH), driver("595.45.04"), gpus("6.1", "8.9"), visible("GPU-0")),
        FAIL,
        "dropped",
    ),
    (
        "frameworks.wheel-fits-gpu",
        (wheels(TORCH), driver("595.45.04"), gpus("6.1", "8.9"), visible("1")),
        PASS,
        "not fit GPU 0",
    ),
    # conda builds for other GPUs; what its CUDA has dropped it has not either.
    (
        "frameworks.wheel-fits-gpu",
        (by_conda(("torch", "2.7.1", "12.6")), driver("580.65.06"), gpu("12.0")),
        SKIP,
        "not in our table",
    ),
    ("frameworks.wheel-fits-gpu", (by_conda(TORCH), driver("595.45.04"), gpu("7.0")), FAIL, "dropped"),
    ("frameworks.cudnn-supports-gpu", (wheels(TF, CUDNN), gpu("6.0")), PASS, "9.3.0.75"),
    ("frameworks.cudnn-supports-gpu", (wheels(TF, ("nvidia-cudnn-cu12", "9.28.0.1", "12")), gpu("6.0")), FAIL, "9.11"),
    ("frameworks.cudnn-supports-gpu", (wheels(("nvidia-cudnn-cu13", "9.12.0.46", "13")), gpu("7.0")), FAIL, "9.11"),
    ("frameworks.cudnn-supports-gpu", (wheels(TF, CUDNN), gpu("12.0")), SKIP, "12.0 is not in our table"),
    ("frameworks.cudnn-supports-gpu", (wheels(TF), gpu("6.0")), SKIP, "no cuDNN wheel"),
    (
        "frameworks.cudnn-supports-gpu",
        (wheels(("nvidia-cudnn-cu13", "9.12.0.46", "13")), gpus("8.9", "6.1")),
        PASS,
        "not fit GPU 1",
    ),
    (
        "frameworks.cudnn-supports-gpu",
        (wheels(("nvidia-cudnn-cu13", "9.12.0.46", "13")), gpus("8.9", "6.1"), visible("GPU-1")),
        FAIL,
        "9.11",
    ),
    ("frameworks.cudnn-new-enough", (wheels(TF, CUDNN),), PASS, "9.3"),
    ("frameworks.cudnn-new-enough", (wheels(TF, ("nvidia-cudnn-cu12", "9.1.0.70", "12")),), FAIL, "9.1.0.70"),
    ("frameworks.cudnn-new-enough", (wheels(("tensorflow", "2.16.2", "12.3"), CUDNN),), FAIL, "8.9"),
    ("frameworks.cudnn-new-enough", (wheels(("tensorflow", "9.9.0", None), CUDNN),), SKIP, "table"),
    ("frameworks.cudnn-new-enough", (by_conda(("tensorflow", "2.16.2", "12.3"), CUDNN),), SKIP, "table"),
    ("frameworks.cudnn-new-enough", (wheels(TF),), SKIP, "not both"),
    ("frameworks.cudnn-new-enough", (wanting(TORCH, PINNED, CUDNN),), FAIL, "9.10.2.21"),
    # torch compares major and minor.
    (
        "frameworks.cudnn-new-enough",
        (wanting(TORCH, PINNED, ("nvidia-cudnn-cu12", "9.10.1.4", "12")),),
        PASS,
        "9.10.1.4",
    ),
    ("frameworks.cudnn-new-enough", (wanting(TORCH, PINNED, ("nvidia-cudnn-cu12", "9.12.0.46", "12")),), PASS, "9.12"),
    ("frameworks.one-uses-gpu", (wheels(TF),), PASS, "2.21.0"),
    ("frameworks.one-uses-gpu", (wheels(("torch", "2.15.0+cpu", "cpu")),), FAIL, "2.15.0+cpu"),
    ("frameworks.one-uses-gpu", (wheels(("tensorflow-cpu", "2.21.0", "cpu"), TORCH),), PASS, "torch 2.15.0"),
    ("frameworks.one-uses-gpu", (wheels(JAX, JAXLIB),), FAIL, "no CUDA plugin"),
    ("frameworks.one-uses-gpu", (wheels(JAX, JAXLIB, PLUGIN),), PASS, "jax 0.10.2"),
    ("frameworks.one-uses-gpu", (wheels(JAX, ("jaxlib", "0.4.7+cuda12.cudnn88", "12")),), PASS, "jax"),
    # From 2.22 on TensorFlow's files do not say; the table does, of those it has.
    ("frameworks.one-uses-gpu", (wheels(("tensorflow", "2.21.0", None)),), PASS, "2.21.0"),
    ("frameworks.one-uses-gpu", (wheels(("tensorflow", "9.9.0", None)),), SKIP, "none that says"),
    ("frameworks.one-uses-gpu", (wheels(("keras", "3.15.1", None)),), SKIP, "no framework"),
    # conda's jaxlib had CUDA in it before it came with the plugin (conda-forge/jaxlib-feedstock pull request 288).
    ("frameworks.one-uses-gpu", (by_conda(JAX, JAXLIB),), SKIP, "none that says"),
    ("frameworks.nvidia-wheels-there", (wanting(TF, WANTED, CUDNN, RUNTIME), NONE_IN_REACH), PASS, "tensorflow 2.21.0"),
    ("frameworks.nvidia-wheels-there", (wanting(TF, WANTED, CUDNN), NONE_IN_REACH), FAIL, "nvidia-cuda-runtime-cu12"),
    ("frameworks.nvidia-wheels-there", (wanting(TF, WANTED), IN_REACH), PASS, "all here"),
    ("frameworks.nvidia-wheels-there", (wanting(TF, WANTED), BLIND), UNKNOWN, "ldconfig"),
    ("frameworks.nvidia-wheels-there", (wanting(TF, WANTED),), UNKNOWN, "the linker could not be asked"),
    ("frameworks.nvidia-wheels-there", (wheels(TF), NONE_IN_REACH), SKIP, "no framework"),
    ("frameworks.jax-plugin-fits", (wheels(JAX, JAXLIB, PLUGIN),), PASS, "0.10.2"),
    ("frameworks.jax-plugin-fits", (wheels(JAX, JAXLIB, ("jax-cuda12-plugin", "0.9.0", "12")),), FAIL, "0.9.0"),
    ("frameworks.jax-plugin-fits", (wheels(JAX, JAXLIB),), SKIP, "not both"),
    ("frameworks.one-jax-plugin", (wheels(PLUGIN),), PASS, "only one"),
    ("frameworks.one-jax-plugin", (wheels(PLUGIN, ("jax-cuda13-plugin", "0.10.2", "13")),), FAIL, "jax-cuda13-plugin"),
    ("frameworks.one-jax-plugin", (wheels(JAX),), SKIP, "no CUDA plugin"),
    ("frameworks.wheels-agree", (wanting(TF, WANTED, CUDNN, RUNTIME),), PASS, "2 wheels"),
    ("frameworks.wheels-agree", (wanting(TORCH, PINNED, CUDNN),), FAIL, "==9.10.2.21; 9.3.0.75"),
    ("frameworks.wheels-agree", (wheels(TF, CUDNN),), SKIP, "no framework asks"),
    ("frameworks.one-cuda", (wheels(CUDNN, RUNTIME, ("nvidia-ml-py", "13.590.44", None)),), PASS, "2 wheels"),
    ("frameworks.one-cuda", (wheels(CUDNN, ("nvidia-cudnn-cu13", "9.12.0.46", "13")),), FAIL, "overwrite"),
    (
        "frameworks.one-cuda",
        (wheels(RUNTIME, ("nvidia-cublas", "13.4.1.3", None)),),
        FAIL,
        "1 of CUDA 12, 1 of CUDA 13",
    ),
    ("frameworks.one-cuda", (wheels(TF),), SKIP, "no wheel"),
]


@pytest.mark.parametrize(("rule", "facts", "status", "says"), CASES)
def test_rule(judged: Callable[..., Finding], rule: str, facts: tuple[Any, ...], status: Status, says: str) -> None:
    finding = judged(rule, *facts)
    assert finding.status is status, finding.message
    assert says in finding.message


@pytest.mark.parametrize(("name", "pinned"), [("nvidia-cudnn-cu12", True), ("nvidia-cudnn-cu13", False)])
def test_only_the_cudnn_of_cuda_12_can_be_pinned(judged: Callable[..., Finding], name: str, pinned: bool) -> None:
    remedy = judged("frameworks.cudnn-supports-gpu", wheels((name, "9.12.0.46", None)), gpu("7.0")).remedy
    assert remedy
    assert bool(remedy.commands_for("debian")) is pinned


@pytest.mark.parametrize(
    ("package", "wheels"),
    [
        (TF, "'tensorflow[and-cuda]==2.21.0'"),
        (PLUGIN, "'jax-cuda12-plugin[with-cuda]==0.10.2'"),
        (TORCH, "'nvidia-cudnn-cu12<10.0,>=9.3.0.75' 'nvidia-nccl-cu12'"),
    ],
)
def test_missing_wheels_are_installed_as_the_framework_asks_for_them(
    judged: Callable[..., Finding], package: tuple[str, str, str], wheels: str
) -> None:
    remedy = judged("frameworks.nvidia-wheels-there", wanting(package, WANTED, RUNTIME), NONE_IN_REACH).remedy
    assert remedy
    assert remedy.commands_for("debian") == (f"python3 -m pip install {wheels}",)


@pytest.mark.parametrize(
    ("versions", "version", "allowed"),
    [
        ("", "1.0", True),
        ("<10.0,>=9.3.0.75", "9.3.0.75", True),
        ("<10.0,>=9.3.0.75", "10.0.0.1", False),
        ("==9.10.2.21", "9.10.2.21", True),
        ("==9.10.2.21", "9.10.2.22", False),
        ("==12.8.*", "12.8.93", True),
        ("==12.8.*", "12.80.1", False),
        ("!=12.8.*", "12.8.93", False),
        ("~=12.8.1", "12.8.93", True),
        ("~=12.8.1", "12.9.0", False),
        ("!=2.0,>1.0", "2.0", False),
        ("===2.0", "2.0", True),
        ("nonsense", "2.0", True),
    ],
)
def test_what_a_requirement_allows(versions: str, version: str, allowed: bool) -> None:
    assert Wanted(name="nvidia-thing", versions=versions).allows(Version(version)) is allowed
