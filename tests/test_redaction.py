"""Redaction takes away what is private, and nothing that a probe reads."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from gpucheck import codec, engine, pseudonyms
from gpucheck.host import Recorded
from gpucheck.probes import PROBES, container_toolkit, docker, files, image, nvml
from gpucheck.probes.container_toolkit import DAEMON_JSON, HOOK
from gpucheck.redaction import redact

MACHINES = sorted((Path(__file__).parent / "machines").glob("*/recording.json"))


def facts(document: dict[str, Any]) -> str:
    """Everything the probes know, without what redaction is there to replace."""
    text = json.dumps(codec.dump(engine.collect(PROBES, Recorded(document))))
    return re.sub(r'(GPU|MIG)-[0-9a-f-]{36}|"(serial|boot_id)": "[^"]*"', "", text)


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
            "/etc/cdi/nvidia.yaml": {"text": f'kind: nvidia.com/gpu\ndevices: [{{name: "{uuids[1]}"}}]\n'},
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
    assert json.loads(redacted["files"]["/etc/cdi/nvidia.yaml"]["text"])["devices"] == [{"name": second}]


VENDOR = """
cdiVersion: 0.6.0
kind: corp.example/widget
annotations: {owner: alice}
devices:
- name: w0  # of alice
  annotations: {owner: alice}
  containerEdits:
    env: [API_TOKEN=hunter2]
    deviceNodes: [{path: /dev/w, hostPath: /dev/w0, major: 241, minor: 7, fileMode: 0660, gid: 44, uid: 1001}]
containerEdits:
  env: [API_TOKEN=hunter2]
  mounts: [{hostPath: /opt/libcuda.so.550.54.15, containerPath: /secret/place, options: [ro]}]
  hooks: [{hookName: createContainer, path: /opt/hook, args: [hook, --token=hunter2], env: [TOKEN=hunter2]}]
