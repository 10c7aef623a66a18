"""The way into a rented instance: an ephemeral key, one address, and a host key that its console told.

Everything of it lies in one folder of the user's state, which is removed with the instance.
"""

from __future__ import annotations

import ipaddress
import os
import re
import shutil
import subprocess
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from gpucheck.model import Failure

WHO_AM_I = "https://checkip.amazonaws.com"  # answers with the address that it was asked from
SECONDS = 10


def folder(provider: str, name: str) -> Path:
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "gpucheck" / "cloud" / provider / name


def key(provider: str, name: str) -> str:
    """The public half, in one line; the same again for the same run. Raises Failure without OpenSSH."""
    private = folder(provider, name) / "key"
    if not private.exists():
        private.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            subprocess.run(
                ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"gpucheck {name}", "-f", str(private)),
                check=True, capture_output=True, timeout=SECONDS,
            )  # fmt: skip
        except FileNotFoundError as missing:
            raise Failure("there is no ssh-keygen here", "install OpenSSH's client, or leave --ssh out") from missing
        except subprocess.SubprocessError as error:
            raise Failure(
                f"ssh-keygen made no key in {private.parent}", "is there space, and may you write?"
            ) from error
    return private.with_suffix(".pub").read_text().strip()


def keep_login(provider: str, name: str, login: str) -> None:
    """The user of the image that it was made of."""
    (folder(provider, name) / "login").write_text(login)


def login(provider: str, name: str) -> str | None:
    file = folder(provider, name) / "login"
    return file.read_text() if file.exists() else None


def own_address(given: str | None) -> str:
    """The one address that may come in, as a network of one. Raises Failure for none, and for a wide one."""
    text = given or _asked()
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise Failure(f"{text!r} is no address", "203.0.113.7, or 203.0.113.0/29 for a few") from error
    if network.version != 4 or network.num_addresses > 256:
        raise Failure(f"port 22 is not opened to {network}", "one IPv4 address, or a network of 256 at most")
    return str(network)


def _asked() -> str:
    try:
        with urlopen(WHO_AM_I, timeout=SECONDS) as answer:
            return str(answer.read(64).decode("ascii", "replace").strip())
    except (URLError, OSError) as error:
        raise Failure(f"{WHO_AM_I} did not tell this machine's address", "give it: --ssh-from ADDRESS") from error


def pin(provider: str, name: str, address: str, host_keys: tuple[str, ...]) -> Path:
    """known_hosts with what the console told of the host's keys, and nothing else."""
    file = folder(provider, name) / "known_hosts"
    file.write_text("".join(f"{address} {host_key}\n" for host_key in host_keys))
    return file


def command(provider: str, name: str, login: str, address: str) -> tuple[str, ...]:
    """Raises Failure where there is no key of this run here: another machine made it."""
    own = folder(provider, name)
    if not (own / "key").exists():
        raise Failure(f"there is no key to {name} on this machine", "it was made elsewhere, or without --ssh")
    return (
        "ssh", "-i", str(own / "key"), "-o", f"UserKnownHostsFile={own / 'known_hosts'}", "-o", "IdentitiesOnly=yes",
        "-o", "StrictHostKeyChecking=yes", "-o", "GlobalKnownHostsFile=/dev/null", "-F", "none",
        f"{login}@{address}",
    )  # fmt: skip


def forget(provider: str, name: str) -> None:
    """A name may be the value of somebody's tag: what could lead out of our folder is no name of a run."""
    if not re.fullmatch(r"[a-z0-9-]+", name):
        return
    shutil.rmtree(folder(provider, name), ignore_errors=True)
