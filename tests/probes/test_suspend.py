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


def test_a_kernel_that_does_not_count(machine: Machine) -> None:
    assert suspend.probe(machine({suspend.COUNT: None})) == Suspend(times=None, services=())


@pytest.mark.parametrize("count", ["", "many\n", "9" * 5000, CannotLook("Permission denied")])
def test_a_count_that_cannot_be_read(machine: Machine, count: str | CannotLook) -> None:
    with pytest.raises(CannotLook):
        suspend.probe(machine({suspend.COUNT: count}))


def test_what_is_kept_names_no_other_service() -> None:
    assert suspend.kept_wanted("acme-backup.service\nnvidia-suspend.service\n") == "nvidia-suspend.service\n"
