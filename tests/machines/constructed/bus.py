"""The PCI bus: GPUs that are given away, gone, asleep or without addresses, and switches between them."""

from __future__ import annotations

from gpucheck.probes import pci_bridges
from tests.machines.constructed.basics import DESKTOP_NVML, H100, LAPTOP, REGISTERED, SIGNED, WORKING, installed
from tests.machines.parts import ABSENT, BAR0, BAR3, Described, done, slot

GPU = "0000:01:00.0"
GPU_IS_LOST = 15

PORT = """{address} PCI bridge: Broadcom / LSI PEX890xx PCIe Gen 5 Switch (rev b0) (prog-if 00 [Normal decode])
\tControl: I/O+ Mem+ BusMaster+ SpecCycle- MemWINV- VGASnoop- ParErr+ Stepping- SERR+ FastB2B- DisINTx+
\tCapabilities: [68] Express (v2) {kind}, MSI 00
\t\tDevCap:\tMaxPayload 512 bytes, PhantFunc 0
\tCapabilities: [320 v1] Access Control Services
\t\tACSCap:\tSrcValid+ TransBlk+ ReqRedir+ CmpltRedir+ UpstreamFwd+ EgressCtrl+ DirectTrans+
\t\tACSCtl:\tSrcValid{on} TransBlk- ReqRedir{on} CmpltRedir{on} UpstreamFwd{on} EgressCtrl- DirectTrans-
\tKernel driver in use: pcieport
"""
ROOT_PORT = PORT.format(address="18:01.0", kind="Root Port (Slot+)", on="+")


def switches(on: str) -> Described:
    ports = [
        PORT.format(address=f"{bus}:00.0", kind="Downstream Port (Slot+)", on=on) for bus in ("1a", "42", "51", "60")
    ]
    return Described(runs={pci_bridges.COMMAND: done("\n".join([ROOT_PORT, *ports]))})


FELL_OFF = Described(files=slot(GPU, speed="Unknown", width=63))
LOST_H100 = "0000:9d:00.0"

MACHINES: dict[str, Described] = {
    # An RTX 4090 in a hypervisor's hands.
    "vfio-pci-owns-gpu": installed("vfio-pci") | SIGNED,
    # Above 4G Decoding is off.
    "bars-not-assigned": installed(None)
    | SIGNED
    | Described(files=slot(GPU, regions=BAR0 + ABSENT * 2 + BAR3 + ABSENT * 8)),
    "gpu-fell-off-the-bus": WORKING
    | REGISTERED
    | FELL_OFF
    | Described(nvml="rtx4090-laptop", nvml_changes={**DESKTOP_NVML, "ret.nvmlDeviceGetHandleByIndex_v2": GPU_IS_LOST}),
    "gpu-fell-off-the-bus-1-of-8": H100
    | switches("-")
    | Described(
        files=slot(LOST_H100, speed="Unknown", width=63),
        nvml_changes={"ret.nvmlDeviceGetHandleByIndex_v2.4": GPU_IS_LOST}
    ),
    # Optimus: the GPU sleeps while nobody uses it, and that is no fault.
    "laptop-gpu-asleep": LAPTOP | Described(files=slot(GPU, power="D3cold")),
    "acs-redirects-peers": H100 | switches("+"),
}  # fmt: skip
