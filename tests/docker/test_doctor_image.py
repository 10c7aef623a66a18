"""`doctor --image` of an image that a real engine has, and of one that it has not."""

from __future__ import annotations

import shutil

import pytest

from gpucheck.host import CannotLook, Local
from gpucheck.probes import image

pytestmark = pytest.mark.docker


@pytest.fixture(autouse=True)
def _client() -> None:
    if shutil.which("docker") is None:
        pytest.skip("there is no docker command, by which the probe asks")


def test_an_image_of_the_engine(base: str) -> None:
    found = image.probe_of(base)(Local())
    assert found.id.startswith("sha256:")
    assert found.arch in ("amd64", "arm64")
    assert found.requirements == ()


def test_one_that_it_has_not(base: str) -> None:
    with pytest.raises(CannotLook, match="docker pull"):
        image.probe_of(f"{base}-is-not-there")(Local())
