"""Frameworks, libraries that shadow others, and variables."""

from __future__ import annotations

from gpucheck.host import Result
from gpucheck.probes import linker, system
from tests.machines.constructed.basics import REGISTERED, T4
from tests.machines.constructed.basics import WORKING as WITHOUT_TOOLKIT
from tests.machines.parts import DEBIAN_FOLDER, OPEN, Described, cache, done, gpu, libraries, loaded, module, python

WORKING = WITHOUT_TOOLKIT | REGISTERED
VENV = "/home/user/.venv/bin/python3"
# METADATA, shortened to its requirements of NVIDIA's wheels: tensorflow 2.21.0, torch 2.10.0, jax-cuda12-plugin 0.10.2.
TENSORFLOW = {
    "cublas": "<13.0,>=12.5.3.2", "cuda-cupti": "<13.0,>=12.5.82", "cuda-nvcc": "<13.0,>=12.5.82",
    "cuda-nvrtc": "<13.0,>=12.5.82", "cuda-runtime": "<13.0,>=12.5.82", "cudnn": "<10.0,>=9.3.0.75",
    "cufft": "<12.0,>=11.2.3.61", "curand": "<11.0,>=10.3.6.82", "cusolver": "<12.0,>=11.6.3.83",
    "cusparse": "<13.0,>=12.5.1.3", "nccl": "<3.0,>=2.27.7", "nvjitlink": "<13.0,>=12.5.82",
}  # fmt: skip
TORCH = {
    "cublas": "==12.8.4.1", "cuda-cupti": "==12.8.90", "cuda-nvrtc": "==12.8.93", "cuda-runtime": "==12.8.90",
    "cudnn": "==9.10.2.21", "cufft": "==11.3.3.83", "cusolver": "==11.7.3.90", "cusparse": "==12.5.8.93",
    "nccl": "==2.27.5", "nvjitlink": "==12.8.93",
}  # fmt: skip
JAX = {"cublas": ">=12.1.3.1", "cudnn": "<10.0,>=9.8", "cufft": ">=11.0.2.54", "cuda-runtime": ">=12.1.105"}
# What the locks of gpucheck's own images have.
WHEELS = {
    "cublas": "12.8.4.1", "cuda-cupti": "12.8.90", "cuda-nvcc": "12.8.93", "cuda-nvrtc": "12.8.93",
    "cuda-runtime": "12.8.90", "cudnn": "9.10.2.21", "cufft": "11.3.3.83", "curand": "10.3.9.90",
    "cusolver": "11.7.3.90", "cusparse": "12.5.8.93", "nccl": "2.27.5", "nvjitlink": "12.8.93",
}  # fmt: skip
TF_BUILD = (
    "build_info = collections.OrderedDict([\n  ('cuda_version', '12.5.1'),\n  ('cudnn_version', '9'),\n"
    "  ('is_cuda_build', True),\n  ('is_rocm_build', False)\n])\n"
)
TORCH_BUILD = "__version__ = '2.10.0+cu128'\ncuda: Optional[str] = '12.8'\n"


def wheels(**versions: str | None) -> list[str]:
    """Metadata folders of NVIDIA's wheels for CUDA 12; None leaves one out."""
    chosen = {**WHEELS, **{name.replace("_", "-"): version for name, version in versions.items()}}
    return [f"nvidia_{name.replace('-', '_')}_cu12-{version}.dist-info" for name, version in chosen.items() if version]


