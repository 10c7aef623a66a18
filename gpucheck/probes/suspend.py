"""Whether this machine has slept since it started, and what systemd does for NVIDIA's driver before and after."""

from __future__ import annotations

import re

from gpucheck.facts import Suspend
from gpucheck.host import CannotLook, Host

COUNT = "/sys/power/suspend_stats/success"
# `systemctl enable nvidia-suspend nvidia-resume` makes links here: they are WantedBy=systemd-suspend.service.
WANTED = "/etc/systemd/system/systemd-suspend.service.wants"
SERVICES = ("nvidia-suspend.service", "nvidia-resume.service")


def probe(host: Host) -> Suspend:
    count = host.read(COUNT)
    if count is not None and not re.fullmatch(r"[0-9]{1,9}\n?", count):
        raise CannotLook("how often the kernel was suspended cannot be read")
    wanted = kept_wanted(host.read(WANTED) or "").split()
    return Suspend(
        times=None if count is None else int(count), services=tuple(name.removesuffix(".service") for name in wanted)
    )


def kept_wanted(text: str) -> str:
    """Of the folder's names those of the driver's services."""
    names = text.split()
    return "".join(f"{name}\n" for name in SERVICES if name in names)
