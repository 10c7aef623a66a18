from collections.abc import Callable
from typing import Any

import pytest

from gpucheck.facts import Version
from gpucheck.host import Result
from gpucheck.probes import kernel

Machine = Callable[..., Any]

MODINFO = """filename:       /lib/modules/6.8.0-45-generic/updates/dkms/nvidia.ko.zst
alias:          char-major-195-*
version:        550.107.02
supported:      external
license:        Dual MIT/GPL
firmware:       nvidia/550.107.02/gsp_tu10x.bin
srcversion:     5A2C5A4C5B5E8C2E0B5A3E1
depends:        ecc
name:           nvidia
vermagic:       6.8.0-45-generic SMP preempt mod_unload modversions
sig_id:         PKCS#7
signer:         build Secure Boot Module Signature key
sig_key:        3B:AA
signature:      12:34:56
\t\tAB:CD:EF
parm:           NvSwitchRegDwords:NvSwitch regkey (charp)
"""
FILES = {
    "/proc/sys/kernel/osrelease": "6.8.0-45-generic\n",
    "/proc/sys/kernel/tainted": "12289\n",
    "/proc/modules": "nvidia_uvm 1765376 0 - Live 0x0000000000000000 (OE)\nnvidia 9715712 2 nvidia_uvm, Live 0x0 (OE)\n"
    "snd_hda_codec_nvidia 1 0 - Live 0x0\nnouveau 2 0 - Live 0x0\next4 3 1 - Live 0x0\n",
    "/lib/modules/6.8.0-45-generic": "build\nmodules.dep\n",
    "/lib/modules/6.8.0-45-generic/build": "Makefile\n",
}


def command(name: str = "modinfo") -> tuple[str, ...]:
    return (name, "-k", "6.8.0-45-generic", *kernel.MODULE_NAMES)


def test_a_signed_open_module(machine: Machine) -> None:
    # modinfo fails when one of the names is unknown, and still prints the others.
    found = kernel.probe(machine(FILES, {command(): Result(code=1, out=MODINFO, err="modinfo: ERROR: not found")}))
    assert found.release == "6.8.0-45-generic"
    assert found.modules == ("nouveau", "nvidia", "nvidia_uvm")
    assert found.module_version == Version("550.107.02")
    assert found.module_licence == "Dual MIT/GPL"
    assert found.module_signer == "build Secure Boot Module Signature key"
    assert (found.headers, found.taints) == (True, 12289)


def test_no_module_for_this_kernel(machine: Machine) -> None:
    files = {key: text for key, text in FILES.items() if not key.endswith("build")}
    found = kernel.probe(machine(files, {command(): Result(code=1, out="", err="modinfo: ERROR: Module not found.")}))
    assert (found.module_version, found.module_licence, found.module_signer, found.headers) == (None, None, None, False)


def test_modinfo_outside_the_path(machine: Machine) -> None:
    found = kernel.probe(machine(FILES, {command("/sbin/modinfo"): Result(code=0, out=MODINFO, err="")}))
    assert found.module_version == Version("550.107.02")


def test_without_modinfo_the_rest_of_the_kernel_is_known(machine: Machine) -> None:
    """As in a container that the host's /lib/modules is mounted in."""
    found = kernel.probe(machine(FILES))
    assert (found.module_version, found.modules) == (None, ("nouveau", "nvidia", "nvidia_uvm"))
    assert "no modinfo" in (found.module_error or "")
    told = kernel.probe(machine(FILES, {command(): Result(code=1, out="", err="modinfo: ERROR: Module not found.")}))
    assert told.module_error is None


def test_without_a_modules_folder_there_is_no_module(machine: Machine) -> None:
    found = kernel.probe(machine({"/proc/sys/kernel/osrelease": "6.8.0\n"}))
    assert (found.module_version, found.modules, found.headers, found.taints) == (None, (), False, 0)


def test_of_two_modules_the_first_is_loaded() -> None:
    assert kernel.parse_modinfo(MODINFO + MODINFO.replace("550.107.02", "470.1"))["version"] == "550.107.02"
    assert kernel.parse_modinfo("torn") == {}


@pytest.mark.parametrize(
    ("variable", "on"),
    [
        ("\x06\0\0\0\1", True),
        ("\x06\0\0\0\0", False),
        (None, None),
        ("", None),
        ("\x06\0\0\0", None),
        ("\x06\0\0\0\ufffd", None),
    ],
)
def test_secure_boot(variable: str | None, on: bool | None) -> None:
    assert kernel.parse_secure_boot(variable) is on


# The whole form: mokutil 0.6; the short one, since 0.7: secureblue/secureblue issue 1043.
WHOLE = """[key 1]
SHA1 Fingerprint: 76:a0:92:06:58:00:bf:37:69:01:c3:72:cd:55:a9:0e:1f:de:d2:e0
Certificate:
    Data:
        Version: 3 (0x2)
        Issuer: C=GB, ST=Isle of Man, L=Douglas, O=Canonical Ltd., CN=Canonical Ltd. Master Certificate Authority
        Subject: C=GB, ST=Isle of Man, L=Douglas, O=Canonical Ltd., CN=Canonical Ltd. Master Certificate Authority
[key 2]
        Subject: CN=DKMS module signing key
"""
SHORT = "2bb010e24d fedoraca\n68447cfc17 secureblue secureboot key\n"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (WHOLE, ("Canonical Ltd. Master Certificate Authority", "DKMS module signing key")),
        (SHORT, ("fedoraca", "secureblue secureboot key")),
        ("MokListRT is empty\n", None),
        ("", None),
        (" \n" * 500_000, None),
    ],
)
def test_enrolled_keys(text: str, names: tuple[str, ...] | None) -> None:
    assert kernel.parse_enrolled(text) == names
    assert kernel.parse_enrolled(kernel.kept_enrolled(text)) == names


def test_keys_are_asked_for_where_secure_boot_may_keep_the_module_out(machine: Machine) -> None:
    runs = {command(): Result(code=1, out=MODINFO, err=""), kernel.ENROLLED: Result(code=0, out=SHORT, err="")}
    for secure_boot, modules, asked in (("1", "", True), ("1", FILES["/proc/modules"], False), ("0", "", False)):
        variable = f"\x06\0\0\0{chr(int(secure_boot))}"
        host = machine({**FILES, "/proc/modules": modules, kernel.SECURE_BOOT: variable}, runs)
        assert kernel.probe(host).enrolled == (("fedoraca", "secureblue secureboot key") if asked else None)
        assert (kernel.ENROLLED in host.asked) is asked


@pytest.mark.parametrize("text", ["", "\ufffd", "9" * 5000, "-1\n"])
def test_garbage_where_a_number_should_be(machine: Machine, text: str) -> None:
    torn = MODINFO.replace("550.107.02", text or "x")
    found = kernel.probe(
        machine({**FILES, "/proc/sys/kernel/tainted": text}, {command(): Result(code=0, out=torn, err="")})
    )
    assert found.module_version is None
