"""containers.py against an engine that is a script: what a real engine does not do on demand."""

from __future__ import annotations

import gc
import json
import os
import socketserver
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from gpucheck import building, containers, gpu_requests, logs, recipes, running
from gpucheck.facts import Facts, Pci
from gpucheck.model import Failure
from tests.rules.literals import bus

CPU = recipes.load()["tensorflow-cpu"]
TRACES = Path(__file__).parent / "builds"
Answer = tuple[int, object]


class Engine(socketserver.ThreadingUnixStreamServer):
    """A Docker Engine by its HTTP API: answers[(method, end of the path)], and what it was asked."""

    daemon_threads = True

    def __init__(self, path: str) -> None:
        super().__init__(path, Handler)
        self.asked: list[tuple[str, str, bytes]] = []
        self.answers: dict[tuple[str, str], Answer | None] = {
            ("GET", "/version"): (200, {"ApiVersion": "1.45", "Components": [{"Name": "Engine", "Version": "28.2.0"}]}),
            ("GET", "/info"): (200, {"MemTotal": 2**34, "Name": "elsewhere"}),
            ("GET", "/networks"): (200, [{"Name": "bridge", "Id": "1", "Driver": "bridge"}]),
            ("POST", "/containers/create"): (201, {"Id": "c1", "Warnings": []}),
            ("GET", "/containers/c1/json"): (
                200,
                {"Id": "c1", "Image": "sha256:1", "Config": {"Labels": {}}, "State": {"OOMKilled": True}},
            ),
            ("PUT", "/archive"): (200, b""),
            ("POST", "/start"): (204, b""),
            ("GET", "/logs"): (200, b"\1\0\0\0\0\0\0\6hello\n"),
            ("POST", "/wait"): (200, {"StatusCode": 137}),
        }

    def vanish(self) -> None:
        os.unlink(str(self.server_address))

    def body(self, method: str, end: str) -> bytes:
        return next(body for verb, path, body in self.asked if verb == method and path.endswith(end))


