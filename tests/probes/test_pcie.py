"""The ports above the GPUs, as sysfs has them (Documentation/ABI/testing/sysfs-bus-pci in the kernel's sources)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gpucheck.facts import Pcie, Slot
from gpucheck.host import CannotLook, Result
from gpucheck.probes import pcie
from gpucheck.probes.pci import DEVICES

GPU, PORT = "0000:01:00.0", "0000:00:01.0"
BOUND = {pcie.BOUND: f"{GPU}\nbind\nmodule\nnew_id\nremove_id\nuevent\nunbind\n"}
ASKED = ("readlink", "-e", f"{DEVICES}/{GPU}")
BEHIND = f"/sys/devices/pci0000:00/{PORT}/{GPU}\n"


def port(**fields: str) -> dict[str, str]:
    told = {
        "uevent": "DRIVER=pcieport\nPCI_ID=8086:A70D\n",
        "max_link_width": "16\n",
        "max_link_speed": "32.0 GT/s PCIe\n",
    }
    return {f"{DEVICES}/{PORT}/{name}": text for name, text in {**told, **fields}.items()}


def look(machine: Callable[..., Any], out: str = BEHIND, **fields: str) -> Pcie:
    return pcie.probe(machine({**BOUND, **port(**fields)}, {ASKED: Result(code=0, out=out, err="")}))


def test_a_slot(machine: Callable[..., Any]) -> None:
    slot = Slot(gpu=GPU, port=PORT, virtual=False, width_max=16, gen_max=5)
    assert look(machine) == Pcie(slots=(slot,))


@pytest.mark.parametrize("identity", ["1B36:000C", "15AD:07A0", "8086:3420"])
def test_a_port_of_an_emulator(machine: Callable[..., Any], identity: str) -> None:
    assert look(machine, uevent=f"PCI_ID={identity}\n").slots[0].virtual


def test_on_the_root_bus_there_is_no_port(machine: Callable[..., Any]) -> None:
    assert look(machine, f"/sys/devices/pci0000:00/{GPU}\n") == Pcie(slots=())


@pytest.mark.parametrize(
    ("width", "speed", "told"),
    [
        ("8\n", "8 GT/s\n", (8, 3)),  # kernels before 5.7
        ("255\n", "Unknown\n", (None, None)),
        ("", "", (None, None)),
        ("9" * 5000, "\x00\xff", (None, None)),
    ],
)
def test_figures(machine: Callable[..., Any], width: str, speed: str, told: tuple[int | None, int | None]) -> None:
    slot = look(machine, max_link_width=width, max_link_speed=speed).slots[0]
    assert (slot.width_max, slot.gen_max) == told


@pytest.mark.parametrize("listing", ["", "bind\nunbind\n", "\x00" * 1000, "../../etc\n"])
def test_without_a_gpu_nothing_is_asked(machine: Callable[..., Any], listing: str) -> None:
    host = machine({pcie.BOUND: listing})
    assert (pcie.probe(host), host.asked) == (Pcie(slots=()), [])


def test_without_readlink(machine: Callable[..., Any]) -> None:
    with pytest.raises(CannotLook, match="readlink"):
        pcie.probe(machine(BOUND))
