"""The NVML probe against the real nvidia-ml-py on a fake libnvidia-ml (tests/fakenvml)."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from gpucheck import codec
from gpucheck.facts import CallError, Gpu, GpuProcess, Nvml, Version
from gpucheck.host import CannotLook, Local, Recorded, Recording, Result
from gpucheck.probes import nvml
from gpucheck.probes.nvml import words

MIB = 2**20
Look = Callable[..., Nvml]


@pytest.fixture
def look(fake_nvml: Callable[[str, Mapping[str, object]], None]) -> Look:
    """look("t4", {"ret.nvmlDeviceGetName": 15}): what the probe says on that machine."""

    def look(profile: str, changes: Mapping[str, object] | None = None, timeout: float = 20.0) -> Nvml:
        fake_nvml(profile, changes or {})
        return nvml.probe(Local(), timeout=timeout)

    return look


def error(call: str, code: int, name: str) -> CallError:
    return CallError(call=call, code=code, name=name)


# --- machines ---


def test_eight_healthy_h100(look: Look) -> None:
    seen = look("h100x8")
    assert (seen.error, seen.errors) == (None, ())
    assert (seen.driver_version, seen.nvml_version) == (Version("590.48.01"), Version("13.590.48.01"))
    assert seen.cuda_version == Version("13.1")
    assert seen.confidential_computing is False
    assert [gpu.errors for gpu in seen.gpus] == [()] * 8
    assert len({gpu.uuid for gpu in seen.gpus}) == 8
    assert [gpu.minor for gpu in seen.gpus] == list(range(8))
    assert [gpu.pci_address for gpu in seen.gpus][:2] == ["0000:1b:00.0", "0000:43:00.0"]
    gpu = seen.gpus[7]
    assert (gpu.name, gpu.brand, gpu.architecture) == ("NVIDIA H100 80GB HBM3", "NVIDIA", "Hopper")
    assert (gpu.compute_capability, gpu.pci_device_id) == (Version("9.0"), "2330")
    assert (gpu.vbios, gpu.board_part, gpu.gsp_firmware) == ("96.00.A5.00.01", "692-2G520-0200-000", "590.48.01")
    assert gpu.cpu_affinity == "56-111"
    assert gpu.memory_total_bytes == 81559 * MIB
    assert gpu.memory_reserved_bytes == 478 * MIB
    assert (gpu.bar1_total_bytes, gpu.bar1_used_bytes) == (131072 * MIB, MIB)
    assert (gpu.temperature_c, gpu.slowdown_c, gpu.shutdown_c) == (41, 89, 95)
    assert (gpu.power_mw, gpu.power_limit_mw, gpu.power_max_mw) == (69850, 700000, 700000)
    assert gpu.energy_mj == 9876543210  # more than 32 bits
    assert (gpu.sm_mhz, gpu.sm_max_mhz, gpu.memory_mhz, gpu.memory_max_mhz) == (345, 1980, 2619, 2619)
    assert (gpu.throttle_mask, gpu.throttle_reasons) == (1, ("gpu_idle",))
    assert (gpu.pcie_gen, gpu.pcie_gen_max, gpu.pcie_width, gpu.pcie_width_max, gpu.pcie_replays) == (5, 5, 16, 16, 9)
    assert (gpu.ecc, gpu.ecc_pending, gpu.ecc_aggregate_uncorrected) == (True, True, 0)
    assert (gpu.remapped_correctable, gpu.remap_pending, gpu.remap_failed) == (0, False, False)
    assert (gpu.compute_mode, gpu.persistence, gpu.mig, gpu.mig_devices) == ("default", True, False, ())
    assert [link.active for link in gpu.nvlinks] == [True] * 18
    assert gpu.nvlinks[17].replay_errors == 0
    assert (gpu.fabric_state, gpu.fabric_status) == ("completed", "SUCCESS")
    assert gpu.processes == ()


def test_h200_at_work(look: Look) -> None:
    gpu = look("h200").gpus[0]
    assert (gpu.utilization_percent, gpu.memory_utilization_percent) == (97, 41)
    assert gpu.throttle_reasons == ()
    assert gpu.processes == (
        GpuProcess(pid=31337, kind="compute", used_bytes=61440 * MIB),
        GpuProcess(pid=31400, kind="compute", used_bytes=None),
    )


def test_t4_has_retired_pages_and_no_row_remapping(look: Look) -> None:
    seen = look("t4")
    gpu = seen.gpus[0]
    assert (seen.cuda_version, seen.confidential_computing) == (Version("12.0"), None)
    assert gpu.errors == ()  # "not supported" is no error
    assert (gpu.retired_single_bit, gpu.retired_double_bit, gpu.retire_pending) == (0, 1, True)
    assert (gpu.remapped_correctable, gpu.remap_failed, gpu.mig, gpu.fabric_state) == (None, None, None, None)
    assert (gpu.ecc_aggregate_corrected, gpu.ecc_aggregate_uncorrected) == (2, 1)
    assert gpu.nvlinks == ()


def test_idle_laptop_without_serial_or_ecc(look: Look) -> None:
    gpu = look("rtx4090-laptop").gpus[0]
    assert (gpu.pcie_gen, gpu.pcie_gen_max, gpu.pstate) == (1, 4, 8)
    assert (gpu.brand, gpu.architecture, gpu.compute_capability) == ("GeForce", "Ada", Version("8.9"))
    assert (gpu.serial, gpu.board_part, gpu.ecc, gpu.ecc_volatile_uncorrected, gpu.power_limit_mw) == (None,) * 5
    assert gpu.errors == ()
    assert gpu.processes == (GpuProcess(pid=2211, kind="graphics", used_bytes=4 * MIB),)


def test_mig_devices_where_places_have_holes(look: Look) -> None:
    gpu = look("a100-mig").gpus[0]
    assert (gpu.mig, gpu.mig_pending, gpu.utilization_percent, gpu.errors) == (True, True, None, ())
    assert [(device.index, device.profile, device.gpu_instance) for device in gpu.mig_devices] == [
        (0, "3g.20gb", 2), (2, "1g.5gb", 9), (3, "1g.5gb", 10),
    ]  # fmt: skip
    assert [device.memory_total_bytes for device in gpu.mig_devices] == [20096 * MIB, 4864 * MIB, 4864 * MIB]
    assert all(device.uuid and device.uuid.startswith("MIG-") for device in gpu.mig_devices)
    assert gpu.memory_total_bytes == 40960 * MIB
    assert len(gpu.nvlinks) == 12


def test_lost_gpu_does_not_hide_its_siblings(look: Look) -> None:
    seen = look("lost-gpu")
    assert seen.gpus[2] == Gpu(index=2, errors=(error("nvmlDeviceGetHandleByIndex", 15, "GPU_IS_LOST"),))
    others = [seen.gpus[index] for index in (0, 1, 3)]
    assert [gpu.minor for gpu in others] == [0, 1, 3]
    assert all(gpu.errors == () and gpu.memory_total_bytes == 23034 * MIB for gpu in others)


def test_a_gpu_without_a_handle_is_not_one_that_has_nothing(look: Look) -> None:
    seen = look("h100x8", {"ret.nvmlDeviceGetHandleByIndex_v2.1": 3})
    assert seen.gpus[1] == Gpu(index=1, errors=(error("nvmlDeviceGetHandleByIndex", 3, "NOT_SUPPORTED"),))


def test_gpu_lost_halfway_costs_only_what_was_asked_after(look: Look) -> None:
    changes = {f"ret.{call}.5": 15 for call in ("nvmlDeviceGetTemperatureV", "nvmlDeviceGetNvLinkState")}
    seen = look("h100x8", changes)
    gpu = seen.gpus[5]
    assert (gpu.temperature_c, gpu.nvlinks, gpu.power_mw) == (None, (), 69850)
    assert gpu.errors == (
        error("nvmlDeviceGetTemperatureV", 15, "GPU_IS_LOST"), error("nvmlDeviceGetNvLinkState", 15, "GPU_IS_LOST"),
    )  # fmt: skip
    assert [other.errors for other in seen.gpus if other.index != 5] == [()] * 7


def test_nvlinks_down_and_with_errors(look: Look) -> None:
    links = look("a100-mig", {"gpu.nvlinks": "1 0 1", "gpu.nvlink_errors.2": "7 1 0 3"}).gpus[0].nvlinks
    assert [link.active for link in links] == [True, False, True]
    assert links[1].replay_errors is None  # not asked of a link that is down
    counters = links[2].replay_errors, links[2].recovery_errors, links[2].crc_flit_errors, links[2].crc_data_errors
    assert counters == (7, 1, 0, 3)


def test_nvlink_counters_that_cannot_be_read_do_not_hide_the_links(look: Look) -> None:
    gpu = look("a100-mig", {"ret.nvmlDeviceGetNvLinkErrorCounter": 999}).gpus[0]
    assert [link.active for link in gpu.nvlinks] == [True] * 12
    assert gpu.errors == (error("nvmlDeviceGetNvLinkErrorCounter", 999, "UNKNOWN"),) * 4


def test_sick_memory(look: Look) -> None:
    gpu = look("h200", {"gpu.remapped_rows": "3 2 1 0", "gpu.ecc_volatile": "40 5", "gpu.ecc_mode": "1 0"}).gpus[0]
    assert (gpu.remapped_correctable, gpu.remapped_uncorrectable) == (3, 2)
    assert (gpu.remap_pending, gpu.remap_failed) == (True, False)
    assert (gpu.ecc_volatile_corrected, gpu.ecc_volatile_uncorrected) == (40, 5)
    assert (gpu.ecc, gpu.ecc_pending) == (True, False)


def test_fabric_manager_has_not_registered_the_gpu(look: Look) -> None:
    assert look("h200", {"gpu.fabric": "2 0"}).gpus[0].fabric_state == "in_progress"


# --- NVML does not start ---


@pytest.mark.parametrize(
    ("code", "name"), [(9, "DRIVER_NOT_LOADED"), (18, "LIB_RM_VERSION_MISMATCH"), (999, "UNKNOWN"), (77, "code 77")]
)
def test_init_refused(look: Look, code: int, name: str) -> None:
    assert look("t4", {"ret.nvmlInitWithFlags": code}) == Nvml(error=error("nvmlInit", code, name))


def test_no_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty file where the library should be hides a real one, and is what a half-made container image has."""
    (tmp_path / "libnvidia-ml.so.1").touch()
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    seen = nvml.probe(Local())
    assert seen.error is not None
    assert (seen.error.code, seen.error.name) == (12, "LIBRARY_NOT_FOUND")
    assert "file too short" in (seen.error.detail or "")
    assert seen.gpus == ()


