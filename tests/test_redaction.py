"""Redaction takes away what is private, and nothing that a probe reads."""

import contextlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from gpucheck import codec, compat, engine, extracts, pseudonyms, redaction
from gpucheck.host import CannotLook, Recorded, Recording
from gpucheck.probes import PROBES, Probe, container_toolkit, docker, files, image, nvml, user
from gpucheck.probes.container_toolkit import DAEMON_JSON, HOOK
from gpucheck.redaction import redact
from gpucheck.rules import HOST_RULES

TABLES = compat.load()
MACHINES = sorted((Path(__file__).parent / "machines").glob("*/recording.json"))


UNIQUE = re.compile(r'(GPU|MIG)-[0-9a-f-]{36}|"(serial|boot_id)": "[^"]*"')


def facts(document: dict[str, Any]) -> str:
    """Everything the probes know, without what redaction is there to replace."""
    text = json.dumps(codec.dump(engine.collect(PROBES, Recorded(document))))
    return UNIQUE.sub("", text)


@pytest.mark.parametrize("path", MACHINES, ids=lambda path: path.parent.name)
def test_no_probe_sees_a_difference(path: Path) -> None:
    document = json.loads(path.read_text())
    assert facts(redact(document, "some-host")) == facts(document)


TORCH = "lib/python3.12/site-packages/torch-2.9.1.dist-info"


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
            run(("python3", "-c", "..."), f"/home/alice/.venv/bin/python3\n/root/{TORCH}\n/chroot/root2/{TORCH}\n"),
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
        "Runtimes": {"nvidia": {}},
        "DiscoveredDevices": [{"Source": "cdi", "ID": "nvidia.com/gpu=0"}],
    }
    assert outs[2] == f"/home/user/.venv/bin/python3\n/home/user/{TORCH}\n/folder1/folder2/{TORCH}\n"
    assert redacted["files"]["/proc/mounts"] == {"text": "x /dev/shm tmpfs size=64k\n"}
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
HOOKED = "/opt/hook"
CDI_PATHS = ("/opt/libcuda.so.550.54.15", HOOKED, "/dev/w0")
ASKED = ("stat", "-L", "-c", files.STAT_FORMAT, *CDI_PATHS)


@pytest.mark.parametrize("name", ["vendor.yaml", "vendor.json"])
def test_of_a_cdi_spec_only_what_the_probe_reads_is_kept(name: str) -> None:
    gone = "".join(f"stat: cannot statx '{path}': No such file or directory\n" for path in CDI_PATHS if path != HOOKED)
    there = {"argv": list(ASKED), "code": 1, "out": f"81a4 0 0 644 root {HOOKED}\n", "err": gone}
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
    return list(map(pseudonyms.replacer(texts, hostname, (user,)), texts))


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
        ("/home/alice/.venv and /root/.venv", "/home/user/.venv and /home/user/.venv"),
        ("/Users/alice/bin", "/Users/user/bin"),
        # A folder of somebody's choice is a counted one, the same wherever it stands.
        ("LD_LIBRARY_PATH=/data/acme/lib:/usr/lib/wsl/lib:/opt/acme/x",
         "LD_LIBRARY_PATH=/data/folder1/lib:/usr/lib/wsl/lib:/opt/folder1/folder2"),
        ("/mnt/my drive/acme/libcuda.so.1", "/mnt/folder1/folder2/libcuda.so.1"),
        ("/scratch/acme/venv/lib/python3.12/site-packages/torch-2.9.1.dist-info",
         "/scratch/folder1/venv/lib/python3.12/site-packages/torch-2.9.1.dist-info"),
        ("unix:///home/carol/.docker/docker.sock. Is it", "unix:///home/user/.docker/docker.sock. Is it"),
        ("file:///srv/acme/x and/or n/a </key>", "file:///srv/folder1/folder2 and/or n/a </key>"),
        ("ether 0a:1b:2c:3d:4e:5f up", "ether 02:00:00:00:00:00 up"),
        ("instance i-0abcdef1234567890 in vpc-0a1b2c3d", "instance i-0 in vpc-0"),
        ("arn:aws:iam::123456789012:role/x", "arn:0"),
        ("projects/my-project-17/zones", "projects/0/zones"),
        ("HF=hf_abcdefghijklmnopqrstuvwx", "HF=TOKEN"),
        ("https://bob:hunter2@example.com/x.", "https://host."),
        ("mail root@localhost, ann.b@corp.example", "mail user@host, user@host"),
        ("on gpu-box-7 as carol", "on host as user"),
        ("carol_tmp, carol-data: carols", "user_tmp, user-data: carols"),
        ("gpu-box-7_1700000000_0a1b2c3d", "host_1700000000_0a1b2c3d"),
        ("gpu-box-7.corp.example, gpu-box-7.yaml, gpu-box-77", "host, host.yaml, gpu-box-77"),
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


