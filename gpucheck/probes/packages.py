"""Which packages NVIDIA's driver came in, when it was last changed and by what, and whether a .run file came too."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sized

from gpucheck.facts import DriverPackage, Packages, Upgrade, Version
from gpucheck.host import NO_SUCH_COMMAND, CannotLook, Host, Result
from gpucheck.probes import files

NAMES = ("*nvidia*", "cuda-drivers*", "libcuda1*")
DPKG = ("dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Package} ${Version}\\n", *NAMES)
RPM = ("rpm", "-qa", "--qf", "%{NAME} %{VERSION} %{INSTALLTIME}\\n", "*nvidia*")
MANAGERS = {"/var/lib/dpkg": "dpkg", "/var/lib/rpm": "rpm", "/usr/lib/sysimage/rpm": "rpm", "/var/lib/pacman": "pacman"}
PACMAN = "/var/lib/pacman/local"  # a folder each: nvidia-utils-580.105.08-1
HISTORY, LOCKED = "/var/log/apt/history.log", "/etc/dnf/plugins/versionlock.list"
LOCK = re.compile(r"^(?:\d{1,9}:)?([^\s#!]{1,100}?)-(?:\d{1,9}:)?\d", re.MULTILINE)
INSTALLER, UNINSTALL = "/var/log/nvidia-installer.log", "/usr/bin/nvidia-uninstall"
# A driver's version, behind dpkg's epoch: the toolkit's 1.18.1 and a kernel's 6.8.0 are none.
DRIVER = r"(?:\d{1,2}:)?(\d{3}\.\d{1,4}(?:\.\d{1,4})?)(?![\d.])"
CHANGED = re.compile(
    rf"(?:^|, )(\S{{0,60}}nvidia\S{{0,60}}|libcuda1\S{{0,60}}) \((?:[^,()]{{1,80}}, )?{DRIVER}[^()]{{0,80}}\)"
)
# A package: its state of two or three letters, its name, and its version if one was ever installed.
DPKG_LINE = re.compile(r"[a-z][a-zA-Z][a-zA-Z ]? {1,2}[a-z0-9][a-z0-9+.-]{0,100} (?:[0-9][\w.+:~-]{0,100})?")
RPM_LINE = re.compile(r"[\w.+-]{1,100} \S{1,100} \d{1,10}")
PACMAN_LINE = re.compile(r"ALPM_DB_VERSION|[\w@.+-]{1,100}-[^\s-]{1,100}-[\d.]{1,8}")
COMMANDLINE = re.compile(r"^Commandline: (?:\S{1,100}/)?([\w.-]{1,40})", re.MULTILINE)


def probe(host: Host) -> Packages:
    manager = next((name for folder, name in MANAGERS.items() if host.read(folder) is not None), None)
    upgrade = None
    packages: tuple[DriverPackage, ...] = ()
    if manager == "dpkg":
        packages, upgrade = parse_dpkg(_dpkg(host)), parse_history(_log(host, HISTORY))
    elif manager == "rpm":
        packages, upgrade = parse_rpm(_rpm(host), _log(host, LOCKED))
    elif manager == "pacman":
        packages = parse_pacman(_pacman(host))
    runfile, version = _runfile(host)
    return Packages(manager=manager, driver=packages, upgrade=upgrade, runfile=runfile, runfile_version=version)


def _dpkg(host: Host) -> str:
    """dpkg-query ends with 1, and says so, where it knows no package of a name; every other end is no answer."""
    result = host.run(DPKG)
    unknown = [name for name in NAMES if f"no packages found matching {name}\n" in f"{result.err}\n"]
    if result.code != (1 if unknown else 0):
        raise CannotLook(_failed("dpkg-query", result))
    return _list("dpkg-query", result.out, DPKG_LINE, empty=len(unknown) == len(NAMES))


def _rpm(host: Host) -> str:
    result = host.run(RPM)
    if result.code != 0:
        raise CannotLook(_failed("rpm", result))
    return _list("rpm", result.out, RPM_LINE, empty=True)


def _pacman(host: Host) -> str:
    """Without a package there is no pacman either."""
    return _list("pacman", _folders(host.read(PACMAN) or ""), PACMAN_LINE, empty=False)


def _folders(names: str) -> str:
    return "".join(f"{name}\n" for name in names.splitlines() if PACMAN_LINE.fullmatch(name))


def _failed(command: str, result: Result) -> str:
    if result.code == NO_SUCH_COMMAND:
        return f"there is no {command} command, so the packages are not known"
    said = (result.err.strip() or "it said nothing").splitlines()[-1][:200]
    return f"{command} failed (exit code {result.code}): {said.rstrip('.')}"


def _list(command: str, text: str, line: re.Pattern[str], *, empty: bool) -> str:
    lines = text.splitlines()
    if (not lines and not empty) or not all(map(line.fullmatch, lines)):
        raise CannotLook(f"what {command} says of the packages cannot be read")
    return text


def _log(host: Host, path: str) -> str:
    """Who changed something is worth knowing, and no reason to know nothing."""
    try:
        return host.read(path) or ""
    except CannotLook:
        return ""


def _runfile(host: Host) -> tuple[bool, Version | None]:
    """The installer always writes a log; to undo it leaves the log, and takes the uninstaller away."""
    try:
        log = host.read(INSTALLER)
    except CannotLook:
        log = ""
    if log is None or files.present(host, [UNINSTALL]).get(UNINSTALL) is None:
        return False, None
    version = re.search(rf"^installer version: {DRIVER}$", log, re.MULTILINE)
    return True, Version(version[1]) if version else None


def parse_dpkg(text: str) -> tuple[DriverPackage, ...]:
    """ "ii  nvidia-driver-570 570.133.07-0ubuntu0.24.04.1"; the first letter h is for hold."""
    rows = re.findall(rf"^([ih])i\S?\s+(\S{{1,100}}) {DRIVER}", text, re.MULTILINE)
    return tuple(DriverPackage(name=name, version=Version(v), held=want == "h") for want, name, v in rows)


def parse_rpm(text: str, locked: str = "") -> tuple[tuple[DriverPackage, ...], Upgrade | None]:
    """ "nvidia-driver 580.105.08 1763620331": the last is when it was installed, in seconds since 1970."""
    rows = re.findall(rf"^(\S{{1,100}}) {DRIVER} (\d{{1,10}})$", text, re.MULTILINE)
    kept_back = set(LOCK.findall(locked))
    found = tuple(DriverPackage(name=name, version=Version(v), held=name in kept_back) for name, v, _ in rows)
    if not rows:
        return (), None
    _, version, seconds = max(rows, key=lambda row: int(row[2]))
    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(int(seconds)))
    return found, Upgrade(when=when, by=None, version=Version(version))


def parse_pacman(text: str) -> tuple[DriverPackage, ...]:
    rows = re.findall(rf"^(\S{{0,60}}nvidia\S{{0,60}}?)-{DRIVER}-[\d.]{{1,8}}$", text, re.MULTILINE)
    return tuple(DriverPackage(name=name, version=Version(version), held=False) for name, version in rows)


def parse_history(text: str) -> Upgrade | None:
    """apt's log: paragraphs of Start-Date, Commandline, and Install or Upgrade with "name:arch (old, new)"."""
    for paragraph in reversed(re.split(r"\n\s*\n", text)):
        start = re.search(r"^Start-Date: (\d{4}-\d\d-\d\d)  ?(\d\d:\d\d:\d\d)$", paragraph, re.MULTILINE)
        changes = re.findall(r"^(?:Upgrade|Install): (.*)$", paragraph, re.MULTILINE)
        changed = next((found for line in changes if (found := CHANGED.search(line))), None)
        if start and changed:
            by = COMMANDLINE.search(paragraph)
            return Upgrade(when=f"{start[1]} {start[2]}", by=by[1] if by else None, version=Version(changed[2]))
    return None


