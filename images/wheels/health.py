"""The image's health check: do GPUs answer in this container? It asks libcuda, which takes no GPU memory; a framework
would. One sentence, exit code 0 or 1.
"""

import ctypes
import sys

# cuda.h, CUresult
MEANING = {
    34: "libcuda is the toolkit's stub, not the driver's: a folder of stubs is on the library path",
    100: "the driver is there and shows no GPU: none was given to this container, or CUDA_VISIBLE_DEVICES hides it",
    802: "the GPUs are not ready: nvidia-fabricmanager has to run on the host",
    803: "libcuda and the host's kernel driver are of different versions: restart the container, and the host if its "
    "driver was upgraded",
    804: "this libcuda is CUDA's compatibility package, which does not support these GPUs",
    999: "the driver failed for a reason that it does not name: the container may have lost its GPUs (restart it), or "
    "the host lacks nvidia-uvm",
}


def health() -> tuple[bool, str]:
    """Whether a GPU can be used, and the sentence."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        return False, f"no driver in this container: it was started without GPUs ({error})"
    code = cuda.cuInit(0)
    if code:
        return False, f"cuInit gave {code}: {MEANING.get(code) or name(cuda, code)}"
    count = ctypes.c_int()
    code = cuda.cuDeviceGetCount(ctypes.byref(count))
    if code:
        return False, f"cuDeviceGetCount gave {code}: {MEANING.get(code) or name(cuda, code)}"
    if not count.value:
        return False, "the driver is there and counts 0 GPUs: none was given to this container"
    return True, f"{count.value} GPU{'s' if count.value > 1 else ''} answered"


def name(cuda: ctypes.CDLL, code: int) -> str:
    """The driver's own name of an error."""
    text = ctypes.c_char_p()
    cuda.cuGetErrorName(code, ctypes.byref(text))
    return text.value.decode() if text.value else "an error that the driver has no name for"


if __name__ == "__main__":
    healthy, sentence = health()
    print(sentence)  # noqa: T201
    sys.exit(not healthy)
