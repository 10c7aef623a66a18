"""A healthy machine in literals, to be changed by what a test is about."""

from dataclasses import replace

from gpucheck.facts import DeviceNode, Driver, Kernel, Library, Pci, PciDevice, System, Version

SYSTEM = System(
    os="Debian GNU/Linux 12", os_family="debian", os_id="debian", kernel="6.1.0-30-amd64", arch="x86_64", cpus=8,
    memory_bytes=2**35, shm_bytes=2**34, container=None, wsl=False, environment={},
)  # fmt: skip
WSL, CONTAINER = replace(SYSTEM, wsl=True), replace(SYSTEM, container="docker")
CTL = DeviceNode(path="/dev/nvidiactl", major=195, minor=255, mode="666", group="root")
GPU0 = DeviceNode(path="/dev/nvidia0", major=195, minor=0, mode="666", group="root")
UVM = DeviceNode(path="/dev/nvidia-uvm", major=509, minor=0, mode="666", group="root")
DXG = DeviceNode(path="/dev/dxg", major=10, minor=127, mode="666", group="root")
LIBRARIES = tuple(
    Library(path=f"/usr/lib/x86_64-linux-gnu/{name}.so.570.124.06", version=Version("570.124.06"))
    for name in ("libcuda", "libnvidia-ml")
)
DRIVER = Driver(version=Version("570.124.06"), open_module=True, libraries=LIBRARIES, devices=(CTL, GPU0, UVM))
# In the container of NVIDIA's GPU Operator, as its host sees it.
OPERATORS = Driver(
    version=Version("570.124.06"), open_module=True, devices=(),
    libraries=tuple(
        Library(path=f"/run/nvidia/driver{library.path}", version=library.version) for library in LIBRARIES
    ),
)  # fmt: skip
NO_DRIVER = Driver(version=None, open_module=None, libraries=(), devices=())
KERNEL = Kernel(
    release="6.1.0-30-amd64", modules=("nvidia", "nvidia_uvm"), module_version=Version("570.124.06"),
    module_licence="Dual MIT/GPL", module_signer=None, headers=True, secure_boot=False, taints=0,
)  # fmt: skip
H100, T4, V100, RTX5090, RTX4090, RTX3090, K80, GB10 = "2330", "1eb8", "1db1", "2b85", "2684", "2204", "102d", "2e12"


def bus(*devices: tuple[str, str | None]) -> Pci:
    """(device id, driver) of each GPU."""
    gpus = [PciDevice(address=f"0000:{i + 1:02x}:00.0", device_id=d, driver=by) for i, (d, by) in enumerate(devices)]
    return Pci(gpus=tuple(gpus), nvswitches=())
