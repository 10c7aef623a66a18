from collections.abc import Callable
from typing import Any

import pytest

from gpucheck.facts import Toolkit, Version
from gpucheck.host import Result
from gpucheck.probes import toolkit

Machine = Callable[..., Any]

NVCC = """nvcc: NVIDIA (R) Cuda compiler driver
Copyright (c) 2005-2024 NVIDIA Corporation
Built on Thu_Mar_28_02:18:24_PDT_2024
Cuda compilation tools, release 12.4, V12.4.131
Build cuda_12.4.r12.4/compiler.34097967_0
"""
VERSION_JSON = '{\n   "cuda" : {\n      "name" : "CUDA SDK",\n      "version" : "12.2.20230823"\n   }\n}\n'


def test_two_toolkits_and_nvcc_on_the_path(machine: Machine) -> None:
    found = toolkit.probe(
        machine(
            {
                "/usr/local": "bin\ncuda\ncuda-11.0\ncuda-12\ncuda-12.2\ncuda-samples\n",
                "/usr/local/cuda/version.json": VERSION_JSON,
                "/usr/local/cuda-12.2/version.json": VERSION_JSON,
                "/usr/local/cuda-11.0/version.txt": "CUDA Version 11.0.228\n",
            },
            {("nvcc", "--version"): Result(code=0, out=NVCC, err="")},
        )
    )
    assert (found.cuda, found.nvcc) == (Version("12.4"), "nvcc")
    assert [(str(i.version), i.path) for i in found.installs] == [
        ("12.2", "/usr/local/cuda"), ("11.0", "/usr/local/cuda-11.0"), ("12.2", "/usr/local/cuda-12.2"),
    ]  # fmt: skip


def test_nvcc_that_is_not_on_the_path(machine: Machine) -> None:
    found = toolkit.probe(
        machine({"/usr/local": "cuda\n"}, {("/usr/local/cuda/bin/nvcc", "--version"): Result(code=0, out=NVCC, err="")})
    )
    assert (found.cuda, found.nvcc) == (Version("12.4"), "/usr/local/cuda/bin/nvcc")


def test_a_runtime_without_a_compiler_is_a_toolkit_all_the_same(machine: Machine) -> None:
    found = toolkit.probe(machine({"/usr/local": "cuda\n", "/usr/local/cuda/version.json": VERSION_JSON}))
    assert (found.cuda, found.nvcc) == (Version("12.2"), None)


def test_nothing(machine: Machine) -> None:
    assert toolkit.probe(machine()) == Toolkit(cuda=None, nvcc=None, installs=())


@pytest.mark.parametrize("text", ["", "{", "[]", '{"cuda": "12.4"}', '{"cuda": {}}', '{"cuda": {"version": null}}'])
def test_a_torn_version_json_says_nothing(text: str) -> None:
    assert toolkit.parse_version_json(text) is None


def test_nvcc_that_fails_says_nothing() -> None:
    assert toolkit.parse_nvcc("nvcc: error while loading shared libraries") is None