def test_no_gpu(look: Look) -> None:
    seen = look("t4", {"count": 0})
    assert (seen.error, seen.gpus, seen.driver_version) == (None, (), Version("525.89.02"))


def test_count_refused_is_not_zero_gpus_unsaid(look: Look) -> None:
    assert look("t4", {"ret.nvmlDeviceGetCount_v2": 999}).errors == (error("nvmlDeviceGetCount", 999, "UNKNOWN"),)


# --- it hangs, it crashes ---


@pytest.mark.parametrize("symbol", ["nvmlInitWithFlags", "nvmlDeviceGetPowerUsage.0"])
def test_hang_ends_at_the_deadline(look: Look, symbol: str) -> None:
    start = time.monotonic()
    with pytest.raises(CannotLook, match=r"^NVML did not answer within 1 s: the driver or a GPU hangs$"):
        look("t4", {f"ret.{symbol}": "hang"}, timeout=1.0)
    assert time.monotonic() - start < 5


def test_another_reason_is_not_called_a_hang(machine: Callable[..., Any]) -> None:
    with pytest.raises(CannotLook, match=r"^python cannot be started: Permission denied$"):
        nvml.probe(machine({}, {nvml.COMMAND: CannotLook("python cannot be started: Permission denied")}))


@pytest.mark.parametrize(("how", "signal_name"), [("abort", "SIGABRT"), ("segv", "SIGSEGV")])
def test_crash_names_the_signal(look: Look, how: str, signal_name: str) -> None:
    with pytest.raises(CannotLook, match=signal_name):
        look("t4", {"ret.nvmlDeviceGetMemoryInfo_v2": how})


