"""Build the fake libnvidia-ml.so.1 into a folder: `python tests/fakenvml/build.py FOLDER`.

The layouts of nvidia-ml-py's ctypes classes go into FOLDER/bindings.h, and fakenvml.c asserts that its own, taken from
nvml.h, are the same. A new nvidia-ml-py that differs stops the build.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

import pynvml  # type: ignore[import-untyped]

SOURCE = Path(__file__).with_name("fakenvml.c")
STRUCTS = (
    "c_nvmlMemory_t", "c_nvmlMemory_v2_t", "c_nvmlBAR1Memory_t", "c_nvmlUtilization_t", "c_nvmlTemperature_v1_t",
    "c_nvmlProcessInfo_v2_t", "c_nvmlConfComputeSystemState_t", "nvmlPciInfo_t", "c_nvmlRowRemapperHistogramValues",
    "c_nvmlMarginTemperature_v1_t", "c_nvmlEccSramErrorStatus_v1_t", "c_nvmlFieldValue_t",
)  # fmt: skip
VERSIONS = ("nvmlMemory_v2", "nvmlTemperature_v1", "nvmlMarginTemperature_v1", "nvmlEccSramErrorStatus_v1")


def header() -> str:
    lines = []
    for name in STRUCTS:
        struct = getattr(pynvml, name)
        lines += [f"SIZEOF_{name} {ctypes.sizeof(struct)}", f"FIELDS_{name} {len(struct._fields_)}"]
        for field, *_ in struct._fields_:
            place = getattr(struct, field)
            lines += [f"OFFSETOF_{name}_{field} {place.offset}", f"SIZEOF_{name}_{field} {place.size}"]
    lines += [f"BINDING_{name} {getattr(pynvml, name):#x}u" for name in VERSIONS]
    return "".join(f"#define {line}\n" for line in lines)


def compile_into(folder: Path, source: Path = SOURCE) -> subprocess.CompletedProcess[str]:
    """Expects bindings.h in the folder."""
    command = [
        "cc", "-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-Wl,-soname,libnvidia-ml.so.1",
        f"-I{folder}", "-o", str(folder / "libnvidia-ml.so.1"), str(source),
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True)


def main() -> int:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bindings.h").write_text(header())
    compiled = compile_into(folder)
    sys.stderr.write(compiled.stderr)
    return compiled.returncode


if __name__ == "__main__":
    sys.exit(main())
