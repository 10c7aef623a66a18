"""lspci -vvv of pciutils 3.9 and 3.13: the kernel's mailing list, and fastfetch-cli/fastfetch issue 1658."""

from collections.abc import Callable
from typing import Any

import pytest

from gpucheck.facts import PciBridges
from gpucheck.host import CannotLook, Result
from gpucheck.probes import pci, pci_bridges

Machine = Callable[..., Any]

ROOT_PORT = """00:01.1 PCI bridge: AMD Starship/Matisse GPP Bridge (prog-if 00 [Normal decode])
\tCapabilities: [58] Express (v2) Root Port (Slot+), IntMsgNum 0
\tCapabilities: [2a0 v1] Access Control Services
\t\tACSCap:\tSrcValid+ TransBlk+ ReqRedir+ CmpltRedir+ UpstreamFwd+ EgressCtrl- DirectTrans+
\t\tACSCtl:\tSrcValid+ TransBlk- ReqRedir+ CmpltRedir+ UpstreamFwd+ EgressCtrl- DirectTrans-
"""
PORT = """39:01.0 PCI bridge: Broadcom / LSI PEX890xx PCIe Gen 5 Switch (rev b0) (prog-if 00 [Normal decode])
\tCapabilities: [68] Express (v2) Downstream Port (Slot+), IntMsgNum 0
\t\tACSCap:\tSrcValid+ TransBlk+ ReqRedir+ CmpltRedir+ UpstreamFwd+ EgressCtrl+ DirectTrans+
\t\tACSCtl:\tSrcValid+ TransBlk- ReqRedir+ CmpltRedir+ UpstreamFwd+ EgressCtrl- DirectTrans-
"""
OFF = PORT.replace("39:01.0", "0001:3a:01.0").replace(
    "ACSCtl:\tSrcValid+ TransBlk- ReqRedir+", "ACSCtl:\tSrcValid- ReqRedir-"
)
DENIED = "39:01.0 PCI bridge: Broadcom / LSI\n\tCapabilities: <access denied>\n"
GPU = "DRIVER=nvidia\nPCI_CLASS=30200\nPCI_ID=10DE:2330\n"


def bus(gpus: int) -> dict[str, str]:
    addresses = [f"0000:{number:02x}:00.0" for number in range(1, gpus + 1)]
    return {
        pci.DEVICES: "".join(f"{address}\n" for address in addresses),
        **{f"{pci.DEVICES}/{address}/uevent": GPU for address in addresses},
    }


def told(out: str, code: int = 0) -> dict[tuple[str, ...], Result]:
    return {pci_bridges.COMMAND: Result(code=code, out=out, err="lspci: Unable to load libkmod resources: error -2\n")}


@pytest.mark.parametrize(
    ("out", "found"),
    [
        (ROOT_PORT, ()),  # traffic between root ports passes the CPU whatever it says
        (f"{ROOT_PORT}\n{PORT}\n{OFF}", ("0000:39:01.0",)),
        (PORT.replace("39:01.0", "0001:39:01.0"), ("0001:39:01.0",)),
        (OFF, ()),
    ],
)
def test_ports_that_redirect(machine: Machine, out: str, found: tuple[str, ...]) -> None:
    assert pci_bridges.probe(machine(bus(2), told(out))) == PciBridges(redirecting=found)
    assert pci_bridges.parse(pci_bridges.kept(out)) == found


@pytest.mark.parametrize(
    "files", [bus(1), {**bus(8), pci_bridges.CPUINFO: "processor\t: 0\nflags\t\t: fpu hypervisor lahf_lm\n"}]
)
def test_a_single_gpu_or_a_guest_is_not_asked(machine: Machine, files: dict[str, str]) -> None:
    host = machine(files, told(PORT))
    assert pci_bridges.probe(host) == PciBridges(redirecting=None)
    assert host.asked == []


@pytest.mark.parametrize(
    ("runs", "says"),
    [
        ({}, "no lspci"),
        (told(DENIED), "root alone"),
        (told("", code=1), "root alone"),
        (told(""), "cannot be read"),  # not even a root port
    ],
)
def test_without_root_or_an_answer_nothing_is_known(
    machine: Machine, runs: dict[tuple[str, ...], Result], says: str
) -> None:
    with pytest.raises(CannotLook, match=says):
        pci_bridges.probe(machine(bus(2), runs))


def test_what_is_kept_still_says_that_it_was_refused() -> None:
    assert pci_bridges.DENIED in pci_bridges.kept(DENIED)
    assert pci_bridges.virtual(pci_bridges.kept_cpuinfo("flags\t\t: fpu hypervisor\n"))
    assert not pci_bridges.virtual(pci_bridges.kept_cpuinfo("flags\t\t: fpu\n"))


def test_blank_lines_without_end() -> None:
    assert pci_bridges.parse("\n \n" * 500_000) == ()