# --- old and new drivers ---


def test_old_driver_is_asked_in_the_old_way(look: Look) -> None:
    missing = (
        "nvmlSystemGetCudaDriverVersion_v2", "nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetComputeRunningProcesses_v3",
        "nvmlDeviceGetGraphicsRunningProcesses_v3", "nvmlDeviceGetTemperatureV",
        "nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetGpuFabricInfoV",
    )  # fmt: skip
    seen = look("h200", {f"ret.{symbol}": 13 for symbol in missing})
    gpu = seen.gpus[0]
    assert (seen.errors, gpu.errors) == ((), ())
    assert seen.cuda_version == Version("13.0")
    assert (gpu.memory_total_bytes, gpu.memory_reserved_bytes) == (143771 * MIB, None)
    assert gpu.memory_used_bytes == (61440 + 601) * MIB  # version 1 counts the reserved part as used
    assert (gpu.temperature_c, gpu.throttle_mask, gpu.fabric_state) == (63, 0, "completed")
    assert gpu.processes is not None
    assert len(gpu.processes) == 2


def test_new_driver_that_removed_the_old_functions(look: Look) -> None:
    removed = ("nvmlDeviceGetTemperature", "nvmlDeviceGetCurrentClocksThrottleReasons", "nvmlDeviceGetGpuFabricInfo")
    gpu = look("h200", {f"ret.{symbol}": 26 for symbol in removed}).gpus[0]
    assert (gpu.errors, gpu.temperature_c, gpu.throttle_mask, gpu.fabric_state) == ((), 63, 0, "completed")


