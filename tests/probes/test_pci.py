from collections.abc import Callable
from typing import Any

import pytest

from gpucheck.facts import PciDevice
from gpucheck.host import CannotLook
from gpucheck.probes import pci

Machine = Callable[..., Any]

H100 = """DRIVER=nvidia
PCI_CLASS=30200
PCI_ID=10DE:2330
PCI_SUBSYS_ID=10DE:16C1
PCI_SLOT_NAME=0000:18:00.0
MODALIAS=pci:v000010DEd00002330sv000010DEsd000016C1bc03sc02i00
"""


def bus(**devices: str) -> dict[str, str]:
    files = {f"{pci.DEVICES}/{address}/uevent": text for address, text in devices.items()}
    return {pci.DEVICES: "".join(f"{address}\n" for address in devices), **files}


def test_a_gpu_its_audio_function_and_an_nvswitch(machine: Machine) -> None:
    found = pci.probe(
        machine(
            bus(
                **{
                    "0000:00:1f.0": "PCI_CLASS=60100\nPCI_ID=8086:1B81\n",
                    "0000:18:00.0": H100,
                    "0000:18:00.1": "DRIVER=snd_hda_intel\nPCI_CLASS=40300\nPCI_ID=10DE:22BA\n",
                    "0000:07:00.0": "DRIVER=nvidia-nvswitch\nPCI_CLASS=68000\nPCI_ID=10DE:22A3\n",
                    "0000:01:00.0": "PCI_CLASS=30000\nPCI_ID=10DE:2684\n",
                }
            )
        )
    )
    assert found.gpus == (
        PciDevice(address="0000:18:00.0", device_id="2330", driver="nvidia"),
        PciDevice(address="0000:01:00.0", device_id="2684", driver=None),
    )
    assert [switch.device_id for switch in found.nvswitches] == ["22a3"]


def test_another_makers_gpu_and_a_device_that_just_went_away(machine: Machine) -> None:
    files = bus(**{"0000:03:00.0": "PCI_CLASS=30000\nPCI_ID=1002:744C\n"})
    files[pci.DEVICES] += "0000:05:00.0\n"
    found = pci.probe(machine(files))
    assert (found.gpus, found.nvswitches) == ((), ())


@pytest.mark.parametrize("uevent", ["torn", ""])
def test_a_device_that_cannot_be_told_may_be_a_gpu(machine: Machine, uevent: str) -> None:
    with pytest.raises(CannotLook, match=r"0000:04:00\.0"):
        pci.probe(machine(bus(**{"0000:04:00.0": uevent})))


def test_without_a_bus_nothing_is_known(machine: Machine) -> None:
    with pytest.raises(CannotLook, match="PCI bus"):
        pci.probe(machine({"/proc/sys/kernel/osrelease": "6.1.0\n"}))


def test_wsl_has_no_gpu_on_its_bus(machine: Machine) -> None:
    found = pci.probe(machine({"/proc/sys/kernel/osrelease": "5.15.153.1-microsoft-standard-WSL2\n"}))
    assert found.gpus == ()


# --- the link and the memory regions: drivers/pci/pci-sysfs.c ---

ABSENT = "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
BAR0 = "0x00000000b2000000 0x00000000b2ffffff 0x0000000000040200\n"
BAR1 = "0x0000028800000000 0x0000028fffffffff 0x000000000014220c\n" + ABSENT
BAR3 = "0x0000028400000000 0x0000028401ffffff 0x000000000014220c\n" + ABSENT
UNSET_BAR1 = "0x0000000000000000 0x00000007ffffffff 0x000000002014220c\n" + ABSENT
LINK = {
    "current_link_width": "8\n", "max_link_width": "16\n", "current_link_speed": "2.5 GT/s PCIe\n",
    "max_link_speed": "16.0 GT/s PCIe\n", "power_state": "D0\n", "resource": BAR0 + BAR1 + BAR3 + ABSENT * 8,
}  # fmt: skip


def gpu_with(machine: Machine, **changes: str | CannotLook | None) -> PciDevice:
    files: dict[str, Any] = bus(**{"0000:18:00.0": H100})
    files |= {f"{pci.DEVICES}/0000:18:00.0/{name}": text for name, text in {**LINK, **changes}.items()}
    return pci.probe(machine(files)).gpus[0]


def test_the_link_of_a_gpu(machine: Machine) -> None:
    found = gpu_with(machine)
    assert (found.answers, found.power, found.unassigned) == (True, "D0", ())
    assert (found.link_width, found.link_width_max) == (8, 16)
    assert (found.link_speed, found.link_speed_max) == ("2.5 GT/s", "16.0 GT/s")


@pytest.mark.parametrize("width", ["63\n", CannotLook("current_link_width: Invalid argument"), "", "\ufffd"])
def test_a_gpu_that_fell_off_the_bus(machine: Machine, width: str | CannotLook) -> None:
    found = gpu_with(machine, current_link_width=width, current_link_speed="Unknown\n")
    assert (found.answers, found.link_width, found.link_width_max, found.link_speed) == (False, None, None, None)


def test_a_gpu_that_sleeps_is_left_alone(machine: Machine) -> None:
    found = gpu_with(machine, power_state="D3cold\n", current_link_width="63\n")
    assert (found.answers, found.power, found.link_width) == (None, "D3cold", None)


@pytest.mark.parametrize(("status", "answers"), [("suspended\n", None), ("active\n", False), (None, False)])
def test_a_kernel_before_5_11_tells_of_sleep_elsewhere(
    machine: Machine, status: str | None, answers: bool | None
) -> None:
    """`power_state` came with 5.11; `power/runtime_status` is in Documentation/ABI/testing/sysfs-devices-power."""
    found = gpu_with(machine, **{"power_state": None, "power/runtime_status": status, "current_link_width": "63\n"})
    assert (found.answers, found.power) == (answers, "suspended" if answers is None else None)


def test_a_link_that_this_kernel_does_not_show(machine: Machine) -> None:
    """A virtual machine's GPU need not be a PCI Express device."""
    found = gpu_with(machine, current_link_width=None, current_link_speed=CannotLook("Permission denied"))
    assert (found.answers, found.link_speed) == (None, None)


@pytest.mark.parametrize(
    ("resource", "device_id", "missing"),
    [
        (BAR0 + ABSENT * 2 + BAR3 + ABSENT * 8, "2684", (1,)),
        (BAR0 + UNSET_BAR1 + BAR3 + ABSENT * 8, "2684", (1,)),
        (ABSENT * 13, "2684", (0, 1, 3)),
        (ABSENT * 13, "2342", (0,)),
        (BAR0 + ABSENT * 12, "2342", ()),  # GH200: its memory is on the CPU's own bus
        (BAR0 + ABSENT * 12, "2e12", ()),
        (BAR0 + ABSENT * 12, "31c2", ()),  # GB300
        (BAR0 + ABSENT * 12, "3182", (1, 3)),  # the same chip on an x86 board
        ("", "2684", None),
        ("\ufffd" * 1000, "2684", None),
    ],
)
def test_regions_without_an_address(resource: str, device_id: str, missing: tuple[int, ...] | None) -> None:
    assert pci.parse_unassigned(resource, device_id) == missing
