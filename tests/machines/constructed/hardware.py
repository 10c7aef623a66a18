"""GPUs that NVML finds ill, and healthy ones of every kind."""

from __future__ import annotations

from gpucheck.host import Result
from gpucheck.probes import kernel_log, services, system
from tests.machines.constructed.basics import (
    CDI_FOLDERS,
    DESKTOP_DRIVER,
    DESKTOP_NVML,
    H100,
    H100_GPUS,
    H100_SWITCHES,
    NO_FRAMEWORK,
    T4,
)
from tests.machines.parts import (
    DEBIAN_FOLDER,
    NVIDIA_RUNTIME,
    OPEN,
    PROPRIETARY,
    UBUNTU_2204,
    UBUNTU_2404,
    Described,
    cdi,
    discovered,
    done,
    engine,
    fabric_manager,
    gpu,
    libraries,
    linux,
    loaded,
    module,
    ports,
    python,
    rented,
    toolkit,
    units,
)

GPU_IS_LOST = 15
KERNEL, SIGNER = "6.8.0-60-generic", "Canonical Ltd. Kernel Module Signing"


def containers(version: str, gpus: int) -> Described:
    """Docker with a fresh CDI spec, and no framework."""
    docker = engine(
        "29.2.1", "1.53", Driver="overlayfs", Runtimes=NVIDIA_RUNTIME, CDISpecDirs=CDI_FOLDERS,
        DiscoveredDevices=discovered(gpus),
    )  # fmt: skip
    spec = cdi("/var/run/cdi/nvidia.yaml", DEBIAN_FOLDER, version, gpus=gpus, uvm=509)
    return docker | toolkit("1.18.1") | spec | NO_FRAMEWORK


def server(nvml: str, version: str, devices: dict[str, str], *, nvrm: str = OPEN, **changes: object) -> Described:
    """A server with Ubuntu and Docker, and these GPUs at work."""
    licence = "Dual MIT/GPL" if nvrm == OPEN else "NVIDIA"
    gpus = [address for address, uevent in devices.items() if "PCI_CLASS=30" in uevent]
    return (
        linux(UBUNTU_2404, KERNEL, cpus=64, memory_gib=503, devices=devices)
        | module(KERNEL, version, licence, SIGNER)
        | loaded(nvrm, version, len(gpus))
        | libraries(DEBIAN_FOLDER, version)
        | containers(version, len(gpus))
        | ports({address: f"{address[:5]}{int(address[5:7], 16) - 1:02x}:01.0" for address in gpus})
        | Described(runs={services.COMMAND: done(units(persistenced="loaded active"))}, nvml=nvml, nvml_changes=changes)
    )


def changed(machine: Described, **changes: object) -> Described:
    return machine | Described(nvml_changes=changes)


def of(number: int, **fields: object) -> dict[str, object]:
    """Changes of one GPU."""
    return {f"gpu.{number}.{name}": value for name, value in fields.items()}


A10 = server("a10", "570.195.03", gpu("0000:3b:00.0", "10DE:2236"))
AT_WORK = {"gpu.utilization": "99 60", "gpu.pstate": 0, "gpu.clocks": "1695 1695 6251 1530", "gpu.throttle_reasons": 0}
A100_BUSES = ("07", "0f", "47", "4e", "87", "90", "b7", "bd")
A100_GPUS = {at: text for bus in A100_BUSES for at, text in gpu(f"0000:{bus}:00.0", "10DE:20B0").items()}
A100_SWITCHES = {
    at: text
    for bus in ("c4", "c5", "c6", "c7", "c8", "c9")
    for at, text in gpu(f"0000:{bus}:00.0", "10DE:1AF1", "nvidia-nvswitch", "68000").items()
}
A100X8 = server("a100x8", "550.163.01", {**A100_GPUS, **A100_SWITCHES}) | fabric_manager("550.163.01")
A100 = server("a100-mig", "550.163.01", gpu("0000:07:00.0", "10DE:20B0"))
NO_INSTANCE = {f"gpu.0.mig.{place}.uuid": None for place in (0, 2, 3)}
OLD_AND_NEW = {
    **gpu("0000:01:00.0", "10DE:1B06", pci_class="30000"),
    **gpu("0000:02:00.0", "10DE:2684", pci_class="30000"),
}
SEVEN = {at: text for each in (*H100_GPUS[:7], *H100_SWITCHES) for at, text in each.items()}
# A rented machine with eight GPUs whose switches stay with the host: the driver waits for a fabric that never comes.
TENANT = server("h100x8", "590.48.01", {at: text for each in H100_GPUS for at, text in each.items()})

NO_LOG = {
    kernel_log.DMESG: Result(code=1, out="", err="dmesg: read kernel buffer failed: Operation not permitted\n"),
    kernel_log.JOURNAL: done(""),
}
JOB = Described(runs={system.ENVIRONMENT: done("CUDA_VISIBLE_DEVICES=0,1\nSLURM_JOB_ID=\nend\n")})
VIRTUAL = {
    "gpu.name": "NVIDIA A10-24Q", "gpu.gsp_firmware": None,
    **{f"gpu.{name}": None for name in (
        "serial", "board_part", "temperature", "temperature_thresholds", "power_usage", "power_limit", "power_default",
        "power_constraints", "energy", "throttle_reasons", "pcie_gen", "pcie_gen_max", "pcie_width", "pcie_width_max",
        "pcie_replays", "ecc_mode", "ecc_volatile", "ecc_aggregate", "remapped_rows", "remapper_histogram",
        "inforom_valid", "field.230",
    )},
}  # fmt: skip

