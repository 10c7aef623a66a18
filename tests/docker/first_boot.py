"""A machine whose first boot is real: cloud-init of Debian 12 carries out user-data in a container, with no systemd.

NVIDIA's and Docker's repositories are played by repositories.py; all other packages are Debian's and PyPI's own.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gpucheck import __version__, containers

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

ROOT = Path(__file__).parents[2]
TAG = "gpucheck/test-first-boot"
CONSOLE = "/var/log/console"
WHEEL = f"/wheels/gpucheck-{__version__}-py3-none-any.whl"
PACKAGE = f"gpucheck[verify] @ file://{WHEEL}"  # for Setup.package: another project has that name on PyPI
# What a cloud's image of Debian has and the base lacks. docker.io's packages are there and not installed.
DOCKERFILE = """
FROM {base}
RUN printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d \\
 && apt-get -q update && apt-get -q -y install --no-install-recommends cloud-init openssh-client curl gnupg \\
 && apt-get -q -y install --no-install-recommends --download-only docker.io
RUN printf 'datasource_list: [NoCloud]\\nnetwork: {{config: disabled}}\\npreserve_hostname: true\\n' \\
    > /etc/cloud/cloud.cfg.d/99-test.cfg
"""
BOOT = """
rm -rf /run/cloud-init /run/gpucheck-boot
cloud-init init --local && cloud-init init && cloud-init modules --mode=config && cloud-init modules --mode=final
"""
# cloud-init's own notes and the logs of a boot are none of a machine's state.
STATE = r"""find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /srv \
 -o -path /var/lib/cloud -o -path /var/log \) -prune -o -type f -printf '%p %s %T@ %m\n' | LC_ALL=C sort
cat /var/log/dpkg.log /var/log/apt/history.log"""


@dataclass(frozen=True, slots=True)
class Machine:
    container: Container

    def run(self, script: str, check: bool = True) -> str:
        code, said = self.container.exec_run(["sh", "-c", script])
        assert isinstance(said, bytes)
        text = said.decode(errors="replace")
        assert not check or code == 0, text[-4000:]
        return text

    def boot(self) -> str:
        """From power on to the end of cloud-init; what its console has said so far."""
        self.run(BOOT, check=False)  # it fails where the first boot does
        return self.run(f"cat {CONSOLE}")

    @property
    def status(self) -> str:
        """cloud-init's own word."""
        return self.run("cloud-init status --long", check=False)

    @property
    def state(self) -> str:
        return self.run(STATE)


def wheel(folder: Path) -> Path:
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT, check=True,
                   capture_output=True)  # fmt: skip
    (made,) = folder.glob("*.whl")
    return made


@contextmanager
def machine(engine: DockerClient, base: str, user_data: str) -> Iterator[Machine]:
    """One that was launched with that user-data and has not booted yet. Our wheel is at PACKAGE."""
    image, _ = engine.images.build(
        fileobj=io.BytesIO(DOCKERFILE.format(base=base).encode()), tag=TAG, network_mode="host", rm=True
    )
    container = engine.containers.create(
        str(image.id), ["sleep", "600"], network_mode="host", labels={containers.LABEL: "run"}, init=True
    )
    try:
        container.start()
        made = Machine(container)
        seed = "/var/lib/cloud/seed/nocloud/"
        with tempfile.TemporaryDirectory() as folder:
            built = wheel(Path(folder))
            files = {
                f"{seed}user-data": user_data.encode(), f"{seed}meta-data": b"instance-id: i-test\n",
                WHEEL: built.read_bytes(),
                "/srv/repositories.py": Path(__file__).with_name("repositories.py").read_bytes(),
            }  # fmt: skip
        bundle = next((os.environ[name] for name in ("SSL_CERT_FILE", "CURL_CA_BUNDLE") if name in os.environ), None)
        if bundle:
            files["/srv/ca.pem"] = Path(bundle).read_bytes()
        _put(container, files)
        port = made.run("python3 /srv/repositories.py /srv/served > /srv/port 2>&1 & "
                        "until grep -sq . /srv/port; do sleep 0.1; done; cat /srv/port").strip()  # fmt: skip
        local = f"""CONSOLE={CONSOLE} RETRY=1
TOOLKIT_REPO=http://127.0.0.1:{port}/nvidia DOCKER_REPO=http://127.0.0.1:{port}/docker
"""
        _put(
            container,
            {"/etc/gpucheck/local.env": (local + ("export PIP_CERT=/srv/ca.pem\n" if bundle else "")).encode()},
        )
        yield made
    finally:
        container.remove(force=True)


def _put(container: Container, files: Mapping[str, bytes]) -> None:
    with io.BytesIO() as packed:
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for path, data in files.items():
                entry = tarfile.TarInfo(path.lstrip("/"))
                entry.size, entry.mode = len(data), 0o644
                archive.addfile(entry, io.BytesIO(data))
        container.put_archive("/", packed.getvalue())
