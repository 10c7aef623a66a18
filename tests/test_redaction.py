"""Redaction takes away what is private, and nothing that a probe reads."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from gpucheck import codec, engine
from gpucheck.host import Recorded
from gpucheck.probes import PROBES, docker
from gpucheck.redaction import redact

MACHINES = sorted((Path(__file__).parent / "machines").glob("*/recording.json"))


def facts(document: dict[str, Any]) -> str:
    """Everything the probes know, without what redaction is there to replace."""
    text = json.dumps(codec.dump(engine.collect(PROBES, Recorded(document))))
    return re.sub(r'GPU-[0-9a-f-]{36}|"serial": "\d+"', "", text)


@pytest.mark.parametrize("path", MACHINES, ids=lambda path: path.parent.name)
def test_no_probe_sees_a_difference(path: Path) -> None:
    document = json.loads(path.read_text())
    assert facts(redact(document, "some-host")) == facts(document)


def run(argv: tuple[str, ...], out: str) -> dict[str, Any]:
    return {"argv": list(argv), "code": 0, "out": out, "err": "at tcp://gpu-box-7:2375"}


def test_what_is_private_is_gone() -> None:
    info = {
        "ID": "7TRN:IPZB", "Name": "gpu-box-7", "HttpProxy": "http://user:pass@proxy", "Labels": ["owner=alice"],
        "RegistryConfig": {"Mirrors": ["https://mirror.corp"]},
        "Runtimes": {"nvidia": {"path": "nvidia-x", "args": ["k"]}},
        "DiscoveredDevices": [{"Source": "cdi", "ID": "nvidia.com/gpu=0"}], "Swarm": {"NodeAddr": "10.0.0.7"},
    }  # fmt: skip
    uuids = [f"GPU-{n:08x}-3cf7-bab1-4245-ba34e6a348b6" for n in (1, 2)]
    nvml = {"gpus": [{"uuid": uuids[0], "serial": "1322320069283"}, {"uuid": uuids[1], "serial": None}]}
    document = {
        "schema": 1,
        "runs": [
            run(docker.INFO, json.dumps(info)),
            run(("python", "-m", "gpucheck.probes.nvml"), json.dumps(nvml)),
            run(("python3", "-c", "..."), "/home/alice/.venv/bin/python3\n/root/x\n/chroot/root2/y\n"),
        ],
        "files": {
            "/proc/mounts": {
                "text": "filer.corp:/home /home nfs4 rw 0 0\ntmpfs /dev/shm tmpfs rw,size=64k 0 0\ntorn\n"
            },
            "/usr/local": {"text": "bin\ncuda-12.4\nsecret-project\n"},
            "/dev": {"text": "nvidia0\nnvme0n1\n"},
            "/etc/docker/daemon.json": {
                "text": '{"registry-mirrors": ["https://mirror.corp"], "runtimes": {"nvidia": {}}}'
            },
            "/etc/cdi": {"text": None},
            "/etc/cdi/nvidia.yaml": {"text": f'name: "{uuids[1]}"\n'},
            "/proc/x": {"cannot_look": "no"},
        },
    }
    redacted = redact(document, "gpu-box-7")
    text = json.dumps(redacted)
    for secret in (
        "alice",
        "gpu-box-7",
        "corp",
        "pass",
        "7TRN",
        "10.0.0.7",
        "secret",
        "nvme0n1",
        "13223",
        "3cf7",
        "/root/",
    ):
        assert secret not in text
    outs = [answer["out"] for answer in redacted["runs"]]
    assert json.loads(outs[0]) == {
        "Runtimes": {"nvidia": {"path": "nvidia-x"}},
        "DiscoveredDevices": [{"Source": "cdi", "ID": "nvidia.com/gpu=0"}],
    }
    assert outs[2] == "/home/user/.venv/bin/python3\n/home/user/x\n/chroot/root2/y\n"
    assert redacted["files"]["/proc/mounts"] == {"text": "tmpfs /dev/shm tmpfs rw,size=64k 0 0\n"}
    assert redacted["files"]["/etc/cdi"] == {"text": None}
    # One GPU is the same GPU everywhere.
    second = json.loads(outs[1])["gpus"][1]["uuid"]
    assert redacted["files"]["/etc/cdi/nvidia.yaml"] == {"text": f'name: "{second}"\n'}


def test_a_torn_daemon_json_stays_torn() -> None:
    document = {"schema": 1, "runs": [], "files": {"/etc/docker/daemon.json": {"text": '{"proxies": {"http": "secret'}}}
    text = redact(document)["files"]["/etc/docker/daemon.json"]["text"]
    assert "secret" not in text
    with pytest.raises(json.JSONDecodeError):
        json.loads(text)
