"""Whether PCIe switches send what one GPU writes to another through the CPU (ACS). Only root is told, by lspci."""

from __future__ import annotations

import re

from gpucheck.facts import PciBridges
from gpucheck.host import NO_SUCH_COMMAND, CannotLook, Host
from gpucheck.probes import pci

COMMAND = ("lspci", "-vvv", "-d", "::0604")
CPUINFO = "/proc/cpuinfo"
# A port of a switch, on its lower side: traffic between root ports goes through the CPU anyway.
DOWNSTREAM = re.compile(r"^[ \t]+Capabilities: \[[0-9a-f]{1,4}\] Express \(v\d\) Downstream Port", re.MULTILINE)
REDIRECTS = re.compile(r"^[ \t]+ACSCtl:\s.{0,80}\bReqRedir\+", re.MULTILINE)
DENIED = "<access denied>"


def probe(host: Host) -> PciBridges:
    gpus = [u for u in pci.nvidia_devices(host).values() if u.get("PCI_CLASS", "").zfill(6).startswith("03")]
    if len(gpus) < 2 or virtual(host.read(CPUINFO) or ""):  # a VM needs ACS, and its bridges are emulated
        return PciBridges(redirecting=None)
    result = host.run(COMMAND)
    if result.code == NO_SUCH_COMMAND:
        raise CannotLook("there is no lspci command, so what the PCIe switches redirect is not known")
    if result.code != 0 or DENIED in result.out:
        raise CannotLook("what the PCIe switches redirect (ACS) is told to root alone")
    if not re.match(r"[0-9a-f]{2,8}:", result.out):  # a real machine has root ports, if nothing else
        raise CannotLook("what lspci says cannot be read")
    return PciBridges(redirecting=parse(result.out))


def virtual(cpuinfo: str) -> bool:
    """The processor's flag for a guest; Arm has none, and counts as a machine of its own."""
    return re.search(r"^flags\s*:.*\bhypervisor\b", cpuinfo[:100_000], re.MULTILINE) is not None


def parse(text: str) -> tuple[str, ...]:
    """Addresses of the switches' ports that redirect. A device starts with its address at the line's start."""
    blocks = re.split(r"\n(?=[0-9a-f]{2,8}:)", text)
    found = [block.split(" ", 1)[0] for block in blocks if DOWNSTREAM.search(block) and REDIRECTS.search(block)]
    return tuple(address if address.count(":") > 1 else f"0000:{address}" for address in found)


def kept(text: str) -> str:
    """The lines that parse() reads, and whether lspci was refused something."""
    read = re.compile(r"[0-9a-f]{2,8}:[0-9a-f:.]{4,10} |[ \t]+(?:Capabilities: \[[0-9a-f]{1,4}\] Express |ACSCtl:)")
    found = filter(read.match, text.splitlines())
    lines = [line if line[0] in " \t" else line.split(" ", 1)[0] + " " for line in found]
    return "".join(f"{line}\n" for line in (*lines, *([f"\t{DENIED}"] if DENIED in text else [])))


def kept_cpuinfo(text: str) -> str:
    return "flags : hypervisor\n" if virtual(text) else ""
