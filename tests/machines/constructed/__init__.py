"""The constructed machines, by what is wrong with them."""

from __future__ import annotations

from tests.machines.constructed import (
    basics,
    branches,
    bus,
    clouds,
    containers,
    distributions,
    driver,
    hardware,
    kernel_log,
    layouts,
    places,
    software,
)
from tests.machines.parts import Described

MACHINES: dict[str, Described] = {
    **basics.MACHINES,
    **branches.MACHINES,
    **bus.MACHINES,
    **clouds.MACHINES,
    **containers.MACHINES,
    **distributions.MACHINES,
    **driver.MACHINES,
    **hardware.MACHINES,
    **kernel_log.MACHINES,
    **layouts.MACHINES,
    **places.MACHINES,
    **software.MACHINES,
}
