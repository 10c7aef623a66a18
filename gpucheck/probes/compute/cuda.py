"""libcuda.so.1, one call at a time. In the child process only."""

from __future__ import annotations

import ctypes
from typing import Any

from gpucheck.facts import CallError

LIBRARIES = ("libcuda.so.1", "/usr/lib/wsl/lib/libcuda.so.1")  # as the loader finds it; where WSL2 has it
OUT_OF_MEMORY, NO_DEVICE, NOT_FOUND = 2, 100, 500
NO_LIBRARY = -1  # no number of CUDA's


class CudaError(Exception):
    def __init__(self, error: CallError) -> None:
        super().__init__(error.call)
        self.error = error


class Cuda:
    """Calls functions by name and raises CudaError. Arguments are ctypes' own, or ints where C has an int.

    The contexts are the primary ones, which every framework's are, and whose functions have had one form since CUDA 7;
    cuCtxCreate has had four.
    """

    def __init__(self) -> None:
        self.running: str | None = None  # the call that has not returned
        said = []
        for name in LIBRARIES:
            try:
                self._library = ctypes.CDLL(name)
                return
            except OSError as error:
                said.append(str(error))
        raise CudaError(CallError(call="dlopen", code=NO_LIBRARY, name="LIBRARY_NOT_FOUND", detail=said[0]))

    def __call__(self, call: str, *args: Any, detail: ctypes.Array[ctypes.c_char] | None = None) -> None:
        """`detail` is a buffer in which the call says more of its failure."""
        function = getattr(self._library, call, None)
        if function is None:
            raise CudaError(CallError(call=call, code=NOT_FOUND, name="NOT_FOUND", detail="libcuda.so.1 lacks it"))
        self.running = call
        code = function(*args)
        self.running = None
        if code:
            said = detail.value.decode("utf-8", "replace").strip() if detail is not None else ""
            raise CudaError(
                CallError(call=call, code=code, name=self._name(code), detail=said.splitlines()[0] if said else None)
            )

    def number(self, call: str, *args: Any, kind: Any = ctypes.c_int) -> Any:
        """The number that the call writes to its first argument."""
        out = kind()
        self(call, ctypes.byref(out), *args)
        return out.value

    def _name(self, code: int) -> str:
        """2 -> "OUT_OF_MEMORY"."""
        text = ctypes.c_char_p()
        self.running = "cuGetErrorName"
        failed = self._library.cuGetErrorName(code, ctypes.byref(text))
        self.running = None
        return (
            f"code {code}"
            if failed or not text.value
            else text.value.decode("ascii", "replace").removeprefix("CUDA_ERROR_")
        )


def out_of_memory(free: int) -> CudaError:
    """Where there is too little to ask for any."""
    return CudaError(
        CallError(call="cuMemGetInfo_v2", code=OUT_OF_MEMORY, name="OUT_OF_MEMORY", detail=f"{free >> 20} MiB are free")
    )
