"""NVIDIA's devices on the PCI bus, by sysfs: true whatever the driver does."""

from __future__ import annotations

from gpucheck.facts import Pci, PciDevice
from gpucheck.host import CannotLook, Host

DEVICES = "/sys/bus/pci/devices"
NVIDIA = "10DE"


def probe(host: Host) -> Pci:
    listing = host.read(DEVICES)
    if listing is None:
        if "microsoft" in (host.read("/proc/sys/kernel/osrelease") or "").lower():
            return Pci(gpus=(), nvswitches=())  # WSL hands a GPU over as /dev/dxg, never on this bus
        raise CannotLook("this system shows no PCI bus (there is no /sys/bus/pci)")
    gpus, nvswitches = [], []
    for address in listing.split():
        uevent = parse_uevent(host.read(f"{DEVICES}/{address}/uevent") or "")
        vendor, _, device_id = uevent.get("PCI_ID", "").partition(":")
        if vendor.upper() != NVIDIA:
            continue
        device = PciDevice(address=address, device_id=device_id.lower(), driver=uevent.get("DRIVER"))
        kind = uevent.get("PCI_CLASS", "").zfill(6)[:4]  # "30200": the kernel prints no leading zero
        if kind.startswith("03"):
            gpus.append(device)
        elif kind == "0680":
            nvswitches.append(device)
    return Pci(gpus=tuple(gpus), nvswitches=tuple(nvswitches))


def parse_uevent(text: str) -> dict[str, str]:
    """NAME=value lines of a device's uevent: DRIVER only where one is bound."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