"""
CDI_PATHS = ("/opt/libcuda.so.550.54.15", "/opt/hook", "/dev/w0")
ASKED = ("stat", "-L", "-c", files.STAT_FORMAT, *CDI_PATHS)


@pytest.mark.parametrize("name", ["vendor.yaml", "vendor.json"])
def test_of_a_cdi_spec_only_what_the_probe_reads_is_kept(name: str) -> None:
    there = run(ASKED, "81a4 0 0 644 root /opt/hook\n")
    others = [{"argv": list(argv), "code": 127, "out": "", "err": ""} for argv in (("nvidia-ctk", "--version"), HOOK)]
    text = json.dumps(yaml.safe_load(VENDOR)) if name.endswith("json") else VENDOR
    folders = {"/etc/cdi": {"text": None}, "/var/run/cdi": {"text": f"{name}\n"}, DAEMON_JSON: {"text": None}}
    document = {"schema": 1, "runs": [there, *others], "files": {**folders, f"/var/run/cdi/{name}": {"text": text}}}
    redacted = redact(document)
    (spec,) = container_toolkit.probe(Recorded(redacted)).cdi_specs
    assert (spec,) == container_toolkit.probe(Recorded(document)).cdi_specs
    assert (spec.kind, spec.missing_paths) == ("corp.example/widget", ("/opt/libcuda.so.550.54.15", "/dev/w0"))
    assert (spec.device_nodes[0].mode, spec.device_nodes[0].group) == ("660", "44")
    assert [secret for secret in ("alice", "hunter2", "secret", "1001") if secret in json.dumps(redacted)] == []


def test_a_torn_spec_stays_torn() -> None:
    document = {"schema": 1, "runs": [], "files": {"/etc/cdi/a.yaml": {"text": "devices: [TOKEN=hunter2"}}}
    text = redact(document)["files"]["/etc/cdi/a.yaml"]["text"]
    assert "hunter2" not in text
    with pytest.raises(ValueError, match="not JSON"):
        container_toolkit.parse_spec(text)


SSH = (
    'error during connect: Get "http://docker.example.com/v1.24/version": command [ssh -o ConnectTimeout=30 {user} -- '
    "{host} docker system dial-stdio] has exited with exit status 255, please make sure the URL is valid, and Docker "
    "18.09 or later is installed on the remote host: stderr="
)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (
            "Welcome to build7, alice\n" + SSH.format(user="-l alice", host="build7.corp.example")
            + "ssh: Could not resolve hostname build7.corp.example: Name or service not known",
            "ssh: Could not resolve hostname host: Name or service not known",
        ),
        (
            SSH.format(user="-l alice -p 22", host="build7") + "ssh: connect to host build7 port 22: No route to host",
            "-l user -p 22 -- host docker system",
        ),
        (SSH.format(user="", host="build7") + "alice@build7: Permission denied (publickey).", "Permission denied"),
        ("Cannot connect to the Docker daemon at tcp://10.0.0.7:2375. Is the docker daemon running?",
         "Cannot connect to the Docker daemon at tcp://host. Is the docker daemon running?"),
        ("dial tcp: lookup build7 on 10.0.0.7:53: no such host", "dial tcp: lookup host on host:53: no such host"),
        ("dial tcp [fd00::17]:2376: connect: connection refused", "dial tcp host:2376: connect: connection refused"),
        ("x509: certificate is valid for docker, build7.corp.example, not ci.corp", "valid for docker, host, not host"),
        ('Current context "alice-build7" is not found on the file system', 'context "context" is not found'),
    ],
)  # fmt: skip
def test_what_docker_says_names_no_machine_and_no_user(said: str, kept: str) -> None:
    failed = {"argv": list(docker.VERSION), "code": 1, "out": '{"Client": {"Version": "28.2.2"}}', "err": f"{said}\n"}
    info = {"argv": list(docker.INFO), "code": 1, "out": json.dumps({"ServerErrors": [said]}), "err": ""}
    redacted = redact({"schema": 1, "runs": [failed, info], "files": {}})
    found = docker.probe(Recorded(redacted))
    assert kept in (found.error or "")
    secrets = ("alice", "build7", "corp", "10.0.0.7", "fd00", "example")
    assert [secret for secret in secrets if secret in json.dumps(redacted)] == []


@pytest.mark.parametrize(
    "said",
    [
        "permission denied while trying to connect to the docker API at unix:///var/run/docker.sock",
        "Cannot connect to the Docker daemon at unix:///run/user/1000/docker.sock. Is the docker daemon running?",
        "Error response from daemon: client version 1.50 is too new. Maximum supported API version is 1.41",
        "dial unix /var/run/docker.sock: connect: no such file or directory",
        "context deadline exceeded",
        "Host key verification failed.",
    ],
)
def test_what_docker_says_of_this_machine_is_kept(said: str) -> None:
    failed = {"argv": list(docker.VERSION), "code": 1, "out": '{"Client": {"Version": "28.2.2"}}', "err": f"{said}\n"}
    document = {"schema": 1, "runs": [failed], "files": {}}
    assert docker.probe(Recorded(redact(document))) == docker.probe(Recorded(document))


def test_a_torn_daemon_json_stays_torn() -> None:
    document = {"schema": 1, "runs": [], "files": {"/etc/docker/daemon.json": {"text": '{"proxies": {"http": "secret'}}}
    text = redact(document)["files"]["/etc/docker/daemon.json"]["text"]
    assert "secret" not in text
    with pytest.raises(json.JSONDecodeError):
        json.loads(text)


UUID_A, UUID_B = "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6", "GPU-74106407-f32f-0663-90a7-a1acf7eb04ae"


def replaced(*texts: str, hostname: str = "", user: str = "") -> list[str]:
    return list(map(pseudonyms.replacer(texts, hostname, user), texts))


def test_one_gpu_is_one_gpu_in_every_bundle_of_it() -> None:
    """Also where it is given by the beginning of its UUID, as CUDA takes it."""
    whole, short, other = replaced(UUID_A, "CUDA_VISIBLE_DEVICES=GPU-8932f937", UUID_B)
    assert UUID_A not in whole
    assert short.endswith(whole[:12])
    assert whole[:12] != other[:12]
    assert len(whole) == len(UUID_A)
    (again,) = replaced(UUID_A)
    assert again == whole
    assert replaced(whole) == [whole], "what is redacted stays as it is"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("/home/alice/.venv and /root/x", "/home/user/.venv and /home/user/x"),
        ("/Users/alice/x", "/Users/user/x"),
        ("ether 0a:1b:2c:3d:4e:5f up", "ether 02:00:00:00:00:00 up"),
        ("instance i-0abcdef1234567890 in vpc-0a1b2c3d", "instance i-0 in vpc-0"),
        ("arn:aws:iam::123456789012:role/x", "arn:0"),
        ("projects/my-project-17/zones", "projects/0/zones"),
        ("HF=hf_abcdefghijklmnopqrstuvwx", "HF=TOKEN"),
        ("https://bob:hunter2@example.com/x", "https://user@example.com/x"),
        ("on gpu-box-7 as carol", "on host as user"),
        ("0000:3b:00.0 and 570.124.06 and 9.10.2.21", "0000:3b:00.0 and 570.124.06 and 9.10.2.21"),
        ("boot 0f4c6f5e-2d63-4c8f-9f0b-7f1c7e0a9d11", None),
    ],
)  # fmt: skip
def test_names_are_replaced_wherever_they_stand(text: str, kept: str | None) -> None:
    (found,) = replaced(text, hostname="gpu-box-7", user="carol")
    if kept is None:
        assert "0f4c6f5e" not in found
    else:
        assert found == kept


def test_a_short_name_is_no_secret_and_root_is_nobody() -> None:
    assert replaced("vm root pc", hostname="vm", user="root") == ["vm root pc"]


def test_serials_stay_apart() -> None:
    out = json.dumps({"gpus": [{"serial": "165462300001"}, {"serial": "165462300002"}, {"serial": "165462300001"}]})
    document = {"schema": 1, "runs": [run(nvml.COMMAND, out)], "files": {}}
    gpus = json.loads(redact(document)["runs"][0]["out"])["gpus"]
    assert [gpu["serial"] for gpu in gpus] == ["1", "2", "1"]


def test_an_image_keeps_no_variable_that_is_not_read() -> None:
    argv = ("docker", "image", "inspect", "x:1")
    config = {
        "Env": ["CUDA_VERSION=12.6.3", "API_TOKEN=hunter2"],
        "Labels": {"owner": "alice", "io.gpucheck.cuda": "12.6"},
    }
    out = json.dumps([{"Id": "sha256:1", "Architecture": "amd64", "Author": "alice", "Config": config}])
    document = {"schema": 1, "runs": [run(argv, out)], "files": {}}
    redacted = redact(document)
    assert image.probe_of("x:1")(Recorded(redacted)) == image.probe_of("x:1")(Recorded(document))
    assert [secret for secret in ("hunter2", "alice") if secret in json.dumps(redacted)] == []