MACHINES: dict[str, Described] = {
    # --- healthy ---
    "a10-healthy": A10,
    "a100-mig-healthy": A100,
    "a100x8-healthy": A100X8,
    "h200-at-work": server("h200", "580.95.05", gpu("0000:19:00.0", "10DE:2335")),
    # The frameworks work on the RTX 4090; for the GTX 1080 Ti neither has code.
    # Slurm with ConstrainDevices=yes gave the job two of eight: NVML lists no other, and the node's log is root's.
    "slurm-job-two-of-eight": changed(H100, count=2) | JOB | Described(runs=NO_LOG),
    # A card for the display alone, whose last branch was 470: 570 ignores it.
    "gt710-beside-rtx4090": changed(
        server(
            "rtx4090-laptop", DESKTOP_DRIVER,
            {**gpu("0000:01:00.0", "10DE:128B", None, "30000"), **gpu("0000:02:00.0", "10DE:2684", pci_class="30000")},
        ),
        **DESKTOP_NVML, **{"gpu.pci_bus_id": "00000000:02:00.0", "gpu.pcie_width": 16},
    ) | loaded(OPEN, DESKTOP_DRIVER, 1) | ports({"0000:02:00.0": "0000:00:01.0"}),
    # A virtual GPU has no sensors, no ECC counters and no link of its own. The user may not read the log.
    "vgpu-guest": changed(A10, **VIRTUAL) | ports({"0000:3b:00.0": ""}) | Described(runs=NO_LOG),
    "pascal-and-ada": server("pascal-ada", "580.95.05", OLD_AND_NEW, nvrm=PROPRIETARY)
    | python("/opt/venv/bin/python3", "nvidia_cudnn_cu12-9.12.0.46.dist-info", "torch-2.9.1+cu128.dist-info"),
    # Old scars: errors of another year, NVLinks that replayed once. Nothing to alarm anybody.
    "a100x8-old-scars": changed(
        A100X8, **of(3, ecc_aggregate="112 2", remapped_rows="0 2 0 0", remapper_histogram="638 2 0 0 0"),
        **{"gpu.3.nvlink_errors.5": "4 1 0 0"},
    ),
    # --- memory ---
    "h100x8-row-remap-pending": changed(H100, **of(5, remapped_rows="0 1 1 0", ecc_volatile="0 1")),
    "h100x8-row-remap-failed": changed(H100, **of(5, remapped_rows="0 9 0 1", remapper_histogram="2550 9 0 0 1")),
    "h100x8-ecc-uncorrected": changed(H100, **of(2, ecc_volatile="11 3", ecc_aggregate="11 3")),
    "h100x8-reset-required": changed(
        H100, **of(2, remapped_rows="0 1 1 0", ecc_volatile="0 2", ecc_aggregate="0 2"), **{"gpu.2.field.230": 1}
    ),
    "t4-page-retirement-pending": changed(T4, **{"gpu.retired_pending": 1}),
    "h100x8-inforom-corrupted": changed(H100, **of(1, inforom_valid=0)),
    # --- lost ---
    "h100x8-gpu-lost": changed(H100, **{"ret.nvmlDeviceGetHandleByIndex_v2.3": GPU_IS_LOST}),
    "p5-gpu-missing": (
        linux(UBUNTU_2204, KERNEL, cpus=192, memory_gib=2015, devices=SEVEN)
        | module(KERNEL, "590.48.01", "Dual MIT/GPL", SIGNER)
        | loaded(OPEN, "590.48.01", 7)
        | libraries(DEBIAN_FOLDER, "590.48.01")
        | containers("590.48.01", 7)
        | fabric_manager("590.48.01")
        | rented("aws", "p5.48xlarge")
        | Described(nvml="h100x8", nvml_changes={"count": 7})
    ),
    # --- fabric ---
    "a100x8-fabric-manager-stopped": A100X8 | fabric_manager("550.163.01", "failed"),
    "a100x8-no-fabric-manager": A100X8 | Described(runs={services.COMMAND: done(units())}),
    "h100x8-fabric-manager-stopped": changed(H100, **{"gpu.fabric": "2 0"}) | fabric_manager("590.48.01", "inactive"),
    "h100x8-fabric-manager-other-version": changed(H100, **{"gpu.fabric": "2 0"})
    | fabric_manager("580.95.05", "failed"),
    "tenant-without-fabric": changed(TENANT, **{"gpu.fabric": "2 0"}),
    "h100x8-nvlink-down": changed(H100, **of(6, nvlinks="1 1 1 1 0 1 1 1 1 1 1 1 1 1 1 1 1 1")),
    # --- modes ---
    "a100-mig-without-instances": changed(A100, **NO_INSTANCE),
    "t4-compute-prohibited": changed(T4, **{"gpu.compute_mode": 2}),
    "t4-exclusive-and-taken": changed(T4, **{"gpu.compute_mode": 3, "gpu.compute_processes": "4242:1073741824"}),
    "h100-confidential-not-ready": changed(
        server("h200", "580.95.05", gpu("0000:19:00.0", "10DE:2335")),
        **{"system.confidential_computing": 1, "system.confidential_ready": 0, "gpu.compute_processes": ""},
    ),
    # --- slow ---
    "a10-too-hot": changed(
        A10, **AT_WORK | {"gpu.throttle_reasons": 0x48, "gpu.temperature": 95, "gpu.clocks": "420 420 6251 405"},
        **{"gpu.pcie_gen": 4},
    ),
    "a10-pcie-x4-idle": changed(A10, **{"gpu.pcie_width": 4}),
    "a10-pcie-x4-at-work": changed(A10, **AT_WORK, **{"gpu.pcie_width": 4, "gpu.pcie_gen": 3}),
}  # fmt: skip
