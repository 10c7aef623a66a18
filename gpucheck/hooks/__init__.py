"""What a node runs by itself: the hooks of Slurm, node-problem-detector, node_exporter and systemd, as files."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gpucheck.model import Failure

TEMPLATES = Path(__file__).parents[1] / "data" / "hooks"
PROGRAMS, UNITS = "usr/local/libexec/gpucheck", "etc/systemd/system"
NPD_CONFIG = "etc/gpucheck/npd.json"
TEXTFILES = Path("/var/lib/prometheus/node-exporter")  # where Debian's node_exporter looks
SYSTEM_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
PLAIN = re.compile(r"[\w./+@=-]+")  # nothing that a shell, systemd or JSON reads otherwise
EXECUTABLE, READABLE = 0o755, 0o644

# The template of each file, its place below the root, and its mode.
KINDS: dict[str, tuple[tuple[str, str, int], ...]] = {
    "slurm-prolog": (("slurm.sh", f"{PROGRAMS}/slurm-prolog", EXECUTABLE),),
    "slurm-epilog": (("slurm.sh", f"{PROGRAMS}/slurm-epilog", EXECUTABLE),),
    "slurm-health": (("slurm.sh", f"{PROGRAMS}/slurm-health", EXECUTABLE),),
    "npd": (("npd.sh", f"{PROGRAMS}/npd", EXECUTABLE), ("npd.json", NPD_CONFIG, READABLE)),
    "textfile": (
        ("textfile.service", f"{UNITS}/gpucheck-textfile.service", READABLE),
        ("any.timer", f"{UNITS}/gpucheck-textfile.timer", READABLE),
    ),
    "systemd": (
        ("node.service", f"{UNITS}/gpucheck-node.service", READABLE),
        ("any.timer", f"{UNITS}/gpucheck-node.timer", READABLE),
    ),
}
# A Prolog that says no with a drain of ours gives the job back; everything else ends well, or Slurm drains by itself.
GIVE_BACK = '[ $code -eq 1 ] && [ -n "$said" ] && exit 1  # a broken Python ends with 1 too, and says nothing\nexit 0'
SECONDS = {"slurm-prolog": 50, "slurm-epilog": 30, "slurm-health": 50, "npd": 25}  # Slurm kills a health check at 60


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    path: str  # below the root
    text: str
    mode: int


def here() -> tuple[str, ...]:
    """How this installation is called."""
    beside = Path(sys.executable).with_name("gpucheck")
    return (str(beside),) if os.access(beside, os.X_OK) else (sys.executable, "-P", "-m", "gpucheck")


def files(kind: str, command: Sequence[str], textfiles: Path = TEXTFILES) -> tuple[File, ...]:
    """Raises Failure for a path that a script could not have in it as it is."""
    for word in (*command, str(textfiles)):
        if not PLAIN.fullmatch(word):
            raise Failure(f"{word!r} cannot stand in a script or a unit", "letters, digits and ./+@=_- alone")
    if not textfiles.is_absolute() or not command[0].startswith("/"):
        raise Failure("the hooks run with no folder of their own", "whole paths: --gpucheck /opt/gpucheck/bin/gpucheck")
    words = _words(kind, command, textfiles)
    return tuple(File(path=path, text=_filled(template, words), mode=mode) for template, path, mode in KINDS[kind])


def _words(kind: str, command: Sequence[str], textfiles: Path) -> dict[str, str]:
    slurm = shutil.which("scontrol")
    folders = dict.fromkeys((*SYSTEM_PATH, *([str(Path(slurm).parent)] if slurm else [])))
    return {
        "KIND": kind, "GPUCHECK": " ".join(command), "TEXTFILES": str(textfiles), "PATH": ":".join(folders),
        "SCRIPT": f"/{KINDS[kind][0][1]}", "CONFIG": f"/{NPD_CONFIG}", "UNIT": Path(KINDS[kind][0][1]).stem,
        "PROGRAM": {"slurm-health": "HealthCheckProgram"}.get(kind, kind.removeprefix("slurm-").capitalize()),
        "MOMENT": kind.removeprefix("slurm-"), "SECONDS": str(SECONDS.get(kind, 0)),
        "END": GIVE_BACK if kind == "slurm-prolog" else "exit 0",
    }  # fmt: skip


def _filled(template: str, words: dict[str, str]) -> str:
    return _with((TEMPLATES / template).read_text(), words)


def _with(text: str, words: dict[str, str]) -> str:
    return re.sub(r"@([A-Z]+)@", lambda found: words[found[1]], text)


def about(kind: str, part: str, command: Sequence[str], textfiles: Path = TEXTFILES) -> tuple[str, ...]:
    """Lines for a person: `what` it does, how to switch it `on`, how `off`."""
    told = tomllib.loads((TEMPLATES / "about.toml").read_text())[kind][part]
    words = _words(kind, command, textfiles)
    return tuple(_with(line, words) for line in ([told] if isinstance(told, str) else told))
