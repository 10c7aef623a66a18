"""The three clouds, each by its own SDK, which is imported when it is used."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import cast
from urllib.parse import urlsplit

from gpucheck import extras
from gpucheck.clouds.orders import Asked, Cloud, Machine, Order, Refused, Resource
from gpucheck.model import Failure

__all__ = ["CLOUDS", "ENDPOINT", "Asked", "Cloud", "Machine", "Order", "Refused", "Resource", "cloud", "endpoint"]

CLOUDS = ("aws", "gcp", "azure")
ENDPOINT = "GPUCHECK_CLOUD_ENDPOINT"  # an emulator's address, for tests and rehearsals: http://127.0.0.1:5000


def cloud(provider: str, region: str | None = None) -> Cloud:
    """The account that the SDK's own default credentials lead to. Raises Failure where its extra is not installed.

    `region`: where to ask first; None is the SDK's own default.
    """
    try:
        module = importlib.import_module(f"gpucheck.clouds.{provider}")
        connect = cast(Callable[[str | None], Cloud], module.connect)
        return connect(region)
    except ModuleNotFoundError as missing:
        if (missing.name or "").startswith("gpucheck"):
            raise
        raise Failure(f"the SDK of {provider} is not installed ({missing.name})", extras.tip(provider)) from missing


def endpoint() -> str | None:
    """An emulator's address. Raises Failure for one that is not on this machine: credentials go nowhere else."""
    address = os.environ.get(ENDPOINT)
    if not address:
        return None
    split = urlsplit(address)
    if split.scheme != "http" or split.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise Failure(
            f"{ENDPOINT} is {address!r}, which is not on this machine", "http://127.0.0.1:PORT of an emulator"
        )
    return address
