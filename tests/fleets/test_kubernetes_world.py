"""One verify over all nodes of a cluster: its manifests against the official schemas, and the official client against
the HTTP service of the tests. No pod ran: that their names resolve is what Kubernetes' DNS promises."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from gpucheck import worlds
from gpucheck.fleets import engine
from gpucheck.fleets.runs import Answer, Asked
from gpucheck.model import Failure
from tests.fleets.cluster import Fake, kubeconfig, node, started
from tests.fleets.test_kubernetes import VERSIONS, report

__all__ = ["report"]
VERIFY = ("verify", "--framework", "pytorch", "--python", "/opt/venv/bin/python", "--format", "json")
NODES = [node("a.rack1"), node("b"), node("few", gpus=4), node("tainted", taints=[{"key": "x", "effect": "NoExecute"}])]


@pytest.fixture
def fake(report: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    with started(Fake(NODES, {}, {"good": report})) as server:
        monkeypatch.setattr("gpucheck.fleets.kubernetes_home.PAUSE", 0.1)
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, server.server_port)))
        yield server


def asked(*nodes: str, **options: str) -> Asked:
    told = {"image": "registry/torch:1", **options}
    return Asked(command=VERIFY, nodes=nodes, deadline=5, options=told, world=True)


def answers(*nodes: str, **options: str) -> dict[str, Answer]:
    return {each.node: each for each in engine("kubernetes").run(asked(*nodes, **options), lambda *_: None)}


def rendered(*nodes: str, **options: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(engine("kubernetes").render(asked(*nodes, gpus="8", **options))))


def test_every_pod_knows_its_place_and_the_names_of_all(fake: Fake, report: bytes) -> None:
    run = engine("kubernetes").run(asked("a.rack1", "b", "tainted"), lambda *_: None)
    assert next(run).why == "it is tainted x:NoExecute; `-O tolerate=x` asks it all the same"
    first = next(run)
    jobs, (service,) = list(fake.jobs.values()), fake.services.values()
    assert {first.node, *(each.node for each in run)} == {"a.rack1", "b"}
    assert first.report == report
    assert not fake.jobs
    assert not fake.services  # they went with the first Job
    (owner,) = service["metadata"]["ownerReferences"]
    assert owner["uid"] == jobs[0]["metadata"]["uid"]
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    names, told = [], []
    for job in sorted(jobs, key=lambda job: str(job["metadata"]["name"])):
        template = job["spec"]["template"]
        pod = template["spec"]
        assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
        assert pod["subdomain"] == service["metadata"]["name"]
        names.append(f"{pod['hostname']}.{pod['subdomain']}")
        told.append(pod["containers"][0]["command"][-2:])
    assert told == [["--world", f"{rank}@{','.join(names)}:29400"] for rank in range(2)]
    assert [worlds.whole(text) for _, text in told] == [text for _, text in told]


def test_two_nodes_whose_short_names_are_one_have_two_here() -> None:
    made = rendered("a.rack1", "a.rack2")[-2:]
    assert [each["spec"]["template"]["spec"]["hostname"] for each in made] == ["a-0", "a-1"]


def test_the_account_may_make_a_service_and_nothing_else_besides(fake: Fake) -> None:
    answers("a.rack1", "b")
    allowed = {(verb, resource) for each in rendered("a", "b") if each["kind"] in ("Role", "ClusterRole")
               for rule in each["rules"] for resource in rule["resources"] for verb in rule["verbs"]}  # fmt: skip
    assert set(fake.asked) <= allowed
    assert allowed - set(fake.asked) <= {("get", "nodes"), ("list", "events")}  # asked where something is wrong
    fake.refuse["create", "services"] = (403, 'User "eve" cannot create resource "services" in API group ""')
    with pytest.raises(Failure, match="eve may not create services"):
        answers("a.rack1", "b")
    assert not fake.jobs


@pytest.mark.usefixtures("fake")
def test_what_is_no_world() -> None:
    for nodes, sentence in (
        (("b",), "a world has two nodes at least, and only b is meant"),
        (("a.rack1", "few"), "as many GPUs each, and few has 4, a.rack1 has 8"),
    ):
        with pytest.raises(Failure, match=sentence) as failure:
            answers(*nodes)
        assert failure.value.tip
    alone = answers("b", "tainted")
    assert alone["b"].why == "no other node is free to make a world with"
    assert {each.report is None for each in answers("b", "few", gpus="4").values()} == {False}


@pytest.mark.parametrize("version", VERSIONS)
def test_the_manifests_are_what_the_official_schemas_want(version: str) -> None:
    made = rendered("gpu-1", "gpu-2")
    assert [each["kind"] for each in made[6:]] == ["Service", "Job", "Job"]
    owned = engine("kubernetes").worlds.service(made[7], "r1", "a-uid")
    for manifest in (*made, owned):
        kubernetes_validate.validate(manifest, version, strict=True)


def test_a_pod_that_trains_has_memory_to_share() -> None:
    pod = rendered("gpu-1", "gpu-2")[-1]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert {"name": "shm", "mountPath": "/dev/shm"} in container["volumeMounts"]  # noqa: S108 - the pod's
    assert {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "9Gi"}} in pod["volumes"]
    assert container["resources"]["requests"] == {"cpu": "8", "memory": "36Gi"}
    assert all(set(each) == {"name", "emptyDir"} for each in pod["volumes"])  # what `restricted` allows
