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
    text = "uid=1000(ann) gid=1000(ann) groups=1000(ann),27(sudo),44 context=unconfined_u:unconfined_r:payroll_t:s0\n"
    kept = user.kept(text, lambda name: name if name == "sudo" else "other")
    assert kept == "uid=1000 groups=1000(other),27(sudo),44\n"
    assert user.own_name(text) == "ann"


SAMPLES = (
    "uid=1000(ann) gid=1000(ann) groups=1000(ann),27(sudo)\n", "uid=0(root) gid=0(root)\n", "uid=7 groups=\n",
    "uid=\n", "uid=5(CORP\\ann) groups=16684513(domain users@corp.example),998(docker)\n",
    "\0\ufffd", "uid=1 groups=(x),2(,3()\n",
    "uid=1(a) groups=1(a) context=a:b:c:s0-s0:c0.c1023\n", "\nuid=3(x) groups=3(x)",
)  # fmt: skip


@pytest.mark.parametrize("text", SAMPLES)
def test_what_is_kept_says_the_same(text: str) -> None:
    try:
        found = user.parse(text)
    except CannotLook:
        assert user.kept(text) == ""
    else:
        assert user.parse(user.kept(text)) == found


def test_a_group_of_a_directory_has_spaces() -> None:
    assert user.parse(SAMPLES[4]).groups == ("domain users@corp.example", "docker")
