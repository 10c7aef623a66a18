"""The CNN in plain PyTorch, and what PyTorch tells of its devices: their names, their precision, their memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

ADAM_EPSILON = 1e-7  # Keras's; PyTorch's own is 1e-8
BFLOAT16_GPU = (8, 0)  # compute capability that has it in hardware; before it PyTorch emulates
BFLOAT16_CPU = {"avx512_bf16", "amx_bf16"}  # flags of /proc/cpuinfo; without them it is slower than float32


def cnn(torch: Any) -> Any:
    """The CNN of TensorFlow's CIFAR-10 tutorial, 122,570 parameters, initialised as Keras does."""
    nn = torch.nn
    model = nn.Sequential(
        nn.Conv2d(3, 32, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(64, 64, 3), nn.ReLU(),
        nn.Flatten(), nn.Linear(1024, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip
    for weight in model.parameters():
        nn.init.xavier_uniform_(weight) if weight.dim() > 1 else nn.init.zeros_(weight)
    return model


def devices(torch: Any) -> list[str]:
    return ["CPU:0", *(f"GPU:{gpu}" for gpu in range(torch.cuda.device_count() if torch.cuda.is_available() else 0))]


def gains_from_bfloat16(torch: Any, device: Any) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.get_device_capability(device) >= BFLOAT16_GPU)
    try:
        flags = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags"))
    except (OSError, StopIteration):
        return False
    return bool(BFLOAT16_CPU & set(flags.split()))


def deterministic(torch: Any, seed: int) -> None:
    """As far as PyTorch can: an op that it cannot promise it for warns, and says so."""
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # it costs a kernel for each new tensor
    torch.backends.cudnn.benchmark = False  # it would choose by the clock


def gpu_memory_peaks(torch: Any) -> list[int]:
    """Bytes of tensors at most, of each GPU that this process sees."""
    return [torch.cuda.max_memory_allocated(gpu) for gpu in range(len(devices(torch)) - 1)]
