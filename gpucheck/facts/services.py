"""What systemd runs for the GPUs."""

from __future__ import annotations

from gpucheck.facts.version import Version, fact


@fact
class Unit:
    name: str  # nvidia-fabricmanager.service
    load: str  # loaded, not-found, masked, ...
    active: str  # active, inactive, failed, activating, ...
    result: str | None  # success, exit-code, ...: of its last run
    enabled: bool | None  # it starts with the machine; None = a unit without an [Install] section, or there is none


@fact
class Services:
    units: tuple[Unit, ...]  # those asked for, also where they are not installed
    fabric_manager: Version | None  # of its program; None = not installed, or it does not tell

    def unit(self, name: str) -> Unit | None:
        return next((unit for unit in self.units if unit.name == f"{name}.service"), None)