def test_struct_version_that_the_driver_does_not_know(look: Look) -> None:
    gpu = look("h200", {"system.fabric_v2_only": 1}).gpus[0]
    assert (gpu.errors, gpu.fabric_state) == ((), "completed")


def test_function_that_the_driver_lacks_altogether(look: Look) -> None:
    processes = [f"nvmlDeviceGetComputeRunningProcesses_v{n}" for n in (2, 3)]
    gpu = look("h200", {f"ret.{symbol}": 13 for symbol in (*processes, "nvmlDeviceGetRemappedRows")}).gpus[0]
    assert gpu.processes is None  # not "no processes"
    assert gpu.remapped_correctable is None
    assert gpu.errors == ()  # such a driver has none of it


def test_what_no_form_tells_any_more_is_not_what_there_never_was(look: Look) -> None:
    gpu = look("h200", {"ret.nvmlDeviceGetRemappedRows": 26}).gpus[0]
    assert gpu.errors == (error("nvmlDeviceGetRemappedRows", 26, "DEPRECATED"),)


@pytest.mark.parametrize("code", [3, 13])
def test_every_driver_counts_its_gpus(look: Look, code: int) -> None:
    assert [e.call for e in look("t4", {"ret.nvmlDeviceGetCount_v2": code}).errors] == ["nvmlDeviceGetCount"]


# --- the fake has the layouts of the bindings ---


@pytest.mark.parametrize(
    ("line", "drifted", "message"),
    [
        ("SIZEOF_c_nvmlMemory_v2_t 40", "SIZEOF_c_nvmlMemory_v2_t 48", "the size of c_nvmlMemory_v2_t differs"),
        ("OFFSETOF_nvmlPciInfo_t_bus 20", "OFFSETOF_nvmlPciInfo_t_bus 16", "nvmlPciInfo_t.bus differs"),
        ("FIELDS_c_nvmlUtilization_t 2", "FIELDS_c_nvmlUtilization_t 3", "the fields of c_nvmlUtilization_t differ"),
        ("BINDING_nvmlMemory_v2 0x2000028u", "BINDING_nvmlMemory_v2 0x3000028u", "the version of c_nvmlMemory_v2_t"),
    ],
)
def test_bindings_that_drift_stop_the_build(
    fakenvml_folder: Path, tmp_path: Path, line: str, drifted: str, message: str
) -> None:
    header = (fakenvml_folder / "bindings.h").read_text()
    assert header.count(f"#define {line}\n") == 1
    (tmp_path / "bindings.h").write_text(header.replace(line, drifted))
    source = Path(__file__).parents[1] / "fakenvml" / "fakenvml.c"
    command = ["cc", "-std=gnu11", "-fsyntax-only", f"-I{tmp_path}", str(source)]
    compiled = subprocess.run(command, capture_output=True, text=True)
    assert compiled.returncode != 0
    assert message in compiled.stderr


# --- the parent ---


def test_answers_survive_recording(fake_nvml: Callable[[str, Mapping[str, object]], None]) -> None:
    fake_nvml("lost-gpu", {})
    recording = Recording(Local())
    seen = nvml.probe(recording)
    assert nvml.probe(Recorded(recording.document())) == seen
    assert codec.load(Nvml, codec.dump(seen)) == seen


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (Result(code=1, out="", err="Traceback\nModuleNotFoundError: No module named 'pynvml'\n"), "No module named"),
        (Result(code=1, out="", err=""), "said nothing"),
        (Result(code=-64, out="", err=""), "signal 64|SIGRTMAX"),
        (Result(code=0, out="", err=""), "cannot be read"),
        (Result(code=0, out='{"gpus": [{"index": "0"}]}', err=""), r"\$\.gpus\[0\]\.index: expected int"),
        (Result(code=0, out='{"gpu": []}', err=""), "no key 'gpu'"),
    ],
)
def test_answers_that_are_none(result: Result, reason: str) -> None:
    with pytest.raises(CannotLook, match=reason):
        nvml.parse(result)


def test_importing_the_probe_does_not_import_the_bindings() -> None:
    script = (
        "import sys, gpucheck.probes.nvml, gpucheck.probes.nvml.read\n"
        "print([name for name in ('pynvml', 'typer', 'rich', 'docker', 'pydantic') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- words ---


def test_words() -> None:
    assert words.throttle_reasons(0x4 | 0x40) == ("sw_power_cap", "hw_thermal_slowdown")
    assert words.throttle_reasons(1 << 12) == ("bit 12",)
    assert words.word(words.ARCHITECTURES, 99) == "code 99"
    assert words.cpu_list([0b1011, 1 << 63, 1]) == "0-1,3,127-128"
    assert words.cpu_list([0, 0]) == ""