@pytest.mark.parametrize(("hostname", "user"), [("vm", "root"), ("nvidia", "ubuntu"), ("a100", "docker"), ("", "")])
def test_a_short_name_is_part_of_words_and_root_is_nobody(hostname: str, user: str) -> None:
    text = "vm root pc ID=ubuntu NVIDIA a100 nvidia-ctk /usr/bin/docker"
    assert replaced(text, hostname=hostname, user=user) == [text]


def test_a_name_of_three_letters_is_one() -> None:
    assert replaced("bob's bobbin on /dev/bob", user="bob") == ["user's bobbin on /dev/user"]


@pytest.mark.parametrize("told", ["node17.corp.example", "node17.CORP.example"])
def test_a_domain_is_told_by_no_machine_of_it(told: str) -> None:
    text = f"node17 {told} filer.corp.example corp.example nodes 17"
    assert replaced(text, hostname=told) == ["host host host host nodes 17"]


@pytest.mark.parametrize("user", ["CORP\\ann", "ann@corp.example"])
def test_a_user_of_a_directory_is_one_without_it(user: str) -> None:
    assert replaced("ann and CORP\\ann", user=user)[0].count("ann") == 0


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


# --- secrets in every place, garbage in every place, and names that are words ---

SECRETS = {
    "host": "node17.corp.example", "short": "node17", "user": "bob", "serial": "1654623000042",
    "address": "10.20.30.40", "url": "intra.acme.example/x", "mail": "ann@acme.example", "folder": "acme",
}  # fmt: skip
PLANTED = "{host} {short} {user} {user}_tmp {serial} {address} https://{url} {mail} /data/{folder}/{user}"
PLANTED = PLANTED.format(**SECRETS)


def planted(text: str) -> str:
    """The secrets in a line of their own, or, in JSON, in keys that nobody asked for."""
    try:
        data = json.loads(text)
    except ValueError:
        return f"{text.rstrip(chr(10))}\n{PLANTED}\n"
    return json.dumps(salted(data)) if isinstance(data, dict | list) else PLANTED


def salted(data: Any) -> Any:
    if isinstance(data, list):
        return [salted(item) for item in data]
    if not isinstance(data, dict):
        return data
    texts = {key: [*(data.get(key) or []), PLANTED] for key in ("Warnings", "ServerErrors") if key in data}
    return {**{key: salted(item) for key, item in data.items()}, **texts, "Labels": [PLANTED], "Context": PLANTED}


@pytest.mark.parametrize("path", MACHINES, ids=lambda path: path.parent.name)
def test_no_secret_survives_wherever_it_was_planted(path: Path) -> None:
    document = json.loads(path.read_text())
    for answer in document["runs"]:
        if "out" in answer:
            own = answer["argv"] == list(nvml.COMMAND)  # a program of ours
            answer.update(out=answer["out"] if own else planted(answer["out"]), err=planted(answer["err"]))
    for name, answer in document["files"].items():
        if answer.get("text") is not None and not extracts.BARE.fullmatch(name):
            answer["text"] = planted(answer["text"])
    document["files"]["/data/acme/bob/x"] = {"cannot_look": f"/data/acme/bob: {SECRETS['mail']} says no"}
    text = json.dumps(redact(document, SECRETS["host"], SECRETS["user"]))
    found = [
        (name, text[max(0, at - 200) : at + 50]) for name, secret in SECRETS.items() if (at := text.find(secret)) >= 0
    ]
    assert found == []


