"""DKMS's logs. Formats: dkms 3.0.10 (Debian 12, do_build) and 3.2.0 (launchpad.net bug 2141316)."""

from collections.abc import Callable
from typing import Any

import pytest

from gpucheck.facts import Dkms, FailedBuild
from gpucheck.host import CannotLook
from gpucheck.probes import dkms

Machine = Callable[..., Any]

# The compiler's lines: void-linux/void-packages issue 55238.
LOG = """DKMS make.log for nvidia-390.157 for kernel 6.12.7_1 (x86_64)
Sat Apr 26 10:00:00 UTC 2025
make[1]: Entering directory '/usr/src/kernel-headers-6.12.7_1'
warning: the compiler differs from the one used to build the kernel
/var/lib/dkms/nvidia/390.157/build/common/inc/nv-linux.h: In function 'nv_ioremap_nocache':
/var/lib/dkms/nvidia/390.157/build/common/inc/nv-linux.h:564:17: error: implicit declaration of 'ioremap_nocache'
  564 |     void *ptr = ioremap_nocache(phys, size);
make[2]: *** [Makefile:1831: /var/lib/dkms/nvidia/390.157/build] Error 2
"""
NEW = LOG.replace("DKMS make.log for nvidia-390.157", "DKMS (dkms-3.2.0) make.log for nvidia/390.157")
ERROR = "nv-linux.h: error: implicit declaration of 'ioremap_nocache'"
NO_COMPILER = """DKMS make.log for nvidia-570.124.06 for kernel 6.8.0-60-generic (x86_64)
/bin/sh: 1: gcc-13: not found
make: *** [Makefile:115: modules] Error 2
"""


@pytest.mark.parametrize(
    ("log", "kernel", "error"),
    [
        (LOG, "6.12.7_1", ERROR),
        (NEW, "6.12.7_1", ERROR),
        (NO_COMPILER, "6.8.0-60-generic", "sh: 1: gcc-13: not found"),
        ("DKMS make.log for nvidia-1 for kernel 6.1 (x86_64)\nmake: *** [x] Error 2\n", "6.1", "make: *** [x] Error 2"),
        ("DKMS make.log for nvidia-1 for kernel 6.1 (x86_64)\n", "6.1", None),
        ("", "", None),
        ("\ufffd\0" * 50_000, "", None),
        (f"{'a/' * 2_000_000}: error: x\n", "", None),
        (f"{'/a' * 240} error: x\n" * 8000, "", None),  # within seconds, not minutes
        ("/srv/acme/x/ld:/srv/acme/y.o: error: z\n", "", "y.o: error: z"),
        ("/opt/acme/a.c:1:\nerror: z\n", "", "a.c: error: z"),
    ],
)
def test_the_first_error_is_the_cause(log: str, kernel: str, error: str | None) -> None:
    assert dkms.parse(log) == (kernel, error)
    assert dkms.parse(dkms.kept(log)) == dkms.parse(log)
    assert "acme" not in dkms.kept(log)


def test_what_failed_to_build(machine: Machine) -> None:
    files = {
        dkms.TREE: "8812au\ndkms_dbversion\nnvidia\nnvidia-fs\nvirtualbox\n",
        f"{dkms.TREE}/nvidia": "390.157\n570.124.06\nkernel-6.1.0-28-amd64-x86_64\n",
        f"{dkms.TREE}/nvidia/390.157/build/make.log": LOG,
        f"{dkms.TREE}/nvidia-fs/2.24/build/make.log": LOG,
    }
    assert dkms.probe(machine(files)) == Dkms(
        failed=(FailedBuild(module="nvidia/390.157", kernel="6.12.7_1", error=ERROR),)
    )


def test_a_machine_without_dkms(machine: Machine) -> None:
    assert dkms.probe(machine()) == Dkms(failed=())


def test_a_log_that_may_not_be_read(machine: Machine) -> None:
    with pytest.raises(CannotLook):
        dkms.probe(machine({dkms.TREE: CannotLook("/var/lib/dkms: Permission denied")}))


def test_what_is_kept_of_the_folders() -> None:
    assert dkms.kept_modules("8812au\nacme-secret\nnvidia\nnvidia-current\n") == "nvidia\nnvidia-current\n"
    assert dkms.kept_versions("390.157\nkernel-6.1.0-28-amd64-x86_64\n") == "390.157\n"
