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
    try:
        count = host.read(COUNT)
    except CannotLook:
        count = None
    wanted = (host.read(WANTED) or "").split()
    return Suspend(
        times=int(count) if count and re.fullmatch(r"[0-9]{1,9}\n?", count) else None,
        services=tuple(name.removesuffix(".service") for name in SERVICES if name in wanted),
    )
