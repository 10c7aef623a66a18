"""The engine kubernetes: its manifests against the official schemas, and the official client against an HTTP service
that answers as an API server does. No real cluster: docs/fleet.md says what a first run there should look at."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from gpucheck.fleets import engine
from gpucheck.fleets.kubernetes_api import Cluster
from gpucheck.fleets.runs import LARGEST, Answer, Asked
from gpucheck.model import Failure
from tests.fleets.cluster import Fake, kubeconfig, node, started, starting, terminated

ROOT = Path(__file__).parents[2]
DOCTOR = ("doctor", "--format", "json")
VERSIONS = ("1.27", "1.37")
IMAGE = {"image": "registry/gpucheck:1"}
OWN = ("nvidia.com/gpu", "gpucheck/unhealthy")
TAINT = {"key": "dedicated", "value": "team-a", "effect": "NoSchedule"}
UNPLACED = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/9 nodes are available: 1 Insufficient nvidia.com/gpu, 8 node(s) didn't match."}  # fmt: skip
NOT_READY = {**node("notready"), "status": {"conditions": [
    {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown", "message": "Kubelet stopped posting."}],
    "capacity": {"nvidia.com/gpu": "8"}, "allocatable": {"nvidia.com/gpu": "8"}}}  # fmt: skip
WHY = {  # of every node without a report, what its row must say
    "cordoned": ("it is cordoned", "-O tolerate=node.kubernetes.io/unschedulable"),
    "tainted": ("it is tainted dedicated=team-a:NoSchedule", "-O tolerate=dedicated"),
    "notready": ("it is NotReady", "NodeStatusUnknown", "Kubelet stopped posting"),
    "no-plugin": ("it has no nvidia.com/gpu to give", "device plugin"),
    "pending": ("no place for its pod", "1 Insufficient nvidia.com/gpu"),
    "pulling": ("its pod did not start", "ImagePullBackOff", "Failed to pull image"),
    "badname": ("its pod did not start", "InvalidImageName"),
    "running": ("it did not answer within 2 s",),
    "refused": ("no pod was made for it", "exceeded quota"),
    "gone": ("the node is no more",),
    "evicted": ("its pod was deleted in the middle",),
    "rejected": ("its pod failed before it could tell", "UnexpectedAdmissionError", "requested: 8"),
    "bare": ("its image has no gpucheck", "executable file not found", "--remote"),
    "oom": ("was killed there", "OOMKilled", "137"),
    "traced": ("exit code 3 and no report", "gpucheck: No space left"),
    "torn": ("is not whole",),
    "newer": ("is of a newer gpucheck", "99"),
    "huge": ("more than 8 MB", "cut off"),
    "unreadable": ("its log cannot be read", "connection refused"),
    "taken": ("already exists", "409"),
}
NODES = [
    node("good"), node("a.good.example.com"), node("cpu-only", gpus=0), NOT_READY,
    node("cordoned", unschedulable=True), node("tainted", taints=[TAINT]),
    node("own-taint", taints=[{"key": key, "effect": "NoSchedule"} for key in OWN]),
    node("no-plugin", gpus=0, labels={"nvidia.com/gpu.present": "true"}),
    *(node(name) for name in WHY if name not in ("cordoned", "tainted", "notready", "no-plugin")),
]  # fmt: skip
STATUSES: dict[str, Any] = {
    "pending": {"phase": "Pending", "conditions": [UNPLACED]},
    "pulling": starting("ImagePullBackOff", ""),
    "badname": starting("InvalidImageName", "couldn't parse"),
    "running": {"phase": "Running", "containerStatuses": [{"state": {"running": {}}}]},
    "gone": {"phase": "Running"}, "evicted": {"phase": "Running"},
    "rejected": {"phase": "Failed", "reason": "UnexpectedAdmissionError", "message": "requested: 8, available: 7"},
    "bare": terminated(128, reason="StartError", message='exec: "gpucheck": executable file not found in $PATH'),
    "oom": terminated(137, reason="OOMKilled"),
    "traced": terminated(3), "good": terminated(1),  # a report that fails is a report
}  # fmt: skip


@pytest.fixture(scope="module")
def report() -> bytes:
    machine = ROOT / "tests" / "machines" / "debian12-no-gpu" / "recording.json"
    judged = (sys.executable, "-m", "gpucheck", "doctor", "--format", "json", "--from", str(machine))
    return subprocess.run(judged, capture_output=True, cwd=ROOT).stdout.strip()


@pytest.fixture
def fake(report: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    logs = {
        "good": b'{"level": "info"}\nWelcome\n' + report + b"\nbye\n", "torn": report[:900],
        "newer": report.replace(b'"schema": 1', b'"schema": 99', 1),
        "huge": b"\0" * (LARGEST + 1), "oom": b"", "bare": b"",
        "traced": b"\x1b[31mgpucheck: No space left\x07\ntip: free some\n",
    }  # fmt: skip
    with started(Fake(NODES, STATUSES, logs)) as server:
        monkeypatch.setattr("gpucheck.fleets.kubernetes_home.PAUSE", 0.1)
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, server.server_port)))
        yield server


def answers(*nodes: str, **options: str) -> list[Answer]:
    asked = Asked(command=DOCTOR, nodes=nodes, deadline=2, options={**IMAGE, **options})
    return list(engine("kubernetes").run(asked, lambda _line, _share: None))


def rendered(*nodes: str, **options: str) -> list[dict[str, Any]]:
    asked = Asked(command=DOCTOR, nodes=nodes or ("gpu-1", "1e5"), options={**IMAGE, "gpus": "8", **options})
    return list(yaml.safe_load_all(engine("kubernetes").render(asked)))


def test_a_whole_fleet(fake: Fake, report: bytes) -> None:
    """Every node with GPUs is one row; what was made is deleted; and RBAC is what was asked and nothing more."""
    told = {answer.node: answer for answer in answers()}
    assert set(told) == {*WHY, "good", "a.good.example.com", "own-taint"}
    for name, words in WHY.items():
        why = told[name].why or ""
        assert told[name].report is None
        assert why.isprintable()
        assert all(word in why for word in words), (name, why)
    assert {told[name].report for name in ("good", "a.good.example.com", "own-taint")} == {report}
    assert not {"cordoned", "tainted", "notready", "no-plugin", "cpu-only"} & set(fake.made)
    assert not fake.jobs
    allowed = {(verb, resource) for each in rendered() if each["kind"] in ("Role", "ClusterRole")
               for rule in each["rules"] for resource in rule["resources"] for verb in rule["verbs"]}  # fmt: skip
    assert set(fake.asked) == allowed
    assert {int(query["limitBytes"]) for _, what, query in fake.queries if what == "pods/log"} == {LARGEST + 1}


def test_a_run_that_is_left_deletes_what_it_made(fake: Fake) -> None:
    run = engine("kubernetes").run(Asked(command=DOCTOR, nodes=("good", "running"), options=IMAGE), lambda *_: None)
    assert next(run).node == "good"
    assert len(fake.jobs) == 2
    run.close()
    assert not fake.jobs


def test_ctrl_c_deletes_what_it_made(fake: Fake) -> None:
    words = ("fleet", "run", "--engine", "kubernetes", "-O", "image=x", "--nodes", "running")
    with subprocess.Popen((sys.executable, "-m", "gpucheck", *words), cwd=ROOT, stderr=subprocess.PIPE) as ran:
        until = time.monotonic() + 30
        while not fake.looks and ran.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        assert fake.jobs
        ran.send_signal(signal.SIGINT)
        ran.communicate(timeout=30)
    assert not fake.jobs


def test_all_of_a_nodes_gpus_are_taken_or_so_many_or_a_cdi_device(fake: Fake) -> None:
    seen: list[Any] = []
    for options in ({}, {"gpus": "2"}, {"gpus": "0"}, {"cdi": "management.nvidia.com/gpu=all"}):
        run = engine("kubernetes").run(Asked(command=DOCTOR, nodes=("good",), options=IMAGE | options), lambda *_: None)
        next(run)
        (job,) = fake.jobs.values()
        run.close()
        template = job["spec"]["template"]
        seen.append((template["spec"]["containers"][0]["resources"]["limits"], template["metadata"]["annotations"]))
    assert [limits for limits, _ in seen] == [{"nvidia.com/gpu": "8"}, {"nvidia.com/gpu": "2"}, {}, {}]
    assert seen[3][1]["nvidia.cdi.k8s.io/container.gpucheck"] == "management.nvidia.com/gpu=all"
    (few,) = answers("good", gpus="9")
    assert few.why == "it has 8 GPUs of the 9 that were asked for"


@pytest.mark.usefixtures("fake")
def test_nodes_by_pattern_by_labels_and_in_spite_of_a_taint() -> None:
    assert {each.node for each in answers("*good*")} == {"good", "a.good.example.com"}
    assert {each.node for each in answers(selector="nvidia.com/gpu.present=true")} == {"no-plugin"}
    (cordoned,) = answers("cordoned", tolerate="node.kubernetes.io/unschedulable")
    assert cordoned.report
    for nodes, options, sentence in (
        (("goood",), {}, "there is no node 'goood'"), ((), {"selector": "a=b"}, "no node has the labels 'a=b'"),
        (("g[1-2]",), {}, "'g[1-2]' is no name of a node"),
    ):  # fmt: skip
        with pytest.raises(Failure) as failure:
            answers(*nodes, **options)
        assert sentence in str(failure.value)
        assert failure.value.tip


FORBIDS = (
    'jobs.batch is forbidden: User "eve" cannot {} resource "jobs" in API group "batch" in the namespace "gpucheck"'
)


@pytest.mark.parametrize(("verb", "status", "said", "sentence"), [
    ("create", 403, FORBIDS.format("create"), "eve may not create jobs"),
    ("deletecollection", 403, FORBIDS.format("deletecollection"), "eve may not deletecollection jobs"),
    ("create", 401, "Unauthorized", "does not know who we are"),
    ("create", 422, "spec.template: Invalid value", "the cluster refused: spec.template: Invalid value (422)"),
])  # fmt: skip
def test_a_refusal_is_one_sentence_and_leaves_nothing(
    fake: Fake, verb: str, status: int, said: str, sentence: str
) -> None:
    fake.refuse[verb, "jobs"] = (status, said)
    with pytest.raises(Failure) as failure:
        answers("good")
    assert sentence in str(failure.value)
    assert failure.value.tip
    assert not fake.made


@pytest.mark.usefixtures("fake")
def test_no_namespace_no_server_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def sentence(**options: str) -> str:
        with pytest.raises(Failure) as failure:
            answers("good", **options)
        assert failure.value.tip
        return str(failure.value)

    assert "there is no namespace 'nowhere'" in sentence(namespace="nowhere")
    assert "the kubeconfig cannot be used" in sentence(context="other")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        kubeconfig(tmp_path, closed.getsockname()[1])
        assert "no answer from the API server http://127.0.0.1:" in sentence()
    for torn in ("", "a: [", "clusters: 3", "[]", "\0"):
        (tmp_path / "kubeconfig").write_text(torn)
        assert "the kubeconfig cannot be used" in sentence()
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    assert sentence() == "there is no kubeconfig here"


@pytest.mark.usefixtures("fake")
def test_a_server_that_is_away_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter(range(9))
    pods = Cluster.pods

    def away(cluster: Cluster) -> list[dict[str, Any]]:
        if next(looks) in (1, 2):
            raise Failure("no answer", "wait")
        return pods(cluster)

    monkeypatch.setattr(Cluster, "pods", away)
    assert [each.report is not None for each in answers("good")] == [True]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_manifests_are_what_the_official_schemas_want(version: str) -> None:
    made = rendered()
    assert [each["kind"] for each in made] == [
        "Namespace", "ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "Job", "Job",
    ]  # fmt: skip
    cdi, plain = (
        rendered(cdi="a.b/gpu=all")[-1],
        rendered(gpus="0", runtime="nvidia", pull="Never", tolerate="a,b/c", env="A=1;B=x=y z")[-1],
    )
    for manifest in (*made[:-1], cdi, plain):
        kubernetes_validate.validate(manifest, version, strict=True)


def test_a_pod_has_the_variables_that_it_is_given() -> None:
    (container,) = rendered(env="NCCL_DEBUG=INFO;B=x=y z;C=")[-1]["spec"]["template"]["spec"]["containers"]
    told = {each["name"]: each["value"] for each in container["env"]}
    assert told == {"HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1", "NCCL_DEBUG": "INFO", "B": "x=y z", "C": ""}  # noqa: S108


@pytest.mark.parametrize("env", ["", "A", "=1", "1A=1", "A=1;", "A=$(HOME)", "A=1\nB=2", "A=ü"])
def test_what_is_no_variable(env: str) -> None:
    with pytest.raises(Failure, match="env is "):
        rendered(env=env)


@pytest.mark.parametrize("typo", ["imagePullPolice", "securitycontext"])
def test_the_schemas_catch_a_typo(typo: str) -> None:
    job = rendered()[-1]
    job["spec"]["template"]["spec"]["containers"][0][typo] = "Always"
    with pytest.raises(kubernetes_validate.ValidationError, match=typo):
        kubernetes_validate.validate(job, VERSIONS[-1], strict=True)


def test_a_pod_may_nothing_that_it_does_not_need() -> None:
    """What the Pod Security Standard `restricted` wants, which the namespace enforces, and a little more."""
    namespace, account, *_, job = rendered()
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert account["automountServiceAccountToken"] is False
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "privileged": False, "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert all(set(each) == {"name", "emptyDir"} for each in pod["volumes"])
    assert not {"hostPID", "hostIPC", "hostNetwork"} & set(pod)
    assert job["spec"]["backoffLimit"] == 0
    assert job["spec"]["activeDeadlineSeconds"] > Asked(command=DOCTOR).deadline


def test_render_asks_no_cluster(fake: Fake) -> None:
    words = ("fleet", "run", "--engine", "kubernetes", "-O", "image=x", "-O", "gpus=8", "--nodes", "1e5", "--render")
    ran = subprocess.run((sys.executable, "-m", "gpucheck", *words), cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert '- "1e5"' in ran.stdout  # a float to YAML 1.2
    assert json.dumps(list(yaml.safe_load_all(ran.stdout))).count('"1e5"') == 4
    assert not fake.asked


@pytest.mark.parametrize(("nodes", "options", "sentence"), [
    ((), {"gpus": "8"}, "manifests need the nodes by name"), (("g*",), {"gpus": "8"}, "the nodes by name"),
    (("g",), {}, "only the cluster knows"), (("g",), {"image": "a b"}, "image is 'a b'"),
    (("g",), {"namespace": "A"}, "namespace is 'A'"), (("g",), {"imag": "a"}, "no option 'imag'"),
])  # fmt: skip
def test_what_no_manifest_can_have(nodes: tuple[str, ...], options: dict[str, str], sentence: str) -> None:
    with pytest.raises(Failure, match=sentence):
        engine("kubernetes").render(Asked(command=DOCTOR, nodes=nodes, options=IMAGE | options))


def test_verify_needs_an_engine_that_no_pod_has() -> None:
    with pytest.raises(Failure, match="a pod has none") as failure:
        engine("kubernetes").render(Asked(command=("verify",), nodes=("g",), options=IMAGE))
    assert "--python PATH" in str(failure.value.tip)
    assert "KUBERNETES_SERVICE_HOST" not in os.environ
