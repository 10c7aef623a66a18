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
    files = bus(**{"0000:03:00.0": "PCI_CLASS=30000\nPCI_ID=1002:744C\n", "0000:04:00.0": "torn"})
    files[pci.DEVICES] += "0000:05:00.0\n"
    found = pci.probe(machine(files))
    assert (found.gpus, found.nvswitches) == ((), ())


def test_without_a_bus_nothing_is_known(machine: Machine) -> None:
    with pytest.raises(CannotLook, match="PCI bus"):
        pci.probe(machine({"/proc/sys/kernel/osrelease": "6.1.0\n"}))


def test_wsl_has_no_gpu_on_its_bus(machine: Machine) -> None:
    found = pci.probe(machine({"/proc/sys/kernel/osrelease": "5.15.153.1-microsoft-standard-WSL2\n"}))
    assert found.gpus == ()
