"""The ports that the GPUs are plugged into, by sysfs: how wide and how fast a slot is, whatever the card could do."""

from __future__ import annotations

import re

from gpucheck.facts import Pcie, Slot
from gpucheck.host import NO_SUCH_COMMAND, CannotLook, Host
from gpucheck.probes.pci import DEVICES, parse_uevent

BOUND = "/sys/bus/pci/drivers/nvidia"  # a folder that names, among files, the devices that the driver has
ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
EMULATORS = ("1B36:", "15AD:", "8086:3420")  # vendors of QEMU's and VMware's ports; the Intel port that QEMU imitates
MOST = 256  # GPUs
GENERATIONS = {"2.5": 1, "5": 2, "5.0": 2, "8": 3, "8.0": 3, "16": 4, "16.0": 4, "32": 5, "32.0": 5, "64": 6, "64.0": 6}


def probe(host: Host) -> Pcie:
    gpus = [name for name in (host.read(BOUND) or "").split() if ADDRESS.fullmatch(name)][:MOST]
    if not gpus:
        return Pcie(slots=())
    result = host.run(("readlink", "-e", *(f"{DEVICES}/{gpu}" for gpu in gpus)))
    if result.code == NO_SUCH_COMMAND or result.err:
        raise CannotLook(f"readlink -e does not work here: {(result.err.strip() or 'no such command').splitlines()[0]}")
    return Pcie(slots=tuple(_slot(host, gpu, port) for gpu, port in parse(result.out)))


def parse(text: str) -> tuple[tuple[str, str], ...]:
    """(GPU, port) of real paths: /sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0; on the root bus is no port."""
    found = []
    for line in text.splitlines():
        *_, port, gpu = ("", "", *line.split("/"))
        if ADDRESS.fullmatch(gpu) and ADDRESS.fullmatch(port):
            found.append((gpu, port))
    return tuple(found)


def _slot(host: Host, gpu: str, port: str) -> Slot:
    folder = f"{DEVICES}/{port}"
    identity = parse_uevent(host.read(f"{folder}/uevent") or "").get("PCI_ID", "")
    width = (host.read(f"{folder}/max_link_width") or "").strip()
    speed = (host.read(f"{folder}/max_link_speed") or "").partition(" ")[0]  # "16.0 GT/s PCIe"; older: "8 GT/s"
    return Slot(
        gpu=gpu,
        port=port,
        virtual=identity.upper().startswith(EMULATORS),
        # 255 is a link that cannot be read, 0 one that is none.
        width_max=int(width) if width in ("1", "2", "4", "8", "12", "16", "32") else None,
        gen_max=GENERATIONS.get(speed),
    )
