"""systemd's units and the fabric manager's version: formats of systemctl(1) and of nv-fabricmanager 450 to 580."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gpucheck.facts import Unit, Version
from gpucheck.host import CannotLook, Result
from gpucheck.probes import services

# systemd prints properties in an order of its own, an empty line between two units; one that is not there has a block.
SHOWN = """Result=exit-code
Id=nvidia-fabricmanager.service
LoadState=loaded
ActiveState=failed
UnitFileState=enabled

Result=success
Id=nvidia-persistenced.service
LoadState=not-found
ActiveState=inactive
UnitFileState=
"""
FABRIC_MANAGER, PERSISTENCED = services.UNITS
# A container: systemd's client without systemd.
NO_SYSTEMD = (
    "System has not been booted with systemd as init system (PID 1). Can't operate.\nFailed to connect to bus\n"
)


def done(out: str, code: int = 0, err: str = "") -> Result:
    return Result(code=code, out=out, err=err)


def test_units() -> None:
    assert services.parse(SHOWN) == (
        Unit(name=FABRIC_MANAGER, load="loaded", active="failed", result="exit-code", enabled=True),
        Unit(name=PERSISTENCED, load="not-found", active="inactive", result="success", enabled=None),
    )


@pytest.mark.parametrize("text", ["", "\n\n\n", "Id=\n", "\x00\xff" * 50, "Id=other.service\n", "=\n=\n\nLoadState=x"])
def test_garbage_is_no_unit(text: str) -> None:
    assert services.parse(text) == ()


def test_the_version_is_asked_only_where_the_service_is(machine: Callable[..., Any]) -> None:
    shown = SHOWN.replace("LoadState=loaded", "LoadState=not-found")
    host = machine(
        {}, {services.COMMAND: done(shown), services.FABRIC_MANAGER: done("Fabric Manager version is : 1.2.3\n")}
    )
    found = services.probe(host)
    assert (found.fabric_manager, host.asked) == (None, [services.COMMAND])
    assert found.unit("nvidia-persistenced") == found.units[1]
    assert found.unit("docker") is None


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("Fabric Manager version is : 450.102.04\n", "450.102.04"),
        ("\n\n\tFabric Manager version is : 535.161.08\n\n", "535.161.08"),
        ("Fabric Manager version is :", None),
        ("Fabric Manager version is : 5" + "5" * 10_000, None),
        ("", None),
    ],
)
def test_fabric_manager(machine: Callable[..., Any], said: str, version: str | None) -> None:
    found = services.probe(machine({}, {services.COMMAND: done(SHOWN), services.FABRIC_MANAGER: done(said)}))
    assert found.fabric_manager == (Version(version) if version else None)


def test_a_fabric_manager_that_hangs_does_not_hide_its_service(machine: Callable[..., Any]) -> None:
    hangs = CannotLook("nv-fabricmanager --version did not answer within 5 s")
    found = services.probe(machine({}, {services.COMMAND: done(SHOWN), services.FABRIC_MANAGER: hangs}))
    assert (found.fabric_manager, found.units[0].active) == (None, "failed")


@pytest.mark.parametrize(
    ("result", "reason"),
    [(done("", 127), "no systemctl"), (done("", 1, NO_SYSTEMD), "PID 1"), (done("", 4), "said nothing")],
)
def test_without_systemd(machine: Callable[..., Any], result: Result, reason: str) -> None:
    with pytest.raises(CannotLook, match=reason):
        services.probe(machine({}, {services.COMMAND: result}))
