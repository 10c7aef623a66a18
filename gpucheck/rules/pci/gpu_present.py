"""Without an NVIDIA GPU on the PCI bus no driver helps: `lspci | grep -i nvidia` prints nothing.

The card is not seated or has no power, the firmware hides it, or a virtual machine was not given one. WSL2 shows its
GPU as /dev/dxg instead, for every maker's GPU, with NVIDIA's libraries beside it if Windows has NVIDIA's driver.
"""

import re

from gpucheck.facts import Driver, Pci, System
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, unsure
from gpucheck.rules.scope import START_WITH_GPUS, count

WSL = Remedy(
    text="install NVIDIA's driver on Windows, not in here, then run `wsl --update` and `wsl --shutdown` in PowerShell",
    impact="reboot",
    verify="gpucheck doctor --only pci",
    url="https://docs.nvidia.com/cuda/wsl-user-guide/index.html",
)
COLAB = Remedy(
    text="choose a GPU in the notebook's menu: Runtime > Change runtime type > T4 GPU (or another), then Save; the "
    "machine is replaced, so run the notebook from its start again",
    impact="data",
    url="https://research.google.com/colaboratory/faq.html",
)
VIRTUAL = Remedy(
    text="take a machine type with an NVIDIA GPU, or have the hypervisor pass one through to this virtual machine; or "
    "ask for the CPU (`gpucheck verify --device cpu`)",
)


def judge(system: System, pci: Pci | None, driver: Driver | None) -> Outcome:
    nodes = [n.path for n in driver.devices if re.fullmatch(r"/dev/(nvidia\d+|dxg)", n.path)] if driver else []
    if system.wsl:
        if driver is None:
            return unsure("whether WSL2 hands a GPU over could not be looked at")
        if nodes and driver.libraries:
            return ok(f"WSL2 hands the GPU over as {nodes[0]}")
        if nodes and system.container:
            return unsure(f"{nodes[0]} is here; NVIDIA's libraries were not found, so whose GPU it is is not known")
        missing = "none of NVIDIA's libraries" if nodes else "no /dev/dxg"
        remedy = START_WITH_GPUS if system.container else WSL
        return bad(f"WSL2 hands no NVIDIA GPU over: there is {missing}", remedy=remedy)
    if pci and pci.gpus:
        addresses = ", ".join(gpu.address for gpu in pci.gpus)
        return ok(f"{count(len(pci.gpus), 'NVIDIA GPU')} on the PCI bus ({addresses})")
    if nodes:
        return ok(f"the PCI bus shows none, but {nodes[0]} is here")
    if pci is None:
        return unsure("the PCI bus could not be looked at, and there is no /dev/nvidia0")
    if "tegra" in system.kernel:
        return unsure(f"kernel {system.kernel} is a Jetson's, whose GPU is not on the PCI bus")
    if system.colab:
        return bad("this is a Colab runtime without a GPU", remedy=COLAB)
    if system.hypervisor:
        made = f"{system.hypervisor}: {system.product or system.vendor}"
        return bad(f"there is no NVIDIA GPU on the PCI bus of this virtual machine ({made})", remedy=VIRTUAL)
    return bad("there is no NVIDIA GPU on the PCI bus")


RULE = Rule(
    id="pci.gpu-present",
    title="This machine has an NVIDIA GPU",
    judge=judge,
    after=("system.supported",),
    remedy=Remedy(
        text="use a machine with an NVIDIA GPU, or ask for the CPU (`gpucheck verify --device cpu`); if a card is in, "
        "look at its seat, its power cable and the firmware's PCIe settings, and in a VM at what was passed through",
        impact="reboot",
        verify="gpucheck doctor --only pci",
    ),
)
