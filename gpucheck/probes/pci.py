"""NVIDIA's devices on the PCI bus, by sysfs: true whatever the driver does.

Vendor and device id are the kernel's own copies and outlive the device. The link's status is read from the device each
time (drivers/pci/pci-sysfs.c): one that is gone answers every read with ones, so 63 lanes, or the read fails.
"""

from __future__ import annotations

import re

from gpucheck.facts import Pci, PciDevice
from gpucheck.host import CannotLook, Host

DEVICES = "/sys/bus/pci/devices"
NVIDIA = "10DE"
ALL_ONES = 63  # lanes: the field has six bits
ASLEEP = ("D3hot", "D3cold", "suspended")
BAR_COUNT, NEEDED_BARS = 6, 3  # registers, memory, and the driver's own
# Registers are all that the driver needs where the GPU's memory is on the CPU's own bus (detect-self-hosted.h): Grace
# Hopper, Grace Blackwell; and GB10, the GPU in one chip with its CPU.
SELF_HOSTED = (range(0x2340, 0x2380), range(0x2940, 0x2980), range(0x31C0, 0x3200), range(0x2E00, 0x2F00))
UNSET = 0x20000000  # IORESOURCE_UNSET (include/linux/ioport.h)
BAR_64_PREFETCH = 0x4 | 0x8  # PCI_BASE_ADDRESS_MEM_TYPE_64, _MEM_PREFETCH


def probe(host: Host) -> Pci:
    gpus, nvswitches = [], []
    for address, uevent in nvidia_devices(host).items():
        kind = uevent.get("PCI_CLASS", "").zfill(6)[:4]  # "30200": the kernel prints no leading zero
        if kind.startswith("03"):
            gpus.append(_gpu(host, address, uevent))
        elif kind == "0680":
            nvswitches.append(_device(address, uevent))
    return Pci(gpus=tuple(gpus), nvswitches=tuple(nvswitches))


def nvidia_devices(host: Host) -> dict[str, dict[str, str]]:
    """Address and uevent of all that NVIDIA made."""
    listing = host.read(DEVICES)
    if listing is None:
        if "microsoft" in (host.read("/proc/sys/kernel/osrelease") or "").lower():
            return {}  # WSL hands a GPU over as /dev/dxg, never on this bus
        raise CannotLook("this system shows no PCI bus (there is no /sys/bus/pci)")
    addresses = re.findall(r"^[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$", listing, re.MULTILINE)
    uevents = {address: _uevent(host, address) for address in addresses}
    return {a: uevent for a, uevent in uevents.items() if uevent.get("PCI_ID", "").upper().startswith(f"{NVIDIA}:")}


def _uevent(host: Host, address: str) -> dict[str, str]:
    """Of a device that has gone meanwhile nothing. Raises CannotLook where it cannot be told what a device is."""
    text = host.read(f"{DEVICES}/{address}/uevent")
    if text is not None and "PCI_ID=" not in text:
        raise CannotLook(f"what {address} on the PCI bus is cannot be read")
    return parse_uevent(text or "")


def _device(address: str, uevent: dict[str, str]) -> PciDevice:
    device_id = uevent["PCI_ID"].partition(":")[2].lower()
    return PciDevice(address=address, device_id=device_id, driver=uevent.get("DRIVER"))


def _gpu(host: Host, address: str, uevent: dict[str, str]) -> PciDevice:
    device = _device(address, uevent)
    power = (_text(host, address, "power_state") or "").strip() or None
    if power is None and (_text(host, address, "power/runtime_status") or "").strip() == "suspended":
        power = "suspended"  # a kernel before 5.11 tells no more
    link: dict[str, str | None] = {}
    if power not in ASLEEP:  # to ask would wake it, or be answered with ones by an older kernel
        link = {name: _text(host, address, f"{name}_link_width") for name in ("current", "max")}
        link |= {f"{name}_speed": _text(host, address, f"{name}_link_speed") for name in ("current", "max")}
    width = parse_number(link.get("current"))
    answers = None if link.get("current") is None else width not in (None, ALL_ONES)
    return PciDevice(
        address=address,
        device_id=device.device_id,
        driver=device.driver,
        answers=answers,
        power=power,
        link_speed=parse_speed(link.get("current_speed")),
        link_speed_max=parse_speed(link.get("max_speed")),
        link_width=width if answers else None,
        link_width_max=parse_number(link.get("max")) if answers else None,
        unassigned=parse_unassigned(_text(host, address, "resource") or "", device.device_id),
    )


def _text(host: Host, address: str, name: str) -> str | None:
    """One file of a device, None where there is none; "" where the kernel got no answer from the device."""
    try:
        return host.read(f"{DEVICES}/{address}/{name}")
    except CannotLook as reason:
        if "Invalid argument" in str(reason):
            return ""
        return None


def parse_uevent(text: str) -> dict[str, str]:
    """NAME=value lines of a device's uevent: DRIVER only where one is bound."""
    uevent = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    if not re.fullmatch(r"[0-9A-Fa-f]{4}:[0-9A-Fa-f]{4}", uevent.get("PCI_ID", "")):
        uevent.pop("PCI_ID", None)
    return uevent


def parse_number(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch(r"[0-9]{1,3}\n?", text) else None


def parse_speed(text: str | None) -> str | None:
    """ "16.0 GT/s PCIe"; "Unknown" is what a device that does not answer has."""
    found = re.match(r"[0-9.]{1,5} GT/s", text or "")
    return found[0] if found else None


def parse_unassigned(text: str, device_id: str) -> tuple[int, ...] | None:
    """Numbers of the BARs without an address, by the driver's own check (nv_pci_validate_bars in nv-pci.c).

    Each line of `resource` is a start, an end and flags. The line after a 64-bit BAR is that one's upper half.
    """
    rows = re.findall(r"^0x([0-9a-f]{1,16}) 0x([0-9a-f]{1,16}) 0x([0-9a-f]{1,16})$", text, re.MULTILINE)[:BAR_COUNT]
    if len(rows) < BAR_COUNT:
        return None
    needed = 1 if any(int(device_id, 16) in span for span in SELF_HOSTED) else NEEDED_BARS
    seen, missing, upper_half = 0, [], False
    for number, (start, end, flags) in enumerate((int(a, 16), int(b, 16), int(c, 16)) for a, b, c in rows):
        if seen == needed:
            break
        if start and end > start and not flags & UNSET:
            seen += 1
            upper_half = flags & BAR_64_PREFETCH == BAR_64_PREFETCH
        elif upper_half and not flags:
            upper_half = False
        else:
            seen += 1
            missing.append(number)
            upper_half = bool(flags) or number > 0  # what was to be a 64-bit BAR
    return tuple(missing)
