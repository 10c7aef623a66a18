"""One probe for each subject of a host, in the order a person would look."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gpucheck import facts
from gpucheck.host import Host
from gpucheck.probes import (
    container_toolkit,
    cudnn,
    docker,
    driver,
    frameworks,
    kernel,
    nvml,
    pci,
    system,
    toolkit,
)

Probe = Callable[[Host], Any]

PROBES: dict[type, Probe] = {
    facts.System: system.probe,
    facts.Pci: pci.probe,
    facts.Kernel: kernel.probe,
    facts.Driver: driver.probe,
    facts.Nvml: nvml.probe,
    facts.Toolkit: toolkit.probe,
    facts.Cudnn: cudnn.probe,
    facts.Docker: docker.probe,
    facts.ContainerToolkit: container_toolkit.probe,
    facts.Frameworks: frameworks.probe,
}