class Handler(BaseHTTPRequestHandler):
    server: Engine

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_: object) -> None:
        """Not to the terminal."""

    def _answer(self) -> None:
        path = self.path.partition("?")[0]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((self.command, path, body))
        answers = self.server.answers.items()
        found = (a for (verb, end), a in answers if verb == self.command and (path.endswith(end) or end in self.path))
        answer = next(found, (404, {"message": f"No such container: {path}"}))
        if answer is None:  # the engine dies here, and is not there any more
            self.server.vanish()
            self.close_connection = True
            return
        status, content = answer
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    path = str(tmp_path / "docker.sock")
    for name in (*building.PROXIES, "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    with Engine(path) as fake:
        thread = threading.Thread(target=fake.serve_forever, args=(0.01,))
        thread.start()
        yield fake
        fake.shutdown()
        thread.join()
    with warnings.catch_warnings():  # docker-py does not close a socket that could not connect
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def failure(call: Callable[[], object]) -> Failure:
    with pytest.raises(Failure) as failed:
        call()
    assert failed.value.tip
    return failed.value


def build() -> str:
    return containers.build(CPU)


def run(*, gpus: bool = False, timeout: float | None = None) -> running.Ran:
    return containers.run("image", ["true"], gpus=gpus, timeout=timeout)


# --- connecting ---


def test_no_engine_is_a_sentence_and_a_tip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    failed = failure(containers.connect)
    assert str(failed) == "no Docker Engine answers"
    assert failed.exit_code == 1


def test_a_socket_that_nobody_serves_is_no_engine(engine: Engine) -> None:
    engine.shutdown()
    engine.server_close()
    assert str(failure(containers.connect)) == "no Docker Engine answers"


def test_no_permission_names_the_group(engine: Engine) -> None:
    os.chmod(str(engine.server_address), 0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        failed = failure(containers.connect)
    finally:
        os.seteuid(user)
    assert "usermod -aG docker" in failed.tip


def test_a_docker_host_that_is_none_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "carrier-pigeon://here")
    assert "DOCKER_HOST" in failure(containers.connect).tip


# --- building ---


def test_the_build_asks_for_buildkit_and_reads_its_report(engine: Engine) -> None:
    engine.answers["POST", "/build"] = (200, (TRACES / "buildkit-good.jsonl").read_bytes())
    assert build().startswith("sha256:")
    assert b"FROM ${BASE}" in engine.body("POST", "/build")


def test_a_full_disk_is_a_sentence(engine: Engine) -> None:
    row = {"errorDetail": {"message": "failed to copy files: write /var/lib/docker/tmp/1: no space left on device"}}
    engine.answers["POST", "/build"] = (200, row)
    assert str(failure(build)) == "the engine's disk is full"


def test_a_build_that_is_refused_at_once_is_a_sentence(engine: Engine) -> None:
    engine.answers["POST", "/build"] = (500, {"message": "mkdir /var/lib/docker: no space left on device"})
    assert str(failure(build)) == "the engine's disk is full"


@pytest.mark.parametrize("report", ["", (TRACES / "buildkit-good.jsonl").read_text()[:1500].rpartition("\n")[0]])
def test_an_engine_that_ends_its_report_early_went_away(engine: Engine, report: str) -> None:
    engine.answers["POST", "/build"] = (200, report.encode())
    assert str(failure(build)) == "the Docker Engine went away during the build"


def test_a_torn_report_is_a_sentence(engine: Engine) -> None:
    engine.answers["POST", "/build"] = (200, (TRACES / "buildkit-good.jsonl").read_bytes()[:700])
    assert "torn" in str(failure(build))


@pytest.mark.parametrize(
    ("name", "words", "tip"),
    [
        ("pytorch-cpu", "ERROR: No matching distribution found for torch==2.13.0+cpu", "PIP_EXTRA_INDEX_URL="),
        ("pytorch-cpu", "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES", "trusted"),
        ("jax-cpu", "ERROR: No matching distribution found for jax==0.10.2", "another"),
    ],
)
def test_a_recipe_says_where_its_wheels_are_when_pip_finds_none(
    engine: Engine, name: str, words: str, tip: str
) -> None:
    rows = ({"stream": "Step 1/1 : RUN pip"}, {"stream": f"{words}\n"}, {"errorDetail": {"message": "exit code 1"}})
    engine.answers["POST", "/build"] = (200, "".join(json.dumps(row) + "\n" for row in rows).encode())
    failed = failure(lambda: containers.build(recipes.load()[name]))
    assert words in str(failed)
    assert tip in failed.tip


def test_an_engine_that_dies_at_the_build_went_away(engine: Engine) -> None:
    engine.answers["POST", "/build"] = None
    assert str(failure(build)) == "the Docker Engine went away during the build"


def test_an_engine_without_a_bridge_builds_on_the_hosts_network(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(Handler, "log_request", lambda self, *_: asked.append(self.path))
    engine.answers["POST", "/build"] = (200, (TRACES / "buildkit-good.jsonl").read_bytes())
    build()
    engine.answers["GET", "/networks"] = (200, [{"Name": "host", "Id": "1", "Driver": "host"}])
    build()
    assert ["networkmode=host" in path for path in asked if "/build?" in path] == [False, True]


def test_an_image_keeps_the_plan_and_the_digest_of_its_base(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, list[str]]] = []
    monkeypatch.setattr(Handler, "log_request", lambda self, *_: asked.append(parse_qs(urlsplit(self.path).query)))
    engine.answers["POST", "/build"] = (200, (TRACES / "buildkit-good.jsonl").read_bytes())
    engine.answers["GET", "/images/some/base:1/json"] = (200, {"Id": "1", "RepoDigests": ["some/base@sha256:2"]})

    def labels(base: str, plan: str | None) -> dict[str, str]:
        asked.clear()
        containers.build(CPU, base=base, plan=plan)
        return dict(json.loads(next(query["labels"][0] for query in asked if "labels" in query)))

    name, digest = "org.opencontainers.image.base.name", "org.opencontainers.image.base.digest"
    assert labels("some/base:1", "why") == {name: "some/base:1", digest: "sha256:2", "io.gpucheck.plan": "why"}
    assert labels("some/base@sha256:3", None) == {name: "some/base@sha256:3", digest: "sha256:3"}
    assert labels("nowhere:1", None) == {name: "nowhere:1"}


def test_a_small_disk_is_known_before_the_build_unless_the_lock_is_built_already(
    engine: Engine, tmp_path: Path
) -> None:
    engine.answers["POST", "/build"] = (200, (TRACES / "buildkit-good.jsonl").read_bytes())
    huge = replace(CPU, download=10**9, installed=10**9)
    containers.build(huge)  # the engine may be anywhere, and nothing is known of its disk
    engine.answers["GET", "/info"] = (200, {"Name": os.uname().nodename, "DockerRootDir": str(tmp_path)})
    engine.answers["GET", "/images/json"] = (200, [])
    failed = failure(lambda: containers.build(huge))
    assert "needs about 3200000.0 GB" in str(failed)
    assert failed.exit_code == 1
    containers.build(replace(huge, installed=0, download=0))
    engine.answers["GET", "/images/json"] = (200, [{"Id": "sha256:1"}])
    engine.answers["GET", "/images/sha256:1/json"] = (200, {"Id": "sha256:1"})
    containers.build(huge)


@pytest.mark.usefixtures("engine")
def test_an_engine_behind_a_network_is_not_local() -> None:
    with closing(containers.connect()) as client:
        assert containers.is_local(client)
        client.api.base_url = "http://10.0.0.1:2375"
        assert not containers.is_local(client)


# --- running ---


def test_anybodys_image_is_pulled_and_a_refusal_is_a_sentence(engine: Engine) -> None:
    engine.answers[("GET", "/images/nobody/none:1/json")] = (404, {"message": "No such image: nobody/none:1"})
    engine.answers[("POST", "/images/create")] = (500, {"message": "dial tcp: lookup registry: no such host"})
    said: list[str] = []

    def fetch() -> object:
        with closing(containers.connect()) as client:
            return containers.fetch_image("nobody/none:1", client, lambda line, _share: said.append(line))

    refused = failure(fetch)
    assert "nobody/none:1 could not be pulled: dial tcp" in str(refused)
    assert (refused.exit_code, said) == (1, ["pulling nobody/none:1"])


def test_a_run_that_was_killed_for_memory_says_so_and_is_removed(engine: Engine) -> None:
    ran = run()
    assert (ran.exit_code, ran.oom_killed, ran.last_lines) == (137, True, ("hello",))
    assert [path.rpartition("/")[2][:9] for verb, path, _ in engine.asked if verb == "DELETE"] == ["gpucheck-"]


def test_the_last_lines_are_the_logs_where_following_it_missed_them(engine: Engine) -> None:
    engine.answers = {
        ("GET", "tail=12"): (200, b"\1\0\0\0\0\0\0\5hello"),
        **engine.answers,
        ("GET", "/logs"): (200, b""),
    }
    assert run().last_lines == ("hello",)


def test_a_run_may_use_no_network_and_no_capability(engine: Engine) -> None:
    run()
    host = json.loads(engine.body("POST", "/containers/create"))["HostConfig"]
    assert (host["NetworkMode"], host["CapDrop"], host["SecurityOpt"]) == ("none", ["ALL"], ["no-new-privileges"])


@pytest.mark.parametrize("timeout", [1e12, float("inf")])
def test_a_deadline_beyond_all_clocks_is_none(engine: Engine, timeout: float) -> None:
    assert run(timeout=timeout).last_lines == ("hello",)
    assert not any(path.endswith("/kill") for _, path, _ in engine.asked)


@pytest.mark.parametrize("moment", [("PUT", "/archive"), ("POST", "/start"), ("GET", "/logs"), ("POST", "/wait")])
def test_an_engine_that_dies_during_the_run_went_away(engine: Engine, moment: tuple[str, str]) -> None:
    engine.answers[moment] = None
    failed = failure(run)
    assert str(failed) == "the Docker Engine went away during the run"
    assert failed.exit_code == 1


def test_a_start_that_is_refused_is_a_sentence_and_leaves_no_container(engine: Engine) -> None:
    engine.answers["POST", "/start"] = (
        500,
        {"message": 'could not select device driver "" with capabilities: [[gpu]]'},
    )
    assert "GPUs" in str(failure(lambda: run(gpus=True)))
    assert engine.asked[-1][0] == "DELETE"


DEVICES = {"MemTotal": 1, "Name": "elsewhere", "DiscoveredDevices": [{"Source": "cdi", "ID": "nvidia.com/gpu=0"}]}
HOOK = {"Driver": "", "Count": -1, "DeviceIDs": [], "Capabilities": [["gpu"]], "Options": {}}
CDI = {"Driver": "cdi", "Count": 0, "DeviceIDs": ["nvidia.com/gpu=all"], "Capabilities": [], "Options": {}}


@pytest.mark.parametrize(
    ("info", "request_"),
    [
        (DEVICES, CDI),
        ({**DEVICES, "DiscoveredDevices": [{"Source": "cdi", "ID": "vendor.com/nic=0"}]}, HOOK),
        ({**DEVICES, "DiscoveredDevices": None, "CDISpecDirs": []}, HOOK),
    ],
    ids=["cdi", "other-cdi", "hook"],
)
def test_gpus_come_by_cdi_where_the_engine_has_them(engine: Engine, info: object, request_: object) -> None:
    engine.answers["GET", "/info"] = (200, info)
    run(gpus=True)
    assert json.loads(engine.body("POST", "/containers/create"))["HostConfig"]["DeviceRequests"] == [request_]


@pytest.mark.parametrize("local", [True, False])
def test_an_older_engine_tells_only_its_cdi_folders(engine: Engine, tmp_path: Path, local: bool) -> None:
    (tmp_path / "nvidia.yaml").write_text("cdiVersion: 0.6.0\nkind: nvidia.com/gpu\n")
    name = os.uname().nodename if local else "elsewhere"
    engine.answers["GET", "/info"] = (200, {"MemTotal": 1, "Name": name, "CDISpecDirs": [str(tmp_path)]})
    run(gpus=True)
    created = json.loads(engine.body("POST", "/containers/create"))
    assert created["HostConfig"]["DeviceRequests"] == [CDI if local else HOOK]


def test_a_specification_that_cannot_be_read_is_not_nvidias(tmp_path: Path) -> None:
    info = {"Name": os.uname().nodename, "CDISpecDirs": [str(tmp_path)]}
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "gone.json").symlink_to(tmp_path / "gone")
    (tmp_path / "binary.yaml").write_bytes(b"nvidia.com/gpu \xff")
    assert not gpu_requests.knows_cdi(info)
    (tmp_path / "nvidia.yaml").write_text("kind: nvidia.com/gpu\n")
    assert gpu_requests.knows_cdi(info)


