"""The fixtures of the emulators, each kept beside its emulator."""

from __future__ import annotations

import pytest

from tests.clouds import rigs
from tests.clouds.emulators.aws import aws_emulator
from tests.clouds.emulators.azure import azure_emulator
from tests.clouds.emulators.gcp import gcp_emulator
from tests.clouds.rigs import Rig

__all__ = ["aws_emulator", "azure_emulator", "gcp_emulator"]


@pytest.fixture(params=["aws", "gcp", "azure"])
def rig(request: pytest.FixtureRequest) -> Rig:
    """Each cloud's emulator in turn, with the same knobs."""
    made: Rig = getattr(rigs, request.param)(request.getfixturevalue(f"{request.param}_emulator"))
    return made
