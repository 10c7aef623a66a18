"""What a GPU's PCIe link carries, by what NVML, its slot and the kernel say of it."""

from __future__ import annotations

from gpucheck.facts import ComputeGpu, Gpu, Pcie

# Bytes a second of a lane without what its encoding takes: Linux, drivers/pci/pci.h, PCIE_SPEED2MBS_ENC.
LANE = {
    1: 2.5e9 / 10, 2: 5e9 / 10, 3: 1e9 * 128 / 130, 4: 2e9 * 128 / 130, 5: 4e9 * 128 / 130, 6: 8e9,
}  # fmt: skip
Link = tuple[int, int]  # generation, width


def rate(link: Link) -> float:
    """Bytes a second, each way."""
    return LANE[link[0]] * link[1]


def promised(gpu: ComputeGpu, told: Gpu | None, pcie: Pcie | None) -> Link | None:
    """Of GPU and slot together; of the link as it was where only that is known. A MIG device has no link of its own."""
    if told and told.pcie_gen_max in LANE and told.pcie_width_max:
        slot = next((s for s in pcie.slots if s.gpu == told.pci_address and not s.virtual), None) if pcie else None
        gens = (told.pcie_gen_max, slot.gen_max if slot and slot.gen_max in LANE else None)
        widths = (told.pcie_width_max, slot.width_max if slot else None)
        return min(gen for gen in gens if gen), min(width for width in widths if width)
    return under_load(gpu) if gpu.uuid.startswith("GPU-") else None


def under_load(gpu: ComputeGpu) -> Link | None:
    """As it was right after the copies."""
    if gpu.copies and gpu.copies.pcie_gen in LANE and gpu.copies.pcie_width:
        return gpu.copies.pcie_gen, gpu.copies.pcie_width
    return None
