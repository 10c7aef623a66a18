"""The user-data of a first boot: cloud-init's own schema takes it, AWS its size, and a shell its scripts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from gpucheck import userdata
from gpucheck.model import Failure
from gpucheck.userdata import DISTRIBUTIONS, Setup

ROOT = Path(__file__).parents[1]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1c0RZt8m2xV0d0c5Vw3d0u1w0b1YJ9l8mYzqgq7Q8a somebody@somewhere"
PACKAGE = "gpucheck[verify] @ https://example.org/gpucheck-0.1.0-py3-none-any.whl"
FULL = Setup(
    package=PACKAGE, distribution="debian-12", driver="580", provider="aws", minutes=60, run="r" * 31,
    framework="tensorflow==2.20.0", ssh_key=KEY,
)  # fmt: skip
Schema = Callable[[Path], subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def schema() -> Schema:
    """cloud-init's own check of user-data, of a version that knows unknown keys for what they are."""
    script = ROOT / "scripts" / "cloud-init"
    version = subprocess.run(
        [script, "--version"], capture_output=True, text=True, env={**os.environ, "PYTHON": sys.executable}
    )
    if version.returncode == 2:
        pytest.skip(version.stderr)
    assert version.returncode == 0, version.stderr

    def check(path: Path) -> subprocess.CompletedProcess[str]:
        command = [str(script), "schema", "--config-file", str(path)]
        return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHON": sys.executable})

    return check


@pytest.mark.parametrize("driver", [None, "580"], ids=["driver-in-image", "driver"])
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_cloud_init_takes_it(distribution: str, driver: str | None, schema: Schema, tmp_path: Path) -> None:
    path = tmp_path / "user-data"
    path.write_text(userdata.render(replace(FULL, distribution=distribution, driver=driver)))
    assert path.stat().st_size <= userdata.LARGEST
    checked = schema(path)
    assert (checked.returncode, checked.stderr) == (0, ""), checked.stdout


def test_cloud_init_takes_the_least(schema: Schema, tmp_path: Path) -> None:
    path = tmp_path / "user-data"
    path.write_text(userdata.render(Setup(package=PACKAGE, distribution="ubuntu-24.04")))
    assert schema(path).returncode == 0


@pytest.mark.parametrize(
    ("right", "wrong"), [("write_files:", "write_file:"), ("bootcmd:\n- |", "bootcmd: 7\nx-|: |"), ("'0755'", "0755")]
)
def test_cloud_init_would_find_a_fault(right: str, wrong: str, schema: Schema, tmp_path: Path) -> None:
    text = userdata.render(FULL)
    assert text.count(right) == 1
    path = tmp_path / "user-data"
    path.write_text(text.replace(right, wrong))
    assert schema(path).returncode == 1


def parsed(setup: Setup) -> dict[str, Any]:
    text = userdata.render(setup)
    assert text.startswith("#cloud-config\n")
    config: dict[str, Any] = yaml.safe_load(text)
    return config


def test_scripts_arrive_as_they_are_and_settings_as_they_were_given() -> None:
    config = parsed(FULL)
    settings, script = config["write_files"]
    assert script["content"] == (userdata.TEMPLATES / "first-boot.sh").read_text()
    assert "per-boot" in script["path"]
    ask = 'echo "$RUN|$DISTRIBUTION|$DRIVER|$OPEN_MODULE|$STEPS|$PACKAGE|$HOST_KEYS"'
    said = subprocess.run(
        ["sh", "-euc", settings["content"] + ask],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    assert said == f"{'r' * 31}|debian-12|580|1|doctor build verify|{FULL.package}|1"
    assert config["bootcmd"][0].startswith(f"RUN={'r' * 31} MINUTES=60\n")
    assert "bootcmd" not in parsed(replace(FULL, minutes=None))
    assert config["ssh_authorized_keys"] == [KEY]


@pytest.mark.parametrize("name", ["first-boot.sh", "expiry.sh"])
def test_shells_can_read_the_scripts(name: str) -> None:
    path = userdata.TEMPLATES / name
    for shell in filter(shutil.which, ("sh", "dash", "bash", "busybox")):
        words = [shell, "sh"] if shell == "busybox" else [shell]
        subprocess.run([*words, "-n", path], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", "--shell=sh", "--exclude=SC1091,SC2153", path], check=True)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"distribution": "ubuntu-24"}, "ubuntu-24.04"),
        ({"distribution": "windows"}, "ubuntu-22.04"),
        ({"steps": ("doctor", "prove")}, "prove"),
        ({"minutes": 0}, "0"),
        ({"run": "a b"}, "a b"),
        ({"driver": "latest"}, "latest"),
        ({"provider": "ibm"}, "ibm"),
        ({"framework": "jax; reboot"}, "framework"),
        ({"package": "x\nRUN=y"}, "package"),
        ({"package": "gpucheck @ https://me:word@example.org/gpucheck.whl"}, "secret"),
        ({"package": "https://example.org/gpucheck.whl?X-Amz-Expires=60&X-Amz-Signature=0123abcd"}, "secret"),
        ({"package": "https://example.blob.core.windows.net/w/gpucheck.whl?se=2026&sig=abc%3D"}, "secret"),
        ({"package": "--index-url=https://example.org"}, "no package"),
        ({"ssh_key": "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA"}, "public"),
        ({"ssh_key": KEY + "x" * 2500}, "public"),
    ],
)
def test_what_cannot_be_carried_out_is_refused(change: dict[str, Any], word: str) -> None:
    with pytest.raises(Failure) as failure:
        userdata.render(replace(FULL, **change))
    assert word in f"{failure.value} {failure.value.tip}"


def test_what_no_cloud_takes_is_refused() -> None:
    with pytest.raises(Failure, match="16384"):
        userdata.render(replace(FULL, ssh_key="ssh-rsa " + "A" * 4000))
