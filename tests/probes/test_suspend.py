from collections.abc import Callable
from typing import Any

import pytest

from gpucheck.facts import Suspend
from gpucheck.host import CannotLook
from gpucheck.probes import suspend

Machine = Callable[..., Any]


def test_a_laptop(machine: Machine) -> None:
    found = suspend.probe(
        machine({suspend.COUNT: "3\n", suspend.WANTED: "grub-common.service\nnvidia-resume.service\n"})
    )
    assert found == Suspend(times=3, services=("nvidia-resume",))


@pytest.mark.parametrize("count", [None, "", "many\n", "9" * 5000, CannotLook("Permission denied")])
def test_a_count_that_is_not_told(machine: Machine, count: str | CannotLook | None) -> None:
    assert suspend.probe(machine({suspend.COUNT: count})) == Suspend(times=None, services=())
