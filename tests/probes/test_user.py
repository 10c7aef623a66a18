"""id(1), of coreutils and of busybox."""

from collections.abc import Callable
from typing import Any

import pytest

from gpucheck.facts import User
from gpucheck.host import CannotLook, Result
from gpucheck.probes import user

Machine = Callable[..., Any]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "uid=1000(ann) gid=1000(ann) groups=1000(ann),27(sudo),44(video)\n",
            User(uid=1000, groups=("ann", "sudo", "video")),
        ),
        ("uid=0(root) gid=0(root) groups=0(root)\n", User(uid=0, groups=("root",))),
        # A container's user without a line in /etc/passwd.
        ("uid=1234 gid=0(root) groups=0(root),44\n", User(uid=1234, groups=("root", "44"))),
        ("uid=65534(nobody) gid=65534(nogroup)\n", User(uid=65534, groups=())),
    ],
)
def test_who(machine: Machine, text: str, found: User) -> None:
    assert user.probe(machine({}, {user.COMMAND: Result(code=0, out=text, err="")})) == found


@pytest.mark.parametrize("text", ["", "uid=", "\ufffd\0", "uid=99999999999999999999(x)"])
def test_nobody_is_no_answer(text: str) -> None:
    with pytest.raises(CannotLook, match="id command"):
        user.parse(text)


def test_the_name_is_nobody_elses_business() -> None:
    kept = user.kept("uid=1000(ann) gid=1000(ann) groups=1000(ann),27(sudo),44(video)\n")
    assert kept == "uid=1000(user) gid=1000(user) groups=1000(user),27(sudo),44(video)\n"
    assert user.kept("uid=0(root) gid=0(root) groups=0(root)\n") == "uid=0(root) gid=0(root) groups=0(root)\n"
