"""The units that GPUs need, asked of systemd in one command, and the fabric manager's own version."""

from __future__ import annotations

import re

from gpucheck.facts import Services, Unit, Version
from gpucheck.host import NO_SUCH_COMMAND, CannotLook, Host

UNITS = ("nvidia-fabricmanager.service", "nvidia-persistenced.service")
PROPERTIES = ("Id", "LoadState", "ActiveState", "Result", "UnitFileState")
COMMAND = ("systemctl", "show", f"--property={','.join(PROPERTIES)}", *UNITS)
FABRIC_MANAGER = ("nv-fabricmanager", "--version")


def probe(host: Host) -> Services:
    result = host.run(COMMAND)
    if result.code == NO_SUCH_COMMAND:
        raise CannotLook("systemd does not run here (there is no systemctl)")
    if result.code != 0:
        said = (result.err.strip() or "it said nothing").splitlines()[0][:200]
        raise CannotLook(f"systemctl gives {result.code}: {said.rstrip('.')}")
    units = parse(result.out)
    installed = any(unit.name == UNITS[0] and unit.load == "loaded" for unit in units)
    return Services(units=units, fabric_manager=_fabric_manager(host) if installed else None)


def parse(text: str) -> tuple[Unit, ...]:
    """Blocks of NAME=value, an empty line between two; a unit that is not there has one too."""
    blocks = (dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in text.split("\n\n"))
    return tuple(
        Unit(
            name=block["Id"],
            load=block.get("LoadState", ""),
            active=block.get("ActiveState", ""),
            result=block.get("Result") or None,
            enabled={"enabled": True, "enabled-runtime": True, "disabled": False}.get(block.get("UnitFileState", "")),
        )
        for block in blocks
        if block.get("Id") in UNITS
    )


def _fabric_manager(host: Host) -> Version | None:
    """Its service says more than its version: a program that hangs does not take that away."""
    try:
        result = host.run(FABRIC_MANAGER)
    except CannotLook:
        return None
    return parse_version(result.out[:4096])


def parse_version(text: str) -> Version | None:
    """ "Fabric Manager version is : 535.161.08" """
    number = re.search(r"Fabric Manager version is\s{0,8}:\s{0,8}(\d{1,5}(?:\.\d{1,5}){1,3})\s", f"{text}\n")
    return Version(number[1]) if number else None
