"""Every subject: all that gpucheck can know of a host and of a run.

None and () mean "looked, not there". What could not be looked at is not here but in `Facts.unknown`, with its reason.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import total_ordering
from typing import Any, TypeVar, dataclass_transform


@total_ordering
class Version:
    """A version by its numbers: "570.86.15", "12.5", "20.10.24+dfsg1". Equal where the numbers are: 12.5 == 12.5.0."""

    __slots__ = ("_key", "text")

    def __init__(self, text: str) -> None:
        numbers = re.match(r"\D{0,2}(\d+(?:\.\d+)*)", text)
        if numbers is None:
            raise ValueError(f"not a version: {text!r}")
        key = [int(part) for part in numbers[1].split(".")]
        while key and key[-1] == 0:
            key.pop()
        self.text = text
        self._key = tuple(key)

    @property
    def major(self) -> int:
        return self._key[0] if self._key else 0

    @property
    def series(self) -> tuple[int, int]:
        """Major and minor: what a patch release does not change."""
        return self.major, self._key[1] if len(self._key) > 1 else 0

    def __eq__(self, other: object) -> bool:
        return self._key == other._key if isinstance(other, Version) else NotImplemented

    def __lt__(self, other: Version) -> bool:
        return self._key < other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Version({self.text!r})"


T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def fact(subject: type[T]) -> type[T]:
    return dataclass(frozen=True, kw_only=True, slots=True)(subject)


# --- a host ---


@fact
class System:
    os: str | None  # "Debian GNU/Linux 12 (bookworm)"
    os_family: str | None  # debian, rhel, suse, arch, ...: what a remedy's commands are keyed by
    os_id: str | None  # ubuntu, debian, rocky, ...
    kernel: str
    arch: str
    cpus: int | None
    memory_bytes: int | None
    shm_bytes: int | None  # size of /dev/shm
    container: str | None  # docker, podman, kubernetes, ...; None on a host
    wsl: bool
    environment: Mapping[str, str]  # only the variables that steer CUDA and the frameworks


@fact
class PciDevice:
    address: str  # 0000:3b:00.0
    device_id: str  # 2330, hexadecimal, lower case
    driver: str | None  # nvidia, nouveau, vfio-pci; None = nobody has it


@fact
class Pci:
    gpus: tuple[PciDevice, ...]  # NVIDIA's display and 3D controllers (class 03xx)
    nvswitches: tuple[PciDevice, ...]  # NVIDIA's bridges (class 0680)


@fact
class Kernel:
    release: str
    modules: tuple[str, ...]  # loaded, of those that matter to a GPU
    module_version: Version | None  # of the nvidia module built for this kernel, loaded or not
    module_licence: str | None  # "NVIDIA" (proprietary) or "Dual MIT/GPL" (open)
    module_signer: str | None
    headers: bool
    secure_boot: bool | None  # None = no UEFI variables here
    taints: int  # bit mask of /proc/sys/kernel/tainted


@fact
class Library:
    path: str
    version: Version | None  # from the file's real name


@fact
class DeviceNode:
    path: str
    major: int
    minor: int
    mode: str  # octal: "666"; "" = a CDI spec that does not say
    group: str


@fact
class Driver:
    version: Version | None  # of the loaded kernel module; None = not loaded
    open_module: bool | None
    libraries: tuple[Library, ...]  # libcuda, libnvidia-ml: the user-space half
    devices: tuple[DeviceNode, ...]  # /dev/nvidia*, /dev/dxg
    modprobe: bool = False  # nvidia-modprobe is installed setuid: it makes /dev/nvidia-uvm on first use


# --- NVML ---


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
    remapped_correctable: int | None = None  # rows; Ampere and later
    remapped_uncorrectable: int | None = None
    remap_pending: bool | None = None
    remap_failed: bool | None = None
    retired_single_bit: int | None = None  # pages; before Ampere
    retired_double_bit: int | None = None
    retire_pending: bool | None = None
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
    gpus: tuple[Gpu, ...] = ()
    errors: tuple[CallError, ...] = ()  # of questions that name no GPU


# --- containers and frameworks ---


@fact
class CudaInstall:
    version: Version
    path: str


@fact
class Toolkit:
    cuda: Version | None  # the one that `nvcc` on PATH or /usr/local/cuda is
    nvcc: str | None  # the command that answered: "nvcc" is on PATH
    installs: tuple[CudaInstall, ...]


@fact
class Cudnn:
    libraries: tuple[Library, ...]  # on the host; a wheel's own cuDNN is in Frameworks


@fact
class Docker:
    client: Version | None
    server: Version | None
    product: str | None  # "docker" or "podman"
    api: Version | None
    error: str | None  # what the client said when no server answered
    context: str | None
    runtimes: tuple[str, ...]
    default_runtime: str | None
    cdi_spec_dirs: tuple[str, ...]
    cdi_devices: tuple[str, ...]
    cgroup_driver: str | None
    storage_driver: str | None
    rootless: bool
    warnings: tuple[str, ...]
    podman: Version | None = None  # its own command's, asked where no Docker Engine answered


@fact
class CdiSpec:
    path: str
    error: str | None  # why it could not be parsed
    version: str | None
    kind: str | None  # nvidia.com/gpu
    devices: tuple[str, ...]
    missing_paths: tuple[str, ...]  # host paths it names that are not there
    driver_version: Version | None  # of the libraries it names
    device_nodes: tuple[DeviceNode, ...]  # where the spec itself gives major and minor


@fact
class ContainerToolkit:
    version: Version | None  # of nvidia-ctk
    hook: bool  # nvidia-container-runtime-hook is on PATH
    daemon_json: tuple[str, ...]  # runtimes that /etc/docker/daemon.json names
    daemon_json_error: str | None
    cdi_specs: tuple[CdiSpec, ...]


@fact
class Package:
    name: str
    version: Version
    path: str  # the site-packages folder it is in
    cuda: Version | None = None  # CUDA it was built for, as its own metadata says
    cpu_only: bool | None = None  # None = its metadata does not say


@fact
class Frameworks:
    python: str | None  # the interpreter asked, the one that python3 on PATH is; None = there is none
    packages: tuple[Package, ...]  # frameworks and NVIDIA's wheels


# --- a run ---


@fact
class Part:
    name: str
    exit_code: int | None
    signal: int | None
    seconds: float


@fact
class Process:
    """One process of a command that was followed, as its start-up hook told; the hook sees Python processes only."""

    pid: int  # in its own pid namespace
    argv: tuple[str, ...]  # its first words
    frameworks: tuple[str, ...]  # "tensorflow 2.21.0", of those that it imported
    devices_seen: tuple[str, ...]  # GPU:0, CPU:0, of all its frameworks; () = none was asked for a device
    hidden_by: str | None  # the variable that hides the GPUs from it: "CUDA_VISIBLE_DEVICES=-1"
    ended: bool  # the hook saw it end; a killed process tells only what it had told before
    problems: tuple[str, ...]  # what the hook could not observe, and why


@fact
class Run:
    frameworks: tuple[str, ...]  # tensorflow, keras, torch, jax, xgboost; what a followed command imported
    framework_version: str | None
    device: str  # asked for: gpu or cpu
    devices_asked: int  # how many of them
    where: str  # container or host
    where_why: str | None  # why on the host
    image_asked: str | None  # image ids
    image_ran: str | None
    recipe_asked: str | None
    recipe_ran: str | None
    exit_code: int | None
    signal: int | None
    oom_killed: bool  # by the limit of its container
    last_line: str | None  # of its output
    parts: tuple[Part, ...]
    devices_seen: tuple[str, ...]
    hidden_by: str | None = None  # a variable that hides the GPUs, as the run found it
    missing_libraries: tuple[str, ...] = ()  # of libcuda.so.1 and libnvidia-ml.so.1, where it ran
    muted: str | None = None  # a variable that silences the framework's own messages: "TF_CPP_MIN_LOG_LEVEL=3"
    forced: str | None = None  # a variable or setting that forces the CPU: "KERAS_TORCH_DEVICE=cpu"
    command: tuple[str, ...] | None = None  # of the user's, in `prove`
    processes: tuple[Process, ...] = ()  # of that command
    overhead: float | None = None  # seconds that observing cost inside that command, of its own clock


@fact
class PlacedOp:
    op: str
    device: str  # "GPU:0"
    count: int
    mode: str  # graph (placed, once a trace), eager or dispatch (once an execution), compiled, configured


@fact
class Placement:
    """What the framework itself says of where its ops went. TensorFlow: its device placement log. PyTorch: its
    execution trace, each dispatched op with the devices of its tensors. JAX: the compiled executables with their
    devices. XGBoost: the device in the trained booster's own configuration.
    """

    lines: int  # that named an op and its device
    unread: int  # that looked like it and could not be read
    ops: tuple[PlacedOp, ...]
    strict: bool | None  # soft placement was off, and nothing was refused; None = the framework has no such mode
    refused: str | None  # what the framework said when strict placement was impossible
    gpu_kernels: tuple[str, ...] | None  # ops of the log with a GPU kernel; None = a wheel without GPU kernels
    host_memory: tuple[str, ...]  # ops that work in host memory whatever the log says
    reasons: tuple[str, ...]  # what the framework itself said about not using the GPU


@fact
class KernelTime:
    name: str
    count: int
    seconds: float


@fact
class DeviceKernels:
    device: str  # "GPU:0"
    kernels: int  # that were executed, copies and memsets not counted
    seconds: float  # of device time, kernels together
    longest: tuple[KernelTime, ...]  # those that took the most time together, by name


@fact
class Kernels:
    """What the framework's own profiler saw executed, in short windows of the run."""

    source: str  # XPlane or torch.profiler
    windows: int
    seconds: float  # of the windows together
    devices: tuple[DeviceKernels, ...]  # GPUs; () = the profiler was on and saw no kernel on any
    host_ops: int  # events on the host, which show that the profiler was on
    host_longest: tuple[KernelTime, ...]
    blind: str | None  # why it could not have seen a GPU's kernels (no CUPTI)
    errors: tuple[str, ...]  # its own complaints


