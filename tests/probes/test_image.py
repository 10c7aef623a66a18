"""What an engine says of an image."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gpucheck.facts import Version
from gpucheck.host import CannotLook, Result
from gpucheck.probes import image
from tests.conftest import Machine

NAME = "nvcr.io/nvidia/pytorch:25.06-py3"
INSPECT = ("docker", "image", "inspect", NAME)


def described(env: list[str], labels: dict[str, str] | None = None, **fields: Any) -> str:
    """As `docker image inspect` prints it (moby, api/types/image.InspectResponse), shortened."""
    config = {"Env": env, "Labels": labels, "Cmd": ["bash"]}
    return json.dumps([{"Id": "sha256:0af1", "Architecture": "amd64", "Os": "linux", "Config": config, **fields}])


def probed(out: str = "", err: str = "", code: int = 0, command: str = "docker") -> Any:
    machine = Machine(runs={(command, *INSPECT[1:]): Result(code=code, out=out, err=err)})
    return image.probe_of(NAME)(machine)


def test_nvidias_own() -> None:
    found = probed(
        described(
            ["PATH=/usr/bin", "CUDA_VERSION=12.9.1.010", "CUDA_ARCH_LIST=7.5 8.0 8.6 9.0 10.0 12.0",
             "NVIDIA_REQUIRE_CUDA=cuda>=9.0", "CUDNN_VERSION=9.10.2.21", "API_TOKEN=secret"],
            {"com.nvidia.volumes.needed": "nvidia_driver"},
        )
    )  # fmt: skip
    assert (found.cuda, found.cudnn) == (Version("12.9.1.010"), Version("9.10.2.21"))
    assert found.requirements == ("cuda>=9.0",)
    assert found.architectures[-1] == Version("12.0")
    assert found.ptx is None
    assert found.environment == {}
    assert "secret" not in repr(found)


def test_ours() -> None:
    labels = {"io.gpucheck.framework": "jax", "io.gpucheck.framework-version": "0.10.2", "io.gpucheck.cuda": "13.0",
              "io.gpucheck.min-driver": "580.65.06", "io.gpucheck.cudnn": "9.12"}  # fmt: skip
    found = probed(described([], labels))
    assert (found.framework, found.framework_version) == ("jax-cuda13-plugin", Version("0.10.2"))
    assert found.min_driver == Version("580.65.06")
    assert found.requirements == ()


def test_an_image_from_before_requirements_requires_its_cuda() -> None:
    assert probed(described(["CUDA_VERSION=8.0.61"])).requirements == ("cuda>=8.0",)


def test_podman_is_asked_where_there_is_no_docker() -> None:
    assert probed(described([]), command="podman").arch == "amd64"


def test_the_empty_image() -> None:
    """Podman and old engines write null for what is not there."""
    found = probed(json.dumps([{"Id": "sha256:0", "Architecture": "arm64", "Config": {"Env": None, "Labels": None}}]))
    assert (found.arch, found.cuda, found.requirements) == ("arm64", None, ())


@pytest.mark.parametrize(
    ("out", "err", "code", "says"),
    [
        ("[]\n", f"Error: No such image: {NAME}\n", 1, "docker pull"),
        ("[]\n", f"Error: {NAME}: image not known\n", 125, "docker pull"),
        ("[]\n", "Cannot connect to the Docker daemon. Is it running?\n", 1, "Cannot connect"),
        ("", "", 0, "cannot be read"),
        ("[1]", "", 0, "cannot be read"),
        ('[{"Id": 1}]', "", 0, "cannot be read"),
        ('[{"Id": 1, "Architecture": "amd64", "Config": "x"}]', "", 0, "cannot be read"),
    ],
)
def test_what_cannot_be_looked_at(out: str, err: str, code: int, says: str) -> None:
    with pytest.raises(CannotLook, match=says):
        probed(out, err, code)


def test_neither_engine() -> None:
    with pytest.raises(CannotLook, match="neither"):
        image.probe_of(NAME)(Machine())


@pytest.mark.parametrize(
    ("text", "native", "ptx"),
    [
        ("7.5 8.0 8.6 9.0 10.0 12.0+PTX", "7.5 8.0 8.6 9.0 10.0 12.0", "12.0"),
        ("7.0;8.0;9.0a", "7.0 8.0 9.0", None),
        ("Ampere;8.9+PTX", "8.9", "8.9"),
        ("", "", None),
        ("1" * 100000, "", None),
    ],
)
def test_architectures(text: str, native: str, ptx: str | None) -> None:
    found = image.parse_architectures(text)
    assert found == (tuple(map(Version, native.split())), Version(ptx) if ptx else None)
