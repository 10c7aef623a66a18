"""Docker's daemon as this machine shows it: since when it runs, with which settings, and why it does not.

Its pid file is written once, when it starts. A file's content has the package's date and its inode that of the
installation, so what counts of a program is %Z; an upgrade renews that, and the birth of the toolkit's folder it does
not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from gpucheck.facts import Dockerd
from gpucheck.host import NO_SUCH_COMMAND, CannotLook, Host

PID = "/run/docker.pid"
USERS = "/run/user"  # a rootless daemon's pid file is in its user's folder
HOOK, CDI_HOOK = "/usr/bin/nvidia-container-runtime-hook", "/usr/bin/nvidia-cdi-hook"
TOOLKIT, DAEMON_JSON = "/etc/nvidia-container-runtime", "/etc/docker/daemon.json"
STAT_FORMAT = "%Y %Z %W %n"
UNITS = (
    "systemctl", "show", "--property=Id,LoadState,ActiveState", "docker.service", "snap.docker.dockerd.service",
)  # fmt: skip


class Times(NamedTuple):
    written: int
    changed: int
    born: int | None  # not every file system tells


def probe(host: Host) -> Dockerd:
    users = [f"{USERS}/{name}/docker.pid" for name in kept_users(host.read(USERS) or "").split()]
    times = _times(host, (PID, *users, HOOK, CDI_HOOK, TOOLKIT, DAEMON_JSON))
    alive, config = parse_command(_command(host) if PID in times else None)
    unit, state = (None, None) if alive else parse_units(_units(host))
    hook, cdi_hook, toolkit = times.get(HOOK), times.get(CDI_HOOK), times.get(TOOLKIT)
    return Dockerd(
        started=times[PID].written if PID in times and (alive or state == "active") else None,
        rootless_started=max((times[path].written for path in users if path in times), default=None),
        config=config,
        unit=unit,
        state=state,
        hook_changed=hook.changed if hook else None,
        cdi_hook_changed=cdi_hook.changed if cdi_hook else None,
        toolkit_born=toolkit.born if toolkit else None,
        daemon_json_written=times[DAEMON_JSON].written if DAEMON_JSON in times else None,
    )


def _times(host: Host, paths: tuple[str, ...]) -> dict[str, Times]:
    result = host.run(("stat", "-L", "-c", STAT_FORMAT, *paths))
    if result.code == NO_SUCH_COMMAND:
        raise CannotLook("there is no stat command here")
    return parse_times(result.out)


def parse_times(text: str) -> dict[str, Times]:
    """Of what is there: seconds since 1970 of content, inode and birth; 0 or - where that is not known."""
    rows = re.findall(r"^(\d{1,12}) (\d{1,12}) (\d{1,12}|-) (/.*)$", text, re.MULTILINE)
    return {path: Times(int(y), int(z), int(w) if w.isdigit() and int(w) else None) for y, z, w, path in rows}


def _command(host: Host) -> str | None:
    try:
        number = (host.read(PID) or "").strip()
        return host.read(f"/proc/{number}/cmdline") if re.fullmatch(r"[0-9]{1,9}", number) else None
    except CannotLook:
        return None


def parse_command(text: str | None) -> tuple[bool, str | None]:
    """(it is dockerd, the file that --config-file names) of a process's arguments, a NUL after each."""
    words = (text or "").split("\0")
    if not words[0].endswith("dockerd"):
        return False, None
    for word, following in zip(words, [*words[1:], ""], strict=True):
        name, equals, value = word.partition("=")
        if name == "--config-file":
            return True, (value if equals else following) or None
    return True, None


def _units(host: Host) -> str:
    try:
        return host.run(UNITS).out
    except CannotLook:
        return ""


def parse_units(text: str) -> tuple[str | None, str | None]:
    """docker.service and its state, or the snap's where that alone is here; (None, None) without systemd."""
    states = {}
    for block in text.split("\n\n"):
        told: Mapping[str, str] = dict(re.findall(r"^(\w+)=(.*)$", block, re.MULTILINE))
        loaded = told.get("LoadState")
        if "Id" in told and loaded:
            states[told["Id"]] = told.get("ActiveState", loaded) if loaded == "loaded" else loaded
    known = [(name, states[name]) for name in UNITS[3:] if name in states]
    return next((unit for unit in known if unit[1] != "not-found"), known[0] if known else (None, None))


def kept(text: str) -> str:
    """Of a process's arguments what the probe reads: no other argument of the daemon's."""
    alive, config = parse_command(text)
    return "\0".join(["dockerd", *(["--config-file", config] if config else [])]) + "\0" if alive else ""


def kept_users(text: str) -> str:
    """Folders of users, by their numbers."""
    return "".join(f"{name}\n" for name in text.split() if re.fullmatch(r"[0-9]{1,10}", name))