@fact
class GpuSamples:
    """One GPU in the samples that NVML gave from outside the run. Means over time; before = before the run began,
    during = in its training, of a run that left none in all of it.
    """

    index: int
    uuid: str | None
    name: str | None
    ours_peak_bytes: int | None  # held by processes of the run; None = none was listed on this GPU; 0 = size not told
    others: bool  # processes of somebody else's were on it too
    utilization_before: float | None  # percent
    utilization_during: float | None
    power_before_mw: float | None
    power_during_mw: float | None
    energy_during_mj: float | None
    sm_mhz_before: float | None
    sm_mhz_during: float | None
    memory_before_bytes: int | None = None  # in use at most, of the whole GPU, by whomever
    memory_during_bytes: int | None = None
    utilization_most: int | None = None  # percent, of the sample during it that said the most
    error: str | None = None  # the last that NVML said of it: "nvmlDeviceGetPowerUsage: GPU_IS_LOST"


@fact
class GpuUse:
    samples: int
    seconds: float
    processes_told: bool  # NVML lists the processes, and they could be told to be of the run or not
    by: str  # how a process was known to be of the run: "process tree" or "cgroup"
    gpus: tuple[GpuSamples, ...]
    untold: str | None = None  # why they could not: WSL2 and some drivers list none, another pid namespace
    ended: str | None = None  # why the samples end before the run: NVML hung, or its process was killed