def kept_history(text: str) -> str:
    """The paragraph that parse_history() reads, without the command's arguments and other packages."""
    found = parse_history(text)
    if found is None:
        return ""
    command = f"Commandline: {found.by}\n" if found.by else ""
    return f"Start-Date: {found.when.replace(' ', '  ')}\n{command}Upgrade: nvidia-driver:any (0, {found.version})\n"


def kept_installer(text: str) -> str:
    line = re.search(rf"^installer version: {DRIVER}$", text, re.MULTILINE)
    return f"{line[0]}\n" if line else ""


def kept_locked(text: str) -> str:
    """The names that rpm may be asked of."""
    return "".join(f"{name}-0\n" for name in dict.fromkeys(LOCK.findall(text)) if "nvidia" in name)


def kept_dpkg(text: str) -> str:
    return _kept(text, DPKG_LINE, parse_dpkg, "un  other ")


def kept_rpm(text: str) -> str:
    return _kept(text, RPM_LINE, lambda line: parse_rpm(line)[0], "other 1 0")


def kept_pacman(text: str) -> str:
    return _kept(_folders(text), PACMAN_LINE, parse_pacman, "other-1-1")


def _kept(text: str, line: re.Pattern[str], parse: Callable[[str], Sized], other: str) -> str:
    """The driver's packages; that others are here, and not which; and whether the list is one."""
    lines = text.splitlines()
    if not all(map(line.fullmatch, lines)):
        return "torn\n"
    mine = [one for one in lines if parse(one)]
    return "".join(f"{one}\n" for one in (*mine, *([other] if len(mine) < len(lines) else [])))
