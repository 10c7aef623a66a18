from collections.abc import Callable
from typing import Any

import pytest

from gpucheck.facts import Selinux
from gpucheck.probes import selinux

Machine = Callable[..., Any]


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({}, Selinux(enforcing=False, devices_allowed=None)),
        ({selinux.ENFORCE: "0", selinux.DEVICES: "1 1"}, Selinux(enforcing=False, devices_allowed=None)),
        ({selinux.ENFORCE: "1"}, Selinux(enforcing=True, devices_allowed=None)),
        ({selinux.ENFORCE: "1", selinux.DEVICES: "0 0"}, Selinux(enforcing=True, devices_allowed=False)),
        ({selinux.ENFORCE: "1", selinux.DEVICES: "1 0"}, Selinux(enforcing=True, devices_allowed=True)),
        ({selinux.ENFORCE: "1\n", selinux.DEVICES: "\x00?"}, Selinux(enforcing=True, devices_allowed=None)),
    ],
)
def test_selinux(machine: Machine, files: dict[str, str], found: Selinux) -> None:
    assert selinux.probe(machine(files)) == found