@fact
class Control:
    """The same payload with the GPU hidden: whatever calls this one a GPU run proves nothing about the other."""

    hidden_by: str  # CUDA_VISIBLE_DEVICES=-1
    devices_seen: tuple[str, ...]
    ops: tuple[PlacedOp, ...]
    kernels: tuple[DeviceKernels, ...] | None  # None = its profiler left nothing
    step_seconds: float | None


@fact
class Timing:
    """Medians or means of warm steps at the training's batch size."""

    batch_size: int
    step_seconds: float
    images_per_second: float
    control_step_seconds: float | None  # of the control run, the same batch size


@fact
class Epoch:
    loss: float | None  # None = no finite number: it diverged
    accuracy: float | None
    val_loss: float | None
    val_accuracy: float | None
    seconds: float
    steps: int


@fact
class Share:
    device: str
    samples: int


@fact
class Training:
    history: tuple[Epoch, ...]
    recipe: str  # fast or tutorial
    precision: str  # float32, bfloat16, float16
    epochs_asked: int
    batch_size: int
    samples: int
    seed: int
    deterministic: str | None  # None = the same seed gives the same run; else why not
    data: str  # what it trained on, in words
    real: bool  # CIFAR-10, not the synthetic set
    test_accuracy: float | None
    gpu_memory_peak_bytes: tuple[int, ...] | None  # in use at most, of each GPU that the training saw; None = not told
    weights_bytes: int  # of the model's parameters, as the payload counts them
    shares: tuple[Share, ...]  # what each device got of the training


@fact
class ClassScore:
    name: str
    precision: float
    recall: float
    f1: float
    support: int  # test images of this class


@fact
class Evaluation:
    """On the test set. Rows of `confusion` are the true classes, columns the predicted ones."""

    accuracy: float
    classes: tuple[ClassScore, ...]
    macro: ClassScore  # the plain mean over the classes
    weighted: ClassScore  # weighted by support
    confusion: tuple[tuple[int, ...], ...]


@fact
class Facts:
    """What is known, by type of subject, and what could not be looked at, with the reason."""

    known: Mapping[type, Any] = field(default_factory=dict)
    unknown: Mapping[type, str] = field(default_factory=dict)

    def __or__(self, other: Facts) -> Facts:
        return Facts(known={**self.known, **other.known}, unknown={**self.unknown, **other.unknown})


HOST_SUBJECTS: tuple[type, ...] = (
    System, Pci, Kernel, Driver, Nvml, Toolkit, Cudnn, Docker, ContainerToolkit, Frameworks,
)  # fmt: skip
RUN_SUBJECTS: tuple[type, ...] = (
    Run, Placement, Kernels, GpuUse, Control, Timing, Training, Evaluation,
)  # fmt: skip
