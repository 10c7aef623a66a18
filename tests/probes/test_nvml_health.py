"""What NVML says of a GPU's health, of sixty-four GPUs, and what is made of garbage."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from gpucheck.facts import CallError, Nvml
from gpucheck.host import Local
from gpucheck.probes import nvml

Use = Callable[[str, Mapping[str, object]], None]
MOST_OF_64_BITS = 2**64 - 1


def look(fake_nvml: Use, profile: str, **changes: object) -> Nvml:
    fake_nvml(profile, {key.replace("__", "."): value for key, value in changes.items()})
    return nvml.probe(Local(), timeout=20.0)


def test_a_healthy_gpu(fake_nvml: Use) -> None:
    gpu = look(fake_nvml, "h100x8").gpus[3]
    assert (gpu.remap_banks, gpu.sram_threshold_exceeded, gpu.inforom_valid) == ((2560, 0, 0, 0, 0), False, True)
    assert (gpu.recovery_action, gpu.margin_c, gpu.errors) == ("none", 46, ())


def test_a_sick_one(fake_nvml: Use) -> None:
    sick = {
        "gpu.remapper_histogram": "2550 7 0 2 1",
        "gpu.sram_threshold_exceeded": 1,
        "gpu.inforom_valid": 0,
        "gpu.field.230": 4,
        "gpu.margin_temperature": MOST_OF_64_BITS - 4,  # -5
    }
    fake_nvml("h200", sick)
    gpu = nvml.probe(Local()).gpus[0]
    assert (gpu.remap_banks, gpu.sram_threshold_exceeded, gpu.inforom_valid) == ((2550, 7, 0, 2, 1), True, False)
    assert (gpu.recovery_action, gpu.margin_c, gpu.errors) == ("drain_and_reset", -5, ())


def test_what_a_gpu_does_not_have_is_no_error(fake_nvml: Use) -> None:
    gpu = look(fake_nvml, "rtx4090-laptop").gpus[0]
    assert (gpu.remap_banks, gpu.sram_threshold_exceeded, gpu.inforom_valid) == (None, None, None)
    assert (gpu.recovery_action, gpu.margin_c, gpu.errors) == (None, None, ())


@pytest.mark.parametrize(
    ("symbol", "call", "field"),
    [
        ("nvmlDeviceGetRowRemapperHistogram", "nvmlDeviceGetRowRemapperHistogram", "remap_banks"),
        ("nvmlDeviceGetSramEccErrorStatus", "nvmlDeviceGetSramEccErrorStatus", "sram_threshold_exceeded"),
        ("nvmlDeviceValidateInforom", "nvmlDeviceValidateInforom", "inforom_valid"),
        ("nvmlDeviceGetFieldValues", "nvmlDeviceGetFieldValues", "recovery_action"),
        ("nvmlDeviceGetMarginTemperature", "nvmlDeviceGetMarginTemperature", "margin_c"),
    ],
)
def test_what_was_refused_is_an_error(fake_nvml: Use, symbol: str, call: str, field: str) -> None:
    fake_nvml("h200", {f"ret.{symbol}": 999})
    gpu = nvml.probe(Local()).gpus[0]
    assert getattr(gpu, field) is None
    assert gpu.errors == (CallError(call=call, code=999, name="UNKNOWN"),)


def test_an_inforom_that_cannot_be_validated_is_not_corrupted(fake_nvml: Use) -> None:
    for code, errors in ((13, 0), (3, 0), (15, 1)):
        fake_nvml("h200", {"ret.nvmlDeviceValidateInforom": code})
        gpu = nvml.probe(Local()).gpus[0]
        assert (gpu.inforom_valid, len(gpu.errors)) == (None, errors)


def test_confidential_computing(fake_nvml: Use) -> None:
    for ready in (0, 1):
        fake_nvml("h200", {"system.confidential_computing": 1, "system.confidential_ready": ready})
        seen = nvml.probe(Local())
        assert (seen.confidential_computing, seen.confidential_ready, seen.errors) == (True, bool(ready), ())
    assert look(fake_nvml, "h200").confidential_ready is None


def test_sixty_four_gpus(fake_nvml: Use) -> None:
    own = {f"gpu.{n}.{key}": value for n in range(64) for key, value in (("uuid", f"GPU-{n}"), ("minor", n))}
    fake_nvml("h100x8", {**own, "count": 64, "ret.nvmlDeviceGetHandleByIndex_v2.40": 15})
    seen = nvml.probe(Local())
    assert [gpu.uuid for gpu in seen.gpus] == [None if n == 40 else f"GPU-{n}" for n in range(64)]
    assert sum(len(gpu.nvlinks) for gpu in seen.gpus) == 63 * 18


def test_nothing_is_ever_set() -> None:
    """A doctor looks: persistence mode is not switched on to be found on, and no counter is cleared."""
    sources = "".join(path.read_text() for path in Path(nvml.__file__).parent.glob("*.py"))
    names = re.findall(r"\bnvml[DSI]\w+\b(?<!_t)", sources)
    verbs = {re.sub(r"^nvml(Device|System)?([A-Z][a-z]+).*", r"\2", name) for name in names}
    assert verbs == {"Get", "Init", "Validate"}


# --- garbage ---


def test_bytes_that_are_no_text_cost_one_answer(fake_nvml: Use) -> None:
    fake_nvml("t4", {"gpu.name": r"Tesla \xff\xfe", "gpu.serial": "overflow", "gpu.uuid": "U" * 500})
    gpu = nvml.probe(Local()).gpus[0]
    assert (gpu.name, gpu.uuid, gpu.vbios) == (None, None, "90.04.84.00.06")
    assert gpu.serial == "A" * 30  # a whole buffer without its NUL
    assert gpu.errors == (
        CallError(call="nvmlDeviceGetUUID", code=7, name="INSUFFICIENT_SIZE"),
        CallError(call="nvmlDeviceGetName", code=-1, name="NOT_TEXT"),
    )


@pytest.mark.parametrize("version", [r"\xff\xfe", "no number", "overflow"])
def test_a_driver_version_that_is_none(fake_nvml: Use, version: str) -> None:
    fake_nvml("t4", {"system.driver_version": version})
    seen = nvml.probe(Local())
    assert (seen.driver_version, len(seen.gpus)) == (None, 1)
    assert [error.name for error in seen.errors] == ["NOT_TEXT"]


def test_absurd_numbers(fake_nvml: Use) -> None:
    numbers = (
        "memory", "bar1", "utilization", "temperature", "temperature_thresholds", "power_usage", "energy", "pstate",
        "clocks", "throttle_reasons", "pcie_gen", "pcie_width", "brand", "architecture", "compute_capability", "minor",
        "ecc_mode", "ecc_volatile", "remapped_rows", "remapper_histogram", "compute_mode", "mig_mode", "fabric",
        "field.230", "cpu_affinity", "pci_device_id", "nvlinks", "max_mig_devices",
    )  # fmt: skip
    fake_nvml("h200", {f"gpu.{name}": f"{MOST_OF_64_BITS} " * 5 for name in numbers})
    gpu = nvml.probe(Local()).gpus[0]
    assert gpu.energy_mj == MOST_OF_64_BITS
    assert (gpu.brand, gpu.compute_mode, gpu.recovery_action) == ("code 4294967295",) * 3
    assert gpu.throttle_reasons is not None
    assert len(gpu.throttle_reasons) == 64
    assert gpu.mig_devices == ()


def test_an_absurd_count_ends(fake_nvml: Use) -> None:
    seen = look(fake_nvml, "t4", count=2**32 - 1)
    assert len(seen.gpus) == 256
    assert [gpu.index for gpu in seen.gpus if gpu.errors][:1] == [64]  # the most that the fake has
