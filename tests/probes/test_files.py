from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gpucheck.facts import DeviceNode
from gpucheck.host import CannotLook, Local, Result
from gpucheck.probes import files

Machine = Callable[..., Any]


def test_what_this_user_is_not_let_near_may_be_there(machine: Machine) -> None:
    here, gone, closed = "/dev/null", "/opt/gone", "/opt/closed/lib.so"
    said = f"stat: cannot statx '{gone}': No such file or directory\nstat: cannot statx '{closed}': Permission denied\n"
    result = Result(code=1, out=f"21b6 1 3 666 root {here}\n", err=said)
    found = files.present(machine({}, {("stat", "-L", "-c", files.STAT_FORMAT, here, gone, closed): result}),
                          [here, gone, closed])  # fmt: skip
    device = DeviceNode(path=here, major=1, minor=3, mode="666", group="root")
    assert found == {here: files.Entry(0o20666, device), closed: None}


def test_a_real_stat(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").touch(0o640)
    paths = [f"{tmp_path}/{name}" for name in ("loop", "file", "file/below", "gone")]
    found = files.present(Local(), ["/dev/null", *paths])
    assert set(found) == {"/dev/null", f"{tmp_path}/file"}
    null, file = found.values()
    assert null is not None
    assert null.device is not None
    assert (null.device.major, null.device.minor) == (1, 3)
    assert file is not None
    assert (file.mode, file.device) == (0o100640, None)


def test_without_stat_nothing_is_known(machine: Machine) -> None:
    with pytest.raises(CannotLook, match="stat"):
        files.present(machine(), ["/dev/null"])
