"""The kernel: its modules, the nvidia module built for it, Secure Boot and whose keys it trusts."""

from __future__ import annotations

import re

from gpucheck.facts import Kernel, Version
from gpucheck.host import NO_SUCH_COMMAND, CannotLook, Host, Result

# Debian's own packages name the module after the branch.
MODULE_NAMES = ("nvidia", "nvidia-current", "nvidia-current-open")
OTHER_MODULES = frozenset({"nouveau", "nova_core", "nova_drm", "vfio_pci", "gdrdrv"})
# The variable's GUID is the UEFI specification's EFI_GLOBAL_VARIABLE.
ENROLLED = ("mokutil", "--list-enrolled")
SECURE_BOOT = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"


def probe(host: Host) -> Kernel:
    release = (host.read("/proc/sys/kernel/osrelease") or "").strip()
    if not release:
        raise CannotLook("/proc is not mounted here")
    text, error = _modinfo(host, release)
    module = parse_modinfo(text)
    version = re.match(r"[0-9]{1,6}(?:\.[0-9]{1,6}){1,3}", module.get("version", ""))
    modules = parse_modules(host.read("/proc/modules") or "")  # not there: a kernel without modules
    secure_boot = parse_secure_boot(host.read(SECURE_BOOT))
    taints = re.match(r"[0-9]{1,18}", host.read("/proc/sys/kernel/tainted") or "")
    return Kernel(
        release=release,
        modules=modules,
        module_version=Version(version[0]) if version else None,
        module_licence=module.get("license"),
        module_signer=module.get("signer"),
        headers=host.read(f"/lib/modules/{release}/build") is not None,
        secure_boot=secure_boot,
        taints=int(taints[0]) if taints else 0,
        enrolled=_enrolled(host) if secure_boot and module and "nvidia" not in modules else None,
        module_error=error,
    )


def _modinfo(host: Host, release: str) -> tuple[str, str | None]:
    """(what modinfo says, why it says nothing)."""
    if host.read(f"/lib/modules/{release}") is None:  # as in most containers
        return "", None
    result = Result(code=NO_SUCH_COMMAND, out="", err="")
    for command in ("modinfo", "/sbin/modinfo"):  # Debian keeps /sbin out of a user's PATH
        if result.code == NO_SUCH_COMMAND:
            result = host.run((command, "-k", release, *MODULE_NAMES))
    if result.code == NO_SUCH_COMMAND:
        return "", "there is no modinfo command, so what the kernel could load is not known"
    return result.out, None


def _enrolled(host: Host) -> tuple[str, ...] | None:
    """Asked only where Secure Boot may be why a module that is here is not loaded."""
    try:
        result = host.run(ENROLLED)
    except CannotLook:
        return None
    return parse_enrolled(result.out)


def parse_enrolled(text: str) -> tuple[str, ...] | None:
    """The names (CN) in mokutil's list: whole certificates, or since 0.7 a line each of "2bb010e24d fedoraca"."""
    names = re.findall(r"^[ \t]{1,40}Subject: .{0,300}?\bCN ?= ?([^,\n]{1,200})", text, re.MULTILINE)
    names += re.findall(r"^[0-9a-f]{10} (.{1,200})$", text, re.MULTILINE)
    return tuple(name.strip() for name in names) or None


def kept_enrolled(text: str) -> str:
    """The names alone."""
    return "".join(f"{0:010x} {name}\n" for name in parse_enrolled(text) or ())


def parse_modules(text: str) -> tuple[str, ...]:
    """/proc/modules: the name is each line's first word."""
    names = (line.split(" ", 1)[0] for line in text.splitlines())
    return tuple(sorted(name for name in names if name.startswith("nvidia") or name in OTHER_MODULES))


def parse_modinfo(text: str) -> dict[str, str]:
    """Lines of name: value. Of several modules, or several values, the first."""
    values: dict[str, str] = {}
    for name, value in re.findall(r"^(\w+):[ \t]*(.*)$", text, re.MULTILINE):
        values.setdefault(name, value.strip())
    return values


def parse_secure_boot(variable: str | None) -> bool | None:
    """An EFI variable in efivarfs: four bytes of attributes, then one byte that is 1 or 0. All are ASCII."""
    return {"\0": False, "\x01": True}.get(variable[4]) if variable and len(variable) == 5 else None
