"""The table of Xids: NVIDIA's words for whose fault it is and what it takes, and the traps that tables fall into."""

from __future__ import annotations

import pytest

from gpucheck import compat
from gpucheck.tables import Xid

C = compat.load()
KINDS = {"application", "driver", "hardware", "power", "informational"}
ACTIONS = {
    "ignore", "check-application", "restart-application", "follow-other", "see-message", "check-nvlink",
    "check-mechanicals", "reset-gpu", "reboot", "update-driver", "contact-vendor",
}  # fmt: skip


def row(code: int) -> Xid:
    xid = C.xid(code)
    assert xid
    return xid


def test_the_words_are_of_the_vocabulary() -> None:
    assert {xid.kind for xid in C.xids} == KINDS
    assert {xid.action for xid in C.xids} == ACTIONS
    codes = [xid.code for xid in C.xids]
    assert codes == sorted(set(codes))
    assert all(xid.meaning[-1] not in ".!" and xid.name.isupper() for xid in C.xids)


# NVIDIA/k8s-device-plugin internal/rm/health.go leaves a GPU in service for these.
@pytest.mark.parametrize("code", [13, 31, 43, 45, 68, 109])
def test_a_programs_fault_is_no_fault_of_the_gpu(code: int) -> None:
    assert row(code).kind == "application"


@pytest.mark.parametrize(
    ("code", "kind", "action", "part"),
    [
        (40, "driver", "restart-application", "CE1"),  # a copy engine, not ECC
        (41, "driver", "restart-application", "CE2"),
        (42, "driver", "contact-vendor", "VIC"),
        (44, "driver", "ignore", "CTXSW"),
        (48, "hardware", "reset-gpu", "ECC_DBE"),
        (54, "power", "check-mechanicals", "PWR"),
        (57, "hardware", "contact-vendor", "LINK_TRAINING"),
        (63, "informational", "ignore", "RETIREMENT_EVENT"),  # harmless by itself
        (64, "hardware", "reset-gpu", "RETIREMENT_FAILURE"),
        (74, "hardware", "check-nvlink", "NVLINK"),
        (79, "hardware", "reboot", "FALLEN_OFF_THE_BUS"),
        (94, "hardware", "restart-application", "_CONTAINED"),
        (95, "hardware", "reset-gpu", "UNCONTAINED"),
        (119, "driver", "reset-gpu", "GSP_RPC_TIMEOUT"),
        (140, "hardware", "reset-gpu", "ECC_ERROR_ESCAPE"),
        (154, "informational", "see-message", "RECOVERY_ACTION"),
    ],
)
def test_codes_that_tables_get_wrong(code: int, kind: str, action: str, part: str) -> None:
    xid = row(code)
    assert (xid.kind, xid.action) == (kind, action)
    assert part in xid.name


@pytest.mark.parametrize("code", [0, 1, 55, 91, 166, 999])
def test_what_is_not_in_the_catalogue_is_not_known(code: int) -> None:
    assert C.xid(code) is None
