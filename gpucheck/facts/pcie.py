"""The PCI Express links of the GPUs, as their slots see them."""

from __future__ import annotations

from gpucheck.facts.version import fact


@fact
class Slot:
    """The port above a GPU: what it can do is what the GPU can get, however wide the card is."""

    gpu: str  # 0000:01:00.0, as in PciDevice
    port: str  # 0000:00:01.0
    virtual: bool  # of an emulator: its figures say nothing
    width_max: int | None
    gen_max: int | None


@fact
class Pcie:
    slots: tuple[Slot, ...]  # () = no GPU has a port above it, as in most virtual machines
