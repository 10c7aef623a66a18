"""What NVML says."""

from __future__ import annotations

from gpucheck.facts.version import Version, fact


@fact
class CallError:
    """An NVML function that failed. "Not supported" is no failure: that answer is None."""

    call: str  # nvmlDeviceGetMemoryInfo
    code: int  # nvmlReturn_t: 15
    name: str  # GPU_IS_LOST
    detail: str | None = None  # the loader's words where libnvidia-ml itself did not load


@fact
class MigDevice:
    index: int
    uuid: str | None  # MIG-...
    name: str | None  # NVIDIA A100-SXM4-40GB MIG 3g.20gb
    profile: str | None  # 3g.20gb
    gpu_instance: int | None
    compute_instance: int | None
    memory_total_bytes: int | None
    memory_used_bytes: int | None


@fact
class NvLink:
    link: int
    active: bool
    replay_errors: int | None = None
    recovery_errors: int | None = None
    crc_flit_errors: int | None = None
    crc_data_errors: int | None = None


@fact
class GpuProcess:
    pid: int  # of the host, also inside a container
    kind: str  # compute or graphics
    used_bytes: int | None


@fact
class Gpu:
    """One GPU as NVML sees it. None = this GPU has no such thing, or the call that asks is in `errors`."""

    index: int
    errors: tuple[CallError, ...] = ()
    uuid: str | None = None
    serial: str | None = None
    name: str | None = None
    brand: str | None = None
    architecture: str | None = None  # Hopper
    compute_capability: Version | None = None
    vbios: str | None = None
    board_part: str | None = None
    gsp_firmware: str | None = None
    pci_address: str | None = None  # 0000:3b:00.0, as in PciDevice
    pci_device_id: str | None = None  # 2330, as in PciDevice
    minor: int | None = None  # /dev/nvidia<minor>
    numa_node: int | None = None  # of the GPU's own memory, where the system maps it
    cpu_affinity: str | None = None  # 0-23,48-71
    memory_total_bytes: int | None = None
    memory_used_bytes: int | None = None
    memory_free_bytes: int | None = None
    memory_reserved_bytes: int | None = None  # None from drivers that count it as used
    bar1_total_bytes: int | None = None
    bar1_used_bytes: int | None = None
    utilization_percent: int | None = None
    memory_utilization_percent: int | None = None  # time the memory was busy, not how full it is
    temperature_c: int | None = None
    slowdown_c: int | None = None
    margin_c: int | None = None  # degrees left to the nearest slowdown, as newer GPUs tell it
    shutdown_c: int | None = None
    power_mw: int | None = None
    power_limit_mw: int | None = None
    power_default_mw: int | None = None
    power_max_mw: int | None = None
    energy_mj: int | None = None  # millijoules since the driver was loaded
    pstate: int | None = None  # 0 is the fastest
    sm_mhz: int | None = None
    sm_max_mhz: int | None = None
    memory_mhz: int | None = None
    memory_max_mhz: int | None = None
    throttle_mask: int | None = None
    throttle_reasons: tuple[str, ...] | None = None  # gpu_idle, sw_power_cap, ...
    pcie_gen: int | None = None  # falls when idle
    pcie_gen_max: int | None = None  # of GPU and slot together
    pcie_width: int | None = None
    pcie_width_max: int | None = None
    pcie_replays: int | None = None
    ecc: bool | None = None
    ecc_pending: bool | None = None
    ecc_volatile_corrected: int | None = None  # volatile: since the driver was loaded
    ecc_volatile_uncorrected: int | None = None
    ecc_aggregate_corrected: int | None = None  # aggregate: in the GPU's lifetime
    ecc_aggregate_uncorrected: int | None = None
    sram_threshold_exceeded: bool | None = None  # so many errors in one place of a cache that the GPU is to be replaced
    remapped_correctable: int | None = None  # rows; Ampere and later
    remapped_uncorrectable: int | None = None
    remap_pending: bool | None = None
    remap_failed: bool | None = None
    remap_banks: tuple[int, ...] | None = None  # memory banks by spare rows left: all, many, some, few, none
    retired_single_bit: int | None = None  # pages; before Ampere
    retired_double_bit: int | None = None
    retire_pending: bool | None = None
    inforom_valid: bool | None = None
    recovery_action: str | None = None  # none, gpu_reset, node_reboot, drain_p2p, drain_and_reset, ...
    compute_mode: str | None = None  # default, exclusive_process, prohibited
    persistence: bool | None = None
    mig: bool | None = None
    mig_pending: bool | None = None
    mig_devices: tuple[MigDevice, ...] = ()
    nvlinks: tuple[NvLink, ...] = ()
    fabric_state: str | None = None  # completed: the fabric manager has registered this GPU
    fabric_status: str | None = None  # SUCCESS, once completed
    processes: tuple[GpuProcess, ...] | None = None


@fact
class Nvml:
    """What libnvidia-ml.so.1 says."""

    error: CallError | None = None  # why NVML did not start; 12 = there is no library
    driver_version: Version | None = None
    nvml_version: Version | None = None
    cuda_version: Version | None = None  # newest CUDA that the driver runs
    confidential_computing: bool | None = None
    confidential_ready: bool | None = None  # where that is on: the GPUs accept work
    gpus: tuple[Gpu, ...] = ()
    errors: tuple[CallError, ...] = ()  # of questions that name no GPU
