"""The kernel module: built, allowed, and not in another driver's way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gpucheck.facts import Dkms, FailedBuild
from gpucheck.model import Finding, Status
from tests.rules.literals import CONTAINER, DRIVER, K80, KERNEL, NO_DRIVER, SYSTEM, T4, WSL, bus

PASS, FAIL, SKIP, UNKNOWN = Status


DKMS = "DKMS module signing key"
UBUNTU_KEY = "desktop Secure Boot Module Signature key"
BUILT_HERE = replace(KERNEL, secure_boot=True, module_signer=DKMS)
CANONICAL = "Canonical Ltd. Master Certificate Authority"
NO_MODULE = replace(KERNEL, module_version=None)
NO_MODINFO = replace(NO_MODULE, module_licence=None, module_error="there is no modinfo command")


def failed(kernel: str) -> Dkms:
    return Dkms(failed=(FailedBuild(module="nvidia/535.183.06", kernel=kernel, error="nv-linux.h: error: too few"),))


CASES: list[tuple[str, tuple[Any, ...], Status, str]] = [
    ("kernel.module-built", (SYSTEM, KERNEL, DRIVER), PASS, "570.124.06"),
    ("kernel.module-built", (SYSTEM, KERNEL, NO_DRIVER), PASS, "6.1.0-30-amd64"),
    ("kernel.module-built", (SYSTEM, replace(KERNEL, module_version=None), NO_DRIVER), FAIL, "are here"),
    (
        "kernel.module-built",
        (SYSTEM, replace(KERNEL, module_version=None, headers=False), NO_DRIVER),
        FAIL,
        "missing too",
    ),
    ("kernel.module-built", (CONTAINER, replace(KERNEL, module_version=None), NO_DRIVER), SKIP, "docker"),
    ("kernel.module-built", (WSL, replace(KERNEL, module_version=None), NO_DRIVER), SKIP, "Windows"),
    ("kernel.module-built", (SYSTEM, NO_MODINFO, NO_DRIVER), UNKNOWN, "no modinfo"),
    ("kernel.module-built", (SYSTEM, NO_MODINFO, DRIVER), PASS, "570.124.06"),
    ("kernel.module-built", (CONTAINER, NO_MODINFO, NO_DRIVER), SKIP, "docker"),
    ("kernel.nouveau-absent", (CONTAINER, NO_MODINFO), SKIP, "docker"),
    ("kernel.nouveau-absent", (SYSTEM, KERNEL), UNKNOWN, "PCI bus"),
    ("kernel.nouveau-absent", (SYSTEM, KERNEL, bus((T4, "nvidia"))), PASS, "not loaded"),
    (
        "kernel.nouveau-absent",
        (SYSTEM, replace(KERNEL, modules=("nouveau",)), bus((T4, None))),
        PASS,
        "though it is loaded",
    ),
    ("kernel.nouveau-absent", (SYSTEM, KERNEL, bus((T4, "nouveau"), (T4, None))), FAIL, "1 of 2"),
    # An old card for the screen beside the one that computes.
    ("kernel.nouveau-absent", (SYSTEM, KERNEL, bus((K80, "nouveau"), (T4, "nvidia"))), PASS, "1 of 2"),
    ("kernel.nouveau-absent", (CONTAINER, KERNEL, bus((T4, "nouveau"))), SKIP, "host"),
    ("kernel.secure-boot-allows-module", (SYSTEM, KERNEL, NO_DRIVER), PASS, "off"),
    ("kernel.secure-boot-allows-module", (SYSTEM, replace(KERNEL, secure_boot=None), NO_DRIVER), SKIP, "efivarfs"),
    ("kernel.secure-boot-allows-module", (SYSTEM, replace(KERNEL, secure_boot=None), DRIVER), PASS, "accepted"),
    ("kernel.secure-boot-allows-module", (SYSTEM, replace(KERNEL, secure_boot=True), DRIVER), PASS, "accepted"),
    ("kernel.secure-boot-allows-module", (SYSTEM, replace(KERNEL, secure_boot=True), NO_DRIVER), FAIL, "570.124.06"),
    (
        "kernel.secure-boot-allows-module",
        (SYSTEM, replace(KERNEL, secure_boot=True, module_signer="Canonical"), NO_DRIVER),
        UNKNOWN,
        "Canonical",
    ),
    ("kernel.secure-boot-allows-module", (SYSTEM, replace(BUILT_HERE, enrolled=(DKMS,)), NO_DRIVER), PASS, "enrolled"),
    ("kernel.secure-boot-allows-module", (SYSTEM, replace(BUILT_HERE, enrolled=(CANONICAL,)), NO_DRIVER), FAIL, DKMS),
    (
        "kernel.secure-boot-allows-module",
        (SYSTEM, replace(BUILT_HERE, module_signer="laptop_1700000000_0a1b2c3d", enrolled=("fedoraca",)), NO_DRIVER),
        FAIL,
        "not among the 1 enrolled key",
    ),
    ("kernel.secure-boot-allows-module", (SYSTEM, BUILT_HERE, NO_DRIVER), UNKNOWN, DKMS),
    ("kernel.secure-boot-allows-module", (CONTAINER, NO_MODINFO, NO_DRIVER), SKIP, "docker"),
    (
        "kernel.secure-boot-allows-module",
        (SYSTEM, replace(NO_MODINFO, secure_boot=True), NO_DRIVER),
        UNKNOWN,
        "no modinfo",
    ),
    # A distribution's key is in its kernel, not in the owner's list.
    (
        "kernel.secure-boot-allows-module",
        (
            SYSTEM,
            replace(BUILT_HERE, module_signer="Canonical Ltd. Kernel Module Signing", enrolled=(UBUNTU_KEY,)),
            NO_DRIVER,
        ),
        UNKNOWN,
        "not known",
    ),
    (
        "kernel.dkms-builds",
        (SYSTEM, NO_MODULE, NO_DRIVER, failed("6.1.0-30-amd64")),
        FAIL,
        "nv-linux.h: error: too few",
    ),
    ("kernel.dkms-builds", (SYSTEM, NO_MODULE, NO_DRIVER, failed("6.5.0-1-amd64")), SKIP, "6.1.0-30-amd64"),
    ("kernel.dkms-builds", (SYSTEM, NO_MODULE, NO_DRIVER, failed("")), UNKNOWN, "for which kernel"),
    # The newest driver did not build; the one of before is there.
    ("kernel.dkms-builds", (SYSTEM, KERNEL, NO_DRIVER, failed("6.1.0-30-amd64")), PASS, "570.124.06"),
    ("kernel.dkms-builds", (SYSTEM, NO_MODINFO, NO_DRIVER, failed("6.1.0-30-amd64")), UNKNOWN, "no modinfo"),
    ("kernel.dkms-builds", (CONTAINER, NO_MODULE, NO_DRIVER, failed("6.1.0-30-amd64")), SKIP, "docker"),
    ("kernel.dkms-builds", (SYSTEM, NO_MODULE, NO_DRIVER), UNKNOWN, "Dkms"),
]


@pytest.mark.parametrize(("rule", "facts", "status", "says"), CASES)
def test_rule(judged: Callable[..., Finding], rule: str, facts: tuple[Any, ...], status: Status, says: str) -> None:
    finding = judged(rule, *facts)
    assert finding.status is status, finding.message
    assert says in finding.message


@pytest.mark.parametrize(("os_id", "command"), [("ubuntu", "ubuntu-drivers install"), ("debian", "linux-headers")])
def test_the_module_is_built_as_the_distribution_does(judged: Callable[..., Finding], os_id: str, command: str) -> None:
    system = replace(SYSTEM, os_id=os_id)
    remedy = judged("kernel.module-built", system, replace(KERNEL, module_version=None), NO_DRIVER).remedy
    assert remedy
    assert command in " ".join(remedy.commands_for("debian"))
    assert "sudo dkms autoinstall" not in remedy.commands_for("debian"), "there may be no source to build"


@pytest.mark.parametrize(("signer", "again"), [(None, True), ("DKMS module signing key", False)])
def test_to_enrol_a_key_does_not_sign_what_is_unsigned(
    judged: Callable[..., Finding], signer: str | None, again: bool
) -> None:
    kernel = replace(KERNEL, secure_boot=True, module_signer=signer, enrolled=("Canonical Ltd.",))
    finding = judged("kernel.secure-boot-allows-module", SYSTEM, kernel, NO_DRIVER)
    assert finding.status is FAIL
    assert finding.remedy
    assert ("built again" in finding.remedy.text) is again
    assert "mokutil --import" in " ".join(finding.remedy.commands_for("debian"))


def test_where_nobody_sees_the_screen_the_machines_settings_must_change(judged: Callable[..., Finding]) -> None:
    azure = replace(SYSTEM, vendor="Microsoft Corporation", product="Virtual Machine")
    remedies = [
        judged("kernel.secure-boot-allows-module", system, replace(KERNEL, secure_boot=True), NO_DRIVER).remedy
        for system in (SYSTEM, azure)
    ]
    assert ["Trusted launch" in remedy.text for remedy in remedies if remedy] == [False, True]
    assert ["mokutil" in " ".join(r.commands_for("debian")) for r in remedies if r] == [True, False]
