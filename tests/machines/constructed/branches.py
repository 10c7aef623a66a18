"""GPUs, drivers and CUDA that are too old or too new for each other."""

from __future__ import annotations

from gpucheck.probes import toolkit
from tests.machines.constructed.basics import DESKTOP_KERNEL, DRIVER_NOT_LOADED, REGISTERED, SIGNED, installed
from tests.machines.constructed.driver import GPU, NO_DEVICE, PAIR_KERNEL, blackwells, on_kernel, refused
from tests.machines.constructed.software import KERAS, TF, WORKING, environment, wheels
from tests.machines.parts import DEBIAN_FOLDER, OPEN, PROPRIETARY, Described, done, gpu, libraries, loaded, module

SIGNER = "desktop Secure Boot Module Signature key"
PASCAL = gpu(GPU, "10DE:1B80", "nvidia", "30000")
NVCC = """nvcc: NVIDIA (R) Cuda compiler driver
Copyright (c) 2005-2025 NVIDIA Corporation
Built on Wed_Aug_20_01:58:59_PM_PDT_2025
Cuda compilation tools, release 13.0, V13.0.88
Build cuda_13.0.r13.0/compiler.36424714_0
"""
CUDA_13 = Described(
    files={
        toolkit.FOLDER: "bin\ncuda\ncuda-13.0\nlib\n",
        f"{toolkit.FOLDER}/cuda/version.json": '{"cuda": {"name": "CUDA SDK", "version": "13.0.2"}}\n',
        f"{toolkit.FOLDER}/cuda-13.0/version.json": '{"cuda": {"name": "CUDA SDK", "version": "13.0.2"}}\n',
    },
    runs={("nvcc", "--version"): done(NVCC)},
)

MACHINES: dict[str, Described] = {
    # Ubuntu's oldest driver was chosen; it is loaded, and knows no such GPU: "No devices were found".
    "driver-older-than-gpu": on_kernel(PAIR_KERNEL, blackwells(GPU))
    | module(PAIR_KERNEL, "550.163.01", "Dual MIT/GPL", SIGNER)
    | loaded(OPEN, "550.163.01", 1)
    | libraries(DEBIAN_FOLDER, "550.163.01")
    | NO_DEVICE,
    # A K80: "supported through the NVIDIA 470.xx Legacy drivers", so the module finds nothing and is not loaded.
    "gpu-dropped-by-branch": on_kernel(DESKTOP_KERNEL, gpu(GPU, "10DE:102D", None))
    | module(DESKTOP_KERNEL, "535.183.01", "NVIDIA", SIGNER)
    | libraries(DEBIAN_FOLDER, "535.183.01")
    | refused(DRIVER_NOT_LOADED),
    # `prime-select intel` keeps it from loading.
    "module-not-loaded": installed(None) | SIGNED,
    "toolkit-cuda13-on-driver-570": WORKING | CUDA_13,
    # pip took the newest cuDNN.
    "cudnn-without-pascal": on_kernel(DESKTOP_KERNEL, PASCAL)
    | module(DESKTOP_KERNEL, "570.124.06", "NVIDIA", SIGNER)
    | loaded(PROPRIETARY, "570.124.06", 1)
    | libraries(DEBIAN_FOLDER, "570.124.06")
    | REGISTERED
    | environment(TF, KERAS, *wheels(cudnn="9.12.0.46", nccl="2.27.7"))
    | Described(
        nvml="rtx4090-laptop",
        nvml_changes={
            "gpu.name": "NVIDIA GeForce GTX 1080", "gpu.pci_device_id": 0x1B8010DE, "gpu.architecture": 4,
            "gpu.compute_capability": "6 1", "system.cuda_version": 12080, "system.driver_version": "570.124.06",
            "system.nvml_version": "12.570.124.06",
        },
    ),
}  # fmt: skip
