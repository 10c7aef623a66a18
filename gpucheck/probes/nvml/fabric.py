"""Whether the fabric manager has registered a GPU of an NVSwitch machine; without it CUDA fails with error 802.

The structs are nvml.h's own, not the binding's: nvidia-ml-py 12.575 has 80 bytes where version 1 has 16, and 13.615
reads the state, one byte, together with three bytes of padding.
"""

from __future__ import annotations

from ctypes import Structure, byref, c_ubyte, c_uint, sizeof
from typing import Any

from gpucheck.probes.nvml import words
from gpucheck.probes.nvml.ask import Ask

_BODY: list[tuple[str, Any]] = [("cluster", c_ubyte * 16), ("status", c_uint), ("clique", c_uint), ("state", c_ubyte)]


class FabricV1(Structure):
    _fields_ = _BODY


class FabricV2(Structure):
    _fields_ = [("version", c_uint), *_BODY, ("health", c_uint)]


class FabricV3(Structure):
    _fields_ = [*FabricV2._fields_, ("summary", c_ubyte)]


def fabric(ask: Ask, gpu: Any) -> dict[str, str | None]:
    v3, v2, v1 = FabricV3(version=sizeof(FabricV3) | 3 << 24), FabricV2(version=sizeof(FabricV2) | 2 << 24), FabricV1()
    ask.first(
        ("nvmlDeviceGetGpuFabricInfoV", gpu, byref(v3)),
        ("nvmlDeviceGetGpuFabricInfoV", gpu, byref(v2)),
        ("nvmlDeviceGetGpuFabricInfo", gpu, byref(v1)),
    )
    # Only the struct that the driver took is filled, and state 0 means that this GPU is of no fabric.
    info = next((struct for struct in (v3, v2, v1) if struct.state), None)
    return {
        "fabric_state": None if info is None else words.word(words.FABRIC_STATES, info.state),
        "fabric_status": None if info is None else ask.code_name(info.status),
    }
