"""One probe for each subject of a host, in the order a person would look."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gpucheck import facts
from gpucheck.host import Host
from gpucheck.probes import (
    cloud,
    compute,
    container_toolkit,
    cudnn,
    dkms,
    docker,
    dockerd,
    driver,
    frameworks,
    kernel,
    kernel_log,
    linker,
    nvml,
    packages,
    pci,
    pci_bridges,
    pcie,
    selinux,
    services,
    suspend,
    system,
    toolkit,
    user,
)

Probe = Callable[[Host], Any]

PROBES: dict[type, Probe] = {
    facts.System: system.probe,
    facts.User: user.probe,
    facts.Suspend: suspend.probe,
    facts.Pci: pci.probe,
    facts.PciBridges: pci_bridges.probe,
    facts.Cloud: cloud.probe,
    facts.CloudEvents: cloud.probe_events,
    facts.Kernel: kernel.probe,
    facts.Dkms: dkms.probe,
    facts.Packages: packages.probe,
    facts.Driver: driver.probe,
    facts.KernelLog: kernel_log.probe,
    facts.Nvml: nvml.probe,
    facts.Pcie: pcie.probe,
    facts.Services: services.probe,
    facts.Linker: linker.probe,
    facts.Toolkit: toolkit.probe,
    facts.Cudnn: cudnn.probe,
    facts.Docker: docker.probe,
    facts.Dockerd: dockerd.probe,
    facts.Selinux: selinux.probe,
    facts.ContainerToolkit: container_toolkit.probe,
    facts.Frameworks: frameworks.probe,
}

# Asked after PROBES, and only where it is wanted: `doctor --deep`. It keeps every GPU busy for some seconds.
DEEP_PROBES: dict[type, Probe] = {facts.Compute: compute.probe}
