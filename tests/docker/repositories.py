"""NVIDIA's and Docker's package repositories, played inside a test's machine: signed, served, and nearly empty.

python3 repositories.py SERVED    makes them and serves them on a port of 127.0.0.1, which it prints
"""

from __future__ import annotations

import functools
import hashlib
import http.server
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

NVIDIA_CTK = """#!/bin/sh
# Of the container toolkit only what changes Docker's settings, as the real one does: by a new daemon.json.
case "$*" in
    "runtime configure --runtime=docker --cdi.enabled")
        mkdir -p /etc/docker
        echo '{"features": {"cdi": true}, "runtimes": {"nvidia": {"args": [], "path": "nvidia-container-runtime"}}}' \\
            > /etc/docker/daemon.json ;;
    --version) echo "NVIDIA Container Toolkit CLI version 1.19.1" ;;
    *) echo "unknown: $*" >&2; exit 1 ;;
esac
"""
TOOLKIT = """Package: nvidia-container-toolkit
Version: 1.19.1-1
Architecture: amd64
Maintainer: nobody <nobody@example.org>
Description: plays the container toolkit in a test
"""


def toolkit(root: Path) -> None:
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN/control").write_text(TOOLKIT)
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/nvidia-ctk").write_text(NVIDIA_CTK)
    (root / "usr/bin/nvidia-ctk").chmod(0o755)


def engine(root: Path) -> None:
    """Debian's own Docker Engine under the name of Docker's package."""
    (deb,) = Path("/var/cache/apt/archives").glob("docker.io_*.deb")
    subprocess.run(["dpkg-deb", "--raw-extract", deb, root], check=True)
    control = root / "DEBIAN/control"
    control.write_text(control.read_text().replace("Package: docker.io", "Package: docker-ce"))


PACKAGES: dict[str, Callable[[Path], None]] = {"nvidia/stable/deb/amd64": toolkit, "docker/debian": engine}


def package(folder: Path, make: Callable[[Path], None]) -> str:
    """Make the .deb; its paragraph of Packages."""
    make(folder / "root")
    deb = folder / "package.deb"
    command = ["dpkg-deb", "--root-owner-group", "-Znone", "--build", str(folder / "root"), str(deb)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    control = (folder / "root/DEBIAN/control").read_text().rstrip()
    digest = hashlib.sha256(deb.read_bytes()).hexdigest()
    return f"{control}\nFilename: ./{deb.name}\nSize: {deb.stat().st_size}\nSHA256: {digest}\n"


def sign(release: Path) -> None:
    command = ["gpg", "--batch", "--yes", "--clearsign", "--output", str(release.with_name("InRelease"))]
    subprocess.run([*command, str(release)], check=True, capture_output=True)


def make(served: Path) -> None:
    owner = ["--quick-generate-key", "plays <nobody@example.org>", "rsa2048", "sign", "never"]
    subprocess.run(["gpg", "--batch", "--passphrase", "", *owner], check=True, capture_output=True)
    key = subprocess.run(["gpg", "--armor", "--export"], check=True, capture_output=True).stdout
    for where, what in PACKAGES.items():
        folder = served / where
        folder.mkdir(parents=True)
        paragraph = package(folder, what)
        flat = where.startswith("nvidia")
        index = folder if flat else folder / "dists/bookworm/stable/binary-amd64"
        index.mkdir(parents=True, exist_ok=True)
        packages = index / "Packages"
        packages.write_text(paragraph)
        release = folder / "Release" if flat else folder / "dists/bookworm/Release"
        digest, size = hashlib.sha256(packages.read_bytes()).hexdigest(), packages.stat().st_size
        release.write_text(
            "Origin: a test\nSuite: bookworm\nCodename: bookworm\nComponents: stable\nArchitectures: amd64\n"
            f"Date: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n {digest} {size} {packages.relative_to(release.parent)}\n"
        )
        sign(release)
    (served / "nvidia/gpgkey").write_bytes(key)
    (served / "docker/debian/gpg").write_bytes(key)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Nothing."""


def main(served: Path) -> None:
    os.environ["GNUPGHOME"] = str(served / "keys")
    (served / "keys").mkdir(parents=True, mode=0o700)
    make(served)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(served))) as server:
        print(server.server_address[1], flush=True)  # noqa: T201
        server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
