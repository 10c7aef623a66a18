"""SELinux: whether it enforces, and whether its policy lets containers use NVIDIA's device nodes."""

from __future__ import annotations

from gpucheck.facts import Selinux
from gpucheck.host import Host

ENFORCE = "/sys/fs/selinux/enforce"
# /dev/nvidia* have the type xserver_misc_device_t; the boolean came with container-selinux 2.232.
DEVICES = "/sys/fs/selinux/booleans/container_use_xserver_devices"


def probe(host: Host) -> Selinux:
    enforcing = (host.read(ENFORCE) or "").strip() == "1"
    return Selinux(enforcing=enforcing, devices_allowed=parse_boolean(host.read(DEVICES)) if enforcing else None)


def parse_boolean(text: str | None) -> bool | None:
    """ "1 1": its value, and the one it will have when pending changes are committed."""
    word = (text or "").split()[:1]
    return word == ["1"] if word in (["0"], ["1"]) else None
