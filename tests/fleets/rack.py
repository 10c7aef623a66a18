"""A rack of one real sshd on the loopback: every node is an address of 127.0.77.x, and what it runs is its script."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SSHD = "/usr/sbin/sshd"
START = 10.0  # seconds
CONFIG = """\
Port {port}
ListenAddress 0.0.0.0
HostKey {folder}/host
PidFile none
AuthorizedKeysFile {folder}/mine.pub
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxStartups 200
Banner {folder}/banner
LogLevel VERBOSE
"""


@dataclass
class Rack:
    folder: Path
    port: int
    sshd: subprocess.Popen[bytes]

    @property
    def config(self) -> str:
        return str(self.folder / "config")

    def idle(self, seconds: float = 10) -> bool:
        """Whether no ssh to this rack is left, and no way of one to it, within so many seconds."""
        until = time.monotonic() + seconds
        while busy := any(self.config in _command(process) for process in Path("/proc").glob("[0-9]*")):
            if time.monotonic() > until:
                break
            time.sleep(0.05)
        return not busy

    def stop(self) -> None:
        self.sshd.terminate()
        self.sshd.wait(START)
        for pid in self._noted("pids"):  # what ignores the end of its connection
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def gone(self, place: str, seconds: float = 10) -> bool:
        """Whether what was begun on the node there was begun, and has ended within so many seconds."""
        until = time.monotonic() + seconds
        begun = self._noted(f"{place}/pids")
        while any(Path(f"/proc/{pid}/cwd").exists() for pid in begun) and time.monotonic() < until:
            time.sleep(0.05)
        return bool(begun) and not any(Path(f"/proc/{pid}/cwd").exists() for pid in begun)

    def _noted(self, file: str) -> list[int]:
        path = self.folder / file
        return [int(line) for line in path.read_text().split()] if path.exists() else []


def start(folder: Path, scripts: Mapping[str, str], more: Mapping[str, str]) -> Rack:
    """`scripts` by node are run by sh in place of what is asked, which is in $SSH_ORIGINAL_COMMAND.

    `more`: a line of a node in ssh's configuration. A node called *-refused takes no key.
    """
    for name in ("host", "other", "mine"):
        _keygen(folder / name)
    (folder / "banner").write_text("Authorized use only. No such file or directory: Permission denied (nobody).\n")
    host, other = ((folder / f"{name}.pub").read_text() for name in ("host", "other"))
    port = _free()
    server, client, known = [CONFIG.format(port=port, folder=folder)], [], []
    for number, (node, script) in enumerate(scripts.items(), 1):
        (folder / f"{node}.sh").write_text(script)
        address = f"127.0.77.{number}"
        forced = f"/bin/sh {shlex.quote(str(folder / f'{node}.sh'))}"
        server.append(f"Match LocalAddress {address}\n  ForceCommand {forced}\n")
        if node.endswith("refused"):
            server.append("  AuthorizedKeysFile none\n")
        client.append(f"Host {node}\n  {more.get(node, '')}\n  HostName {address}\n  HostKeyAlias {node}\n")
        if not node.endswith("unknown"):
            known.append(f"{node} {other if node.endswith('changed') else host}")
    rest = (
        f"Host *\n  Port {port}\n  User {_user()}\n  IdentityFile {folder}/mine\n  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {folder}/known_hosts\n  GlobalKnownHostsFile none\n  UpdateHostKeys no\n"
    )
    (folder / "config").write_text("".join(client) + rest)
    (folder / "known_hosts").write_text("".join(known))
    (folder / "sshd_config").write_text("".join(server))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # Debian's sshd will not start without
    with (folder / "sshd.log").open("wb") as log:
        sshd = subprocess.Popen((SSHD, "-D", "-e", "-f", str(folder / "sshd_config")), stderr=log)
    until = time.monotonic() + START
    while time.monotonic() < until and sshd.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return Rack(folder, port, sshd)
        time.sleep(0.02)
    sshd.kill()
    raise AssertionError((folder / "sshd.log").read_text())


def _keygen(file: Path) -> None:
    subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "rack", "-f", str(file)), check=True)


def _free() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def _user() -> str:
    return subprocess.run(("id", "-un"), check=True, capture_output=True, text=True).stdout.strip()


def _command(process: Path) -> str:
    try:
        words = (process / "cmdline").read_bytes().split(b"\0")
    except OSError:  # it has ended
        return ""
    return b" ".join(words).decode(errors="replace") if words[0].endswith(b"sh") else ""