@pytest.mark.parametrize(("version", "obeys"), [("4.9.3", False), ("5.3.2", False), ("5.4.0", True)])
def test_a_podman_that_would_ignore_the_request_is_refused(engine: Engine, version: str, obeys: bool) -> None:
    components = [{"Name": "Podman Engine", "Version": version}]
    engine.answers["GET", "/version"] = (200, {"ApiVersion": "1.41", "Components": components})
    if obeys:
        run(gpus=True)
        assert json.loads(engine.body("POST", "/containers/create"))["HostConfig"]["DeviceRequests"] == [CDI]
    else:
        assert version in str(failure(lambda: run(gpus=True)))
        assert not any(path.endswith("/create") for _, path, _ in engine.asked)


def test_log_frames_that_come_in_pieces_are_whole_lines() -> None:
    stream = b"\1\0\0\0\0\0\0\4out \2\0\0\0\0\0\0\5err\n\xff\1\0\0\0\0\0\0\x08put\r\nend"
    expected = ["err", "out put", "end", "�"]
    assert list(logs.split([stream])) == expected
    assert list(logs.split(bytes([byte]) for byte in stream)) == expected


EIGHT = Facts(known={Pci: bus(*[("2330", "nvidia")] * 8)})


@pytest.mark.parametrize("environment", [{}, {"SLURM_JOB_GPUS": ""}, {"SLURM_JOB_GPUS": "0,1,2,3,4,5,6,7"}])
def test_all_gpus_are_given_where_they_are_ours(environment: dict[str, str]) -> None:
    gpu_requests.check_lent(environment, EIGHT)


def test_a_part_of_the_gpus_is_not_taken_for_all() -> None:
    with pytest.raises(Failure, match=r"lent this job 2 of 8 GPUs \(4,5\), and a container would get all"):
        gpu_requests.check_lent({"SLURM_JOB_GPUS": "4,5"}, EIGHT)
    gpu_requests.check_lent({"SLURM_JOB_GPUS": "4,5"}, Facts())  # nobody knows how many there are
