"""A GPU's memory and firmware: what NVML counts, keeps for good, and asks for."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import byref
from typing import Any

from gpucheck.probes.nvml import words
from gpucheck.probes.nvml.ask import NOT_SUPPORTED, OUTDATED, Ask

CORRECTED, UNCORRECTED = 0, 1  # nvmlMemoryErrorType_t
VOLATILE, AGGREGATE = 0, 1  # nvmlEccCounterType_t
SINGLE_BIT, DOUBLE_BIT = 0, 1  # nvmlPageRetirementCause_t
RECOVERY_ACTION = 230  # NVML_FI_DEV_GET_GPU_RECOVERY_ACTION; drivers from 570 on
UNKNOWN_FIELD = OUTDATED | {NOT_SUPPORTED, 2}  # what a driver says of a field that is newer than it is
CORRUPTED_INFOROM = 14


def health(ask: Ask, gpu: Any) -> dict[str, Any]:
    ecc = bools(ask("nvmlDeviceGetEccMode", gpu))
    rows = ask("nvmlDeviceGetRemappedRows", gpu) or (None,) * 4
    return {
        "ecc": ecc[0],
        "ecc_pending": ecc[1],
        "ecc_volatile_corrected": ask("nvmlDeviceGetTotalEccErrors", gpu, CORRECTED, VOLATILE),
        "ecc_volatile_uncorrected": ask("nvmlDeviceGetTotalEccErrors", gpu, UNCORRECTED, VOLATILE),
        "ecc_aggregate_corrected": ask("nvmlDeviceGetTotalEccErrors", gpu, CORRECTED, AGGREGATE),
        "ecc_aggregate_uncorrected": ask("nvmlDeviceGetTotalEccErrors", gpu, UNCORRECTED, AGGREGATE),
        "sram_threshold_exceeded": _sram(ask, gpu),
        "remapped_correctable": rows[0],
        "remapped_uncorrectable": rows[1],
        "remap_pending": to_bool(rows[2]),
        "remap_failed": to_bool(rows[3]),
        "remap_banks": _banks(ask("nvmlDeviceGetRowRemapperHistogram", gpu)),
        "retired_single_bit": _count(ask("nvmlDeviceGetRetiredPages", gpu, SINGLE_BIT)),
        "retired_double_bit": _count(ask("nvmlDeviceGetRetiredPages", gpu, DOUBLE_BIT)),
        "retire_pending": to_bool(ask("nvmlDeviceGetRetiredPagesPendingStatus", gpu)),
        "inforom_valid": _inforom(ask, gpu),
        "recovery_action": _recovery(ask, gpu),
    }


def to_bool(value: int | None) -> bool | None:
    return None if value is None else bool(value)


def bools(pair: Sequence[int] | None) -> tuple[bool | None, bool | None]:
    return (None, None) if pair is None else (bool(pair[0]), bool(pair[1]))


def _count(pages: Sequence[int] | None) -> int | None:
    return None if pages is None else len(pages)


def _banks(histogram: Any) -> tuple[int, ...] | None:
    if histogram is None:
        return None
    return histogram.max, histogram.high, histogram.partial, histogram.low, histogram.none


def _sram(ask: Ask, gpu: Any) -> bool | None:
    """The binding fills what it is given, and answers 0."""
    make = getattr(ask.binding, "c_nvmlEccSramErrorStatus_v1_t", None)
    if make is None:  # an older nvidia-ml-py
        return None
    status = make()
    answer = ask("nvmlDeviceGetSramEccErrorStatus", gpu, byref(status))
    return None if answer is None else bool(status.bThresholdExceeded)


def _inforom(ask: Ask, gpu: Any) -> bool | None:
    """The function has no answer but its code."""
    code = ask.code("nvmlDeviceValidateInforom", gpu, known=frozenset({CORRUPTED_INFOROM}))
    return None if code is None else code == 0


def _recovery(ask: Ask, gpu: Any) -> str | None:
    values = ask("nvmlDeviceGetFieldValues", gpu, [RECOVERY_ACTION])
    if values is None:
        return None
    value = values[0]
    if value.nvmlReturn == 0:
        return words.word(words.RECOVERY_ACTIONS, value.value.uiVal)
    if value.nvmlReturn not in UNKNOWN_FIELD:
        ask.errors.append(ask.error("NVML_FI_DEV_GET_GPU_RECOVERY_ACTION", value.nvmlReturn))
    return None
