"""NVML to facts, through nvidia-ml-py. Runs in the child process only."""

from __future__ import annotations

from types import ModuleType

from gpucheck.facts import Gpu, Nvml, Version
from gpucheck.probes.nvml.ask import NOT_TEXT, Ask
from gpucheck.probes.nvml.gpu import read_gpu

MOST_GPUS = 256  # a count beyond that is garbage, and each would be asked


def read() -> Nvml:
    """Everything that NVML answers on this machine."""
    import pynvml  # type: ignore[import-untyped]

    return read_with(pynvml)


def read_with(binding: ModuleType) -> Nvml:
    ask = Ask(binding)
    try:
        binding.nvmlInit()
    except binding.NVMLError as error:
        # The binding says LIBRARY_NOT_FOUND for every library that does not load: torn, of another machine, forbidden.
        detail = str(error.__context__) if isinstance(error.__context__, OSError) else None
        return Nvml(error=ask.error("nvmlInit", int(error.value), detail))
    cuda: int | None = ask.first(("nvmlSystemGetCudaDriverVersion_v2",), ("nvmlSystemGetCudaDriverVersion",))
    # None where this driver or this GPU knows nothing of confidential computing.
    state = ask("nvmlSystemGetConfComputeState")
    confidential = None if state is None else bool(state.ccFeature)
    ready = ask("nvmlSystemGetConfComputeGpusReadyState") if confidential else None
    return Nvml(
        driver_version=_version(ask, "nvmlSystemGetDriverVersion"),
        nvml_version=_version(ask, "nvmlSystemGetNVMLVersion"),
        cuda_version=None if cuda is None else Version(f"{cuda // 1000}.{cuda % 1000 // 10}"),
        confidential_computing=confidential,
        confidential_ready=None if ready is None else bool(ready),
        gpus=tuple(_gpu(binding, index) for index in range(min(ask.needed("nvmlDeviceGetCount") or 0, MOST_GPUS))),
        errors=tuple(ask.errors),
    )


def _gpu(binding: ModuleType, index: int) -> Gpu:
    ask = Ask(binding)
    handle = ask.needed("nvmlDeviceGetHandleByIndex", index)
    return Gpu(index=index, errors=tuple(ask.errors)) if handle is None else read_gpu(ask, index, handle)


def _version(ask: Ask, call: str) -> Version | None:
    text: str | None = ask(call)
    try:
        return Version(text) if text else None
    except ValueError:
        ask.errors.append(ask.error(call, NOT_TEXT, text))
        return None
