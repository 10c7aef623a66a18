from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gpucheck.facts import DeviceNode
from gpucheck.host import CannotLook, Local, Result
from gpucheck.probes import files
from tests.probes.real_files import answers

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


@pytest.mark.parametrize(
    ("words", "hidden"), [("No such file or directory (os error 2)", False), ("Permission denied (os error 13)", True)]
)
def test_uutils_stat_says_the_number_too(machine: Machine, words: str, hidden: bool) -> None:
    """As rust-coreutils 0.0.17 does; Ubuntu's coreutils since 25.10 are uutils'."""
    result = Result(code=1, out="", err=f"stat: cannot stat '/opt/x': {words}\n")
    found = files.present(machine({}, {("stat", "-L", "-c", files.STAT_FORMAT, "/opt/x"): result}), ["/opt/x"])
    assert found == ({"/opt/x": None} if hidden else {})


LINKS = {"/b/libx.so.1": "/b/libx.so.1.2", "/c/libx.so.1": "/c/libx.so.1.3"}


def test_readlink_is_asked_of_what_is_there(machine: Machine) -> None:
    """uutils' stops at the first file that is not: uutils/coreutils issue 6688, pull request 14799."""
    host = machine({}, answers(["/a/libx.so.1", *LINKS], LINKS))
    assert [library.path for library in files.libraries(host, ["libx.so.1"], ["/a", "/b", "/c"])] == [*LINKS.values()]
    assert host.asked[-1] == ("readlink", "-e", *LINKS)


@pytest.mark.parametrize(
    "result",
    [
        Result(code=1, out="", err="readlink: invalid option -- 'e'\n"),
        Result(code=1, out="/b/libx.so.1.2\n", err=""),
        Result(code=0, out="/b/libx.so.1.2\ngarbage\n", err=""),
        Result(code=127, out="", err=""),
    ],
)
def test_a_readlink_that_does_not_tell_all_cannot_look(machine: Machine, result: Result) -> None:
    runs = {**answers(LINKS, LINKS), ("readlink", "-e", *LINKS): result}
    with pytest.raises(CannotLook, match="readlink"):
        files.libraries(machine({}, runs), ["libx.so.1"], ["/b", "/c"])


def test_a_real_readlink(tmp_path: Path) -> None:
    (tmp_path / "libx.so.1.2").touch()
    (tmp_path / "libx.so.1").symlink_to("libx.so.1.2")
    (tmp_path / "liby.so.1").symlink_to("gone")
    found = files.libraries(Local(), ["liby.so.1", "libz.so.1", "libx.so.1"], [str(tmp_path)])
    assert [library.path for library in found] == [f"{tmp_path.resolve()}/libx.so.1.2"]


def test_without_stat_nothing_is_known(machine: Machine) -> None:
    with pytest.raises(CannotLook, match="stat"):
        files.present(machine(), ["/dev/null"])
