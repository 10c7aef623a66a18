"""What a rented machine does at its first boot, as user-data for cloud-init: the same on every cloud.

From data/cloud_init: expiry.sh as a bootcmd, first-boot.sh as a script of each boot, its settings in a file beside it.
"""

from __future__ import annotations

import difflib
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gpucheck.model import Failure

TEMPLATES = Path(__file__).parent / "data" / "cloud_init"
DISTRIBUTIONS = {
    "ubuntu-22.04": "Ubuntu 22.04", "ubuntu-24.04": "Ubuntu 24.04", "debian-12": "Debian 12",
    "rhel-9": "RHEL 9 and its rebuilds", "amazon-linux-2023": "Amazon Linux 2023",
}  # fmt: skip
STEPS = ("doctor", "build", "verify")
LARGEST = 16_384  # bytes that AWS takes; GCP takes 256 KiB and Azure 64
SCRIPT = "/var/lib/cloud/scripts/per-boot/gpucheck"
SETTINGS = "/etc/gpucheck/first-boot.env"
RUN = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
PACKAGE = re.compile(r"[\x21-\x2c\x2e-\x7e][\x20-\x7e]{0,400}")  # no dash first: pip would take it for an option
FRAMEWORK = re.compile(r"[a-z]+(==[0-9][0-9a-z.]*)?")
SIGNED = re.compile(r"[?&][\w-]*(sig|signature|token|secret|password|credential|key)=", re.I)  # a presigned address
SSH_KEY = re.compile(r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp\d+|sk-[a-z0-9@.-]+) [A-Za-z0-9+/]+=*( [^\n]{0,200})?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """How a machine sets itself up. Nothing of it may be a secret: whoever is on the machine can read its user-data."""

    distribution: str
    package: str  # what pip is asked for: on PyPI another project is called gpucheck, so there is no usual one
    driver: str | None = None  # the branch to install, "580"; None: the image has one
    open_module: bool = True  # NVIDIA's open kernel module: Turing and newer, and nothing else from Blackwell on
    provider: str | None = None
    minutes: int | None = None  # from the first boot to the end of the machine; None: it stays
    run: str = "gpucheck"  # marks the lines on the console
    framework: str = "tensorflow"
    steps: tuple[str, ...] = STEPS
    ssh_key: str | None = None  # a public key in OpenSSH's one line; the console then tells the host's own


def render(setup: Setup) -> str:
    """Raises Failure for what no machine could carry out, and for what looks like a secret."""
    _check(setup)
    config: dict[str, Any] = {"ssh_pwauth": False, "disable_root": True, "locale": False}
    if setup.distribution == "debian-12":
        config["apt"] = {
            "preserve_sources_list": True
        }  # the image's mirrors serve all of Debian; Ubuntu's are regional
    if setup.ssh_key:
        config["ssh_authorized_keys"] = [setup.ssh_key.strip()]
    if setup.minutes is not None:
        expiry = (TEMPLATES / "expiry.sh").read_text()
        config["bootcmd"] = [f"RUN={setup.run} MINUTES={setup.minutes}\n{expiry}"]
    config["write_files"] = [
        {"path": SETTINGS, "permissions": "0644", "content": _settings(setup)},
        {"path": SCRIPT, "permissions": "0755", "content": (TEMPLATES / "first-boot.sh").read_text()},
    ]
    text = "#cloud-config\n" + yaml.dump(config, Dumper=_Readable, sort_keys=False, width=120, allow_unicode=True)
    if (size := len(text.encode())) > LARGEST:
        raise Failure(f"the user-data is {size} bytes long, and AWS takes {LARGEST}", "a shorter --package or SSH key")
    return text


def _settings(setup: Setup) -> str:
    values = {
        "RUN": setup.run, "DISTRIBUTION": setup.distribution, "PROVIDER": setup.provider or "",
        "DRIVER": setup.driver or "", "OPEN_MODULE": int(setup.open_module), "FRAMEWORK": setup.framework,
        "STEPS": " ".join(step for step in STEPS if step in setup.steps), "PACKAGE": setup.package,
        "HOST_KEYS": int(setup.ssh_key is not None),
    }  # fmt: skip
    return "".join(f"{name}={shlex.quote(str(value))}\n" for name, value in values.items())


def _check(setup: Setup) -> None:
    if setup.distribution not in DISTRIBUTIONS:
        near = difflib.get_close_matches(setup.distribution, DISTRIBUTIONS, n=1, cutoff=0.4)
        raise Failure(
            f"the first boot knows no distribution {setup.distribution!r}",
            f"did you mean {near[0]}?" if near else f"one of {', '.join(DISTRIBUTIONS)}",
        )
    if unknown := [step for step in setup.steps if step not in STEPS]:
        raise Failure(f"the first boot has no step {unknown[0]!r}", f"some of {', '.join(STEPS)}")
    if setup.minutes is not None and setup.minutes < 1:
        raise Failure(f"{setup.minutes} minutes are no time to live", "1 or more")
    for what, value, pattern, tip in (
        ("run", setup.run, RUN, "at most 40 of a-z, 0-9 and -"),
        ("driver branch", setup.driver, re.compile(r"\d{3}"), "three digits, as in 580"),
        ("cloud", setup.provider, re.compile("aws|gcp|azure"), "aws, gcp or azure"),
        ("framework", setup.framework, FRAMEWORK, "a name, or name==version"),
        ("package", setup.package, PACKAGE, "one requirement, as pip takes it"),
        ("SSH public key", setup.ssh_key and setup.ssh_key.strip(), SSH_KEY, "the one line of a .pub file"),
    ):
        if value is not None and not pattern.fullmatch(value):
            raise Failure(f"{value.splitlines()[0][:60] if value else ''!r} is no {what}", tip)
    if re.search(r"://[^/\s]*@", setup.package) or SIGNED.search(setup.package):
        raise Failure(
            "the package's address holds a user name, a password or a token, and user-data is no place for a secret",
            "an address that anybody may read, or an image that has the credentials",
        )


class _Readable(yaml.SafeDumper):
    """Scripts as they are, line by line."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Readable.add_representer(str, _text)