def metadata(folder: str, wanted: dict[str, str], condition: str) -> dict[str, str]:
    name, version = folder.removesuffix(".dist-info").split("-")
    lines = "".join(f"Requires-Dist: nvidia-{wheel}-cu12{spec}; {condition}\n" for wheel, spec in wanted.items())
    return {f"{folder}/METADATA": f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n{lines}"}


def environment(*folders: str, files: dict[str, str] | None = None) -> Described:
    known: dict[str, str] = {}
    for folder in folders:
        if folder.startswith("tensorflow-2.21"):
            known |= metadata(folder, TENSORFLOW, 'extra == "and-cuda"')
            known["tensorflow/python/platform/build_info.py"] = TF_BUILD
        if folder.startswith("torch-2.10"):
            known |= metadata(folder, TORCH, 'platform_system == "Linux"') | {"torch/version.py": TORCH_BUILD}
        if folder.startswith("jax_cuda12_plugin"):
            known |= metadata(folder, JAX, 'extra == "with-cuda"')
    return python(VENV, *sorted(folders), files={**known, **(files or {})})


def variables(**values: str) -> Described:
    shown = "".join(f"{name}={value}\n" for name, value in values.items())
    return Described(runs={system.ENVIRONMENT: done(f"{shown}end\n")})


def library_path(folders: dict[str, dict[str, str]]) -> Described:
    """LD_LIBRARY_PATH, in order; of each folder the libraries of CUDA in it and their real files."""
    links = {f"{folder}/{name}": real for folder, names in folders.items() for name, real in names.items()}
    shown = variables(LD_LIBRARY_PATH=":".join(folders))
    listed = ("sh", "-c", linker.LIST, "sh", *folders)
    return shown | Described(runs={listed: done("".join(f"{link}\n" for link in links))}, links=links)


TF, PT, KERAS = "tensorflow-2.21.0.dist-info", "torch-2.10.0.dist-info", "keras-3.12.0.dist-info"
JAX_PACKAGES = ("jax-0.10.2.dist-info", "jaxlib-0.10.2.dist-info")
PLUGIN = "jax_cuda12_plugin-0.10.2.dist-info"
BLACKWELL_DRIVER = "580.105.08"
BLACKWELL = (
    WORKING
    | Described(files={"/sys/bus/pci/devices/0000:01:00.0/uevent": gpu("0000:01:00.0", "10DE:2B85")["0000:01:00.0"]})
    | module("6.8.0-60-generic", BLACKWELL_DRIVER, "Dual MIT/GPL", "desktop Secure Boot Module Signature key")
    | loaded(OPEN, BLACKWELL_DRIVER, 1)
    | libraries(DEBIAN_FOLDER, BLACKWELL_DRIVER)
    | Described(
        nvml_changes={
            "gpu.name": "NVIDIA GeForce RTX 5090", "gpu.pci_device_id": 0x2B8510DE, "gpu.architecture": 10,
            "gpu.compute_capability": "12 0", "system.cuda_version": 13000, "system.driver_version": BLACKWELL_DRIVER,
            "system.nvml_version": f"13.{BLACKWELL_DRIVER}",
        }
    )
)  # fmt: skip
CUDA_LIBRARIES = ("libcudart.so.12", "libcublas.so.12", "libcufft.so.11", "libcusolver.so.11", "libcusparse.so.12")
CUDA_CACHE: dict[tuple[str, ...], Result] = {
    linker.CACHE: cache(
        f"{DEBIAN_FOLDER}/libcuda.so.1",
        *(
            f"/usr/local/cuda/targets/x86_64-linux/lib/{name}"
            for name in (
                "libcudart.so.12",
                "libcublas.so.12",
                "libcufft.so.11",
                "libcusolver.so.11",
                "libcusparse.so.12",
            )
        ),
        f"{DEBIAN_FOLDER}/libcudnn.so.9",
    )
}

# conda-forge's own builds: torch of CUDA 12.6 has PTX 9.0, which PyTorch's has not; JAX's three packages come as one,
# whose dist-info folders say no installer, and CUDA is in packages of conda's.
CONDA_TORCH, CONDA_PLUGIN = "torch-2.7.1.dist-info", "jax_cuda12_plugin-0.10.2.dist-info"
CONDA = {
    "torch/version.py": "__version__ = '2.7.1'\ncuda: Optional[str] = '12.6'\n",
    f"{CONDA_TORCH}/INSTALLER": "conda\n",
    "jax-0.10.2.dist-info/INSTALLER": "conda\n",
    **metadata(CONDA_PLUGIN, JAX, 'extra == "with-cuda"'),
}

MACHINES: dict[str, Described] = {
    "tensorflow-with-wheels": WORKING | environment(TF, KERAS, *wheels(nccl="2.27.7")),
    # `pip install tensorflow`, without [and-cuda].
    "tensorflow-without-wheels": WORKING | environment(TF, KERAS),
    # ... where CUDA and cuDNN are the system's own, as in TensorFlow's and NVIDIA's images: nothing is missing.
    "tensorflow-on-system-cuda": WORKING | environment(TF, KERAS) | Described(runs=CUDA_CACHE),
    "tensorflow-cudnn-too-old": WORKING | environment(TF, KERAS, *wheels(cudnn="9.1.0.70", nccl="2.27.7")),
    "torch-cudnn-too-old": WORKING | environment(PT, *wheels(cudnn="9.3.0.75")),
    # TensorFlow was installed last, and brought a newer cuBLAS than torch's pin: it works, untested.
    "torch-beside-tensorflow": WORKING | environment(TF, KERAS, PT, *wheels(cublas="12.9.1.4", nccl="2.27.7")),
    "cudnn-wheels-of-two-cudas": WORKING | environment(PT, *wheels(), "nvidia_cudnn_cu13-9.12.0.46.dist-info"),
    "tensorflow-on-rtx5090": BLACKWELL | environment(TF, KERAS, *wheels(nccl="2.27.7")),
    "torch-without-code-for-rtx5090": BLACKWELL | python(VENV, "torch-2.9.1+cu126.dist-info"),
    "torch-with-code-for-rtx5090": BLACKWELL | environment(PT, *wheels()),
    "conda-on-rtx5090": BLACKWELL
    | python("/opt/conda/bin/python3", *sorted((CONDA_TORCH, *JAX_PACKAGES, CONDA_PLUGIN)), files=CONDA, by_pip=False),
    "torch-cuda13-on-driver-570": WORKING | python(VENV, "torch-2.9.1+cu130.dist-info"),
    "torch-for-cpu-only": WORKING | python(VENV, "torch-2.9.1+cpu.dist-info"),
    "jax-without-plugin": WORKING | python(VENV, *JAX_PACKAGES),
    "jax-plugin-of-another-version": WORKING
    | environment(*JAX_PACKAGES, "jax_cuda12_plugin-0.9.0.dist-info", *wheels()),
    "jax-two-plugins": BLACKWELL | environment(*JAX_PACKAGES, PLUGIN, "jax_cuda13_plugin-0.10.2.dist-info", *wheels()),
    "jax-with-plugin": WORKING | environment(*JAX_PACKAGES, PLUGIN, *wheels()),
    "libcuda-stub-in-front": WORKING
    | library_path(
        {
            "/usr/local/cuda/lib64/stubs": {
                "libcuda.so.1": "/usr/local/cuda-12.8/targets/x86_64-linux/lib/stubs/libcuda.so"
            }
        }
    ),
    "second-libcuda-in-front": WORKING
    | library_path({"/opt/driver-535/lib": {"libcuda.so.1": "/opt/driver-535/lib/libcuda.so.535.183.01"}}),
    "compat-on-geforce": WORKING
    | library_path({"/usr/local/cuda/compat": {"libcuda.so.1": "/usr/local/cuda-12.9/compat/libcuda.so.575.57.08"}}),
    "compat-older-than-driver": WORKING
    | library_path({"/usr/local/cuda/compat": {"libcuda.so.1": "/usr/local/cuda-12.4/compat/libcuda.so.550.54.15"}}),
    "compat-on-t4": T4
    | library_path({"/usr/local/cuda/compat": {"libcuda.so.1": "/usr/local/cuda-12.4/compat/libcuda.so.550.54.15"}}),
    # A job script that was written for another machine.
    "uuid-of-another-gpu": WORKING | variables(CUDA_VISIBLE_DEVICES="GPU-0b182573-6996-0f5d-ad7d-96241c70d91c"),
    "gpu-index-out-of-range": WORKING | variables(CUDA_VISIBLE_DEVICES="4,5,6,7"),
    "no-gpu-index": WORKING | variables(CUDA_VISIBLE_DEVICES=""),
    "jax-kept-on-the-cpu": WORKING | environment(*JAX_PACKAGES, PLUGIN, *wheels()) | variables(JAX_PLATFORMS="cpu"),
    "debugging-variables": WORKING | variables(CUDA_LAUNCH_BLOCKING="1", CUDA_INJECTION64_PATH="/opt/libinject.so"),
}  # fmt: skip