def test_no_file_is_asked_that_redaction_does_not_know() -> None:
    known = re.compile("|".join(f"(?:{pattern})" for pattern in redaction.FILES))
    asked = {name for path in MACHINES for name in json.loads(path.read_text())["files"]}
    assert sorted(name for name in asked if not known.fullmatch(name) and not extracts.BARE.fullmatch(name)) == []


GARBAGE = (
    "",
    "\0\ufffd\x85\n",
    "x: y\n",
    "{}\n",
    "[1, {}]\n",
    '{"Client": 5, "Warnings": {"CDI:": 1}, "Components": "x"}',
    "1 2\n",
)
RICH = ("h100x8-healthy", "stale-cdi", "dkms-build-failed", "driver-upgraded-by-dnf", "secure-boot-unsigned", "wsl2")


@pytest.mark.parametrize("name", RICH)
def test_garbage_stays_garbage(name: str) -> None:
    """Whatever one answer is, a bundle says the same of every subject that was asked for it."""
    document = json.loads((MACHINES[0].parents[1] / name / "recording.json").read_text())
    for subject, probe in PROBES.items():
        asked = Recording(Recorded(document))
        with contextlib.suppress(CannotLook):
            probe(asked)
        names, runs = asked.document()["files"], [run["argv"] for run in asked.document()["runs"]]
        one = {
            **document,
            "runs": [run for run in document["runs"] if run["argv"] in runs],
            "files": {path: answer for path, answer in document["files"].items() if path in names},
        }
        for answer, key in answers(one):
            true = answer[key]
            lines = true.splitlines(keepends=True)
            for text in (*GARBAGE, "".join(lines[: len(lines) // 2]), true[:-1], true + true):
                answer[key] = text
                before, after = told(probe, one), told(probe, redact(one))
                assert before == after, (subject, answer)
            answer[key] = true


def answers(document: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    runs = [(answer, "out") for answer in document["runs"] if "out" in answer]
    return runs + [(answer, "text") for answer in document["files"].values() if answer.get("text") is not None]


def told(probe: Probe, document: dict[str, Any]) -> str:
    try:
        return TORN.sub("", UNIQUE.sub("", json.dumps(codec.dump(probe(Recorded(document))))))
    except CannotLook:
        return "unknown"


TORN = re.compile(r'(?<=error": )"not [^"]*"')  # in which words is another matter

WORDS = (
    "max", "link", "power", "index", "name", "torch", "ubuntu", "nvidia", "compat", "json", "h100", "docker", "site",
    "overlay2", "cuda", "true", "width", "memory", "Version", "Server", "usr", "lib", "dev", "run",
)  # fmt: skip


@pytest.mark.parametrize("name", WORDS)
def test_a_name_that_is_a_word_breaks_no_bundle(name: str) -> None:
    for machine in RICH[:2]:
        document = json.loads((MACHINES[0].parents[1] / machine / "recording.json").read_text())
        assert statuses(redact(document, name, name)) == statuses(document)


def statuses(document: dict[str, Any]) -> list[tuple[str, str]]:
    findings = engine.judge(HOST_RULES, engine.collect(PROBES, Recorded(document)), TABLES)
    return [(finding.rule, finding.status) for finding in findings]


def test_a_group_is_the_same_group_on_a_device_node() -> None:
    """And members stay members, whatever their group is called."""
    asked = ("stat", "-L", "-c", files.STAT_FORMAT, "/dev/nvidia0")
    document = {
        "schema": 1, "files": {},
        "runs": [
            run(("id",), "uid=1000(bob) gid=1000(bob) groups=1000(bob),27(sudo),1005(acme-ml),1006(domain users)\n"),
            run(asked, "21b0 c3 0 660 acme-ml /dev/nvidia0\n"),
        ],
    }  # fmt: skip
    redacted = Recorded(redact(document))
    assert user.probe(redacted).groups == ("user", "sudo", "group1", "group2")
    node = files.present(redacted, ["/dev/nvidia0"])["/dev/nvidia0"]
    assert node is not None
    assert node.device is not None
    assert node.device.group == "group1"


def test_what_is_said_in_one_long_line_is_cut() -> None:
    document = {"schema": 1, "runs": [{**run(("x",), ""), "err": "a." * 100_000}], "files": {}}
    assert len(redact(document)["runs"][0]["err"]) <= 501
