"""A run, and what its witnesses saw."""

from __future__ import annotations

from gpucheck.facts.version import fact


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
class Request:
    """What was asked for, so that somebody else can ask for it again."""

    command: tuple[str, ...]  # the words that ask for the same run: ("gpucheck", "verify", "--framework", ...)
    image: str | None  # its name
    recipe: str | None
    reason: str | None  # why this recipe or image
    lock_sha256: str | None  # of the recipe's lock
    versions: tuple[str, ...]  # "tensorflow 2.21.0"
