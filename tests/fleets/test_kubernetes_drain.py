"""`gpucheck fleet drain --engine kubernetes`: the official client against the HTTP service, which takes patches."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from gpucheck.fleets import kubernetes_drain, kubernetes_manifests
from gpucheck.fleets.kubernetes_api import Cluster, Refused
from gpucheck.fleets.runs import Asked
from gpucheck.model import Report, Severity, Status
from tests.conftest import Gpucheck
from tests.fleets.cluster import Fake, kubeconfig, node, started
from tests.made_up.small import bad, good, lines, write

NOW = datetime.now(UTC)
MINE = {"key": "dedicated", "value": "team-a", "effect": "NoSchedule"}
OURS = {"key": "gpucheck/unhealthy", "value": "pci.gpu-present", "effect": "NoSchedule"}
DENIED = 'nodes "{}" is forbidden: User "eve" cannot patch resource "{}" in API group "" at the cluster scope'
SAID = "pci.gpu-present: GPU 3 of 8 is lost"


def at(report: Report, minutes: float = -10) -> Report:
    """Of so many minutes from now on."""
    return replace(report, when=(NOW + timedelta(minutes=minutes)).isoformat())


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the test, not of the import: a whole run has minutes between them."""
    monkeypatch.setitem(globals(), "NOW", datetime.now(UTC))


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    names = [f"n{number}" for number in range(1, 11)]
    nodes = [node("cpu", gpus=0), *(node(name, taints=[MINE]) for name in names), node("n11", unschedulable=True)]
    monkeypatch.setattr(kubernetes_drain, "PAUSE", 0.01)
    with started(Fake(nodes, {}, {})) as server:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, server.server_port)))
        yield server


class Drain:
    def __init__(self, gpucheck: Gpucheck, folder: Path) -> None:
        self.gpucheck, self.folder, self.runs = gpucheck, folder, 0

    def __call__(self, *reports: Report, more: tuple[str, ...] = ()) -> tuple[int, str, str]:
        self.runs += 1
        where = write(self.folder / f"run-{self.runs}", *reports)
        return self.gpucheck("fleet", "drain", where, "--engine", "kubernetes", *more)


@pytest.fixture
def drain(gpucheck: Gpucheck, tmp_path: Path) -> Drain:
    return Drain(gpucheck, tmp_path)


def taints(fake: Fake, name: str) -> list[dict[str, Any]]:
    return list(fake.nodes[name]["spec"].get("taints", []))


def condition(fake: Fake, name: str) -> dict[str, Any]:
    found = fake.nodes[name]["status"]["conditions"]
    return next((each for each in found if each["type"] == "GPUCheckFailed"), {})


def state(fake: Fake, name: str) -> dict[str, Any]:
    return dict(json.loads(fake.nodes[name]["metadata"]["annotations"]["gpucheck/state"]))


def drained(fake: Fake) -> list[str]:
    return sorted(name for name in fake.nodes if OURS in taints(fake, name))


def test_out_and_back(fake: Fake, drain: Drain) -> None:
    """A failure takes it out; only the second newer report that is clean gives it back; and what is not ours stays."""
    before = json.loads(json.dumps(fake.nodes["n1"]))
    code, out, err = drain(at(bad("n1")), at(good("n2")))
    assert (code, err) == (0, "")
    assert f"n1  drained: {SAID}" in out
    assert taints(fake, "n1") == [MINE, OURS]
    assert fake.nodes["n1"]["metadata"]["labels"]["gpucheck/verdict"] == "fail"
    assert (condition(fake, "n1")["status"], condition(fake, "n1")["message"]) == ("True", SAID)
    assert taints(fake, "n2") == [MINE]
    assert condition(fake, "n2") == {}
    (role,) = (each for each in yaml.safe_load_all(kubernetes_drain.render({})) if "rules" in each)
    rights = {(verb, what) for rule in role["rules"] for what in rule["resources"] for verb in rule["verbs"]}
    assert set(fake.asked) | {("get", "nodes")} == rights
    assert "n1  left alone: it fails still" in drain(at(bad("n1")))[1]  # the same report
    assert "0 of 2 clean reports" in drain(at(good("n1"), -1))[1]  # older than the taint
    mended = at(good("n1"), 2)
    assert "n1  counted: 1 of 2 clean reports" in drain(mended)[1]
    for _ in range(2):
        assert "n1  left alone: 1 of 2 clean reports" in drain(mended)[1]  # never twice
    assert "n1  counted: it fails still" in drain(at(bad("n1"), 3))[1]
    assert state(fake, "n1")["clean"] == 0
    assert "n1  counted: 1 of 2" in drain(at(good("n1"), 4))[1]
    code, out, err = drain(at(good("n1"), 5))
    assert (code, err) == (0, "")
    assert f"n1  given back: 2 clean reports in a row after {SAID}" in out
    assert condition(fake, "n1")["status"] == "False"
    after = fake.nodes["n1"]
    after["status"]["conditions"] = [each for each in after["status"]["conditions"] if each["type"] != "GPUCheckFailed"]
    after["metadata"]["resourceVersion"] = "1"
    assert after == {**before, "metadata": {**before["metadata"], "annotations": {}}}


def test_a_dry_run_says_the_same_and_writes_nothing(fake: Fake, drain: Drain) -> None:
    reports = (at(bad("n1")), at(bad("n2")), at(good("n3")), at(good("n4"), 2))
    fake.nodes["n4"]["spec"]["taints"] = [OURS]
    times = {"since": NOW.isoformat(), "counted": NOW.isoformat()}
    kept = {"rule": "pci.gpu-present", "reason": "x", "clean": 1, **times}
    fake.nodes["n4"]["metadata"]["annotations"] = {"gpucheck/state": json.dumps(kept)}
    code, out, _ = drain(*reports, more=("--dry-run",))
    assert {verb for verb, _ in fake.asked} == {"list"}
    assert code == 1
    assert f"n1  would be drained: {SAID}" in out
    done = out.replace("would be: ", "").replace("would be out", "are out").replace("would be ", "")
    assert drain(*reports)[:2] == (code, done)
    assert drained(fake) == ["n1"]


def test_never_more_than_the_share(fake: Fake, drain: Drain) -> None:
    """The rarest cause first. 20 % of 11 nodes are 2."""
    reports = [at(bad(f"n{n}")) for n in range(1, 11)]
    rare = at(bad("n9", "the fan is dead"))
    reports[8] = replace(rare, findings=(replace(rare.findings[0], rule="nvml.fan"),))
    code, out, err = drain(*reports, more=("--share", "20"))
    assert code == 1
    assert [line.split()[1] for line in out.splitlines() if "  drained: " in line] == ["n9", "n1"]
    assert "10 of 11 nodes failed, at most 2 may be drained at once (20 %): a wrong table must not empty a" in err
    assert "n2  not drained: too many at once" in out
    assert "2 drained, 0 given back, 0 well; 2 of 11 nodes with GPUs are out by gpucheck, 2 may be" in out
    assert drain(*reports, more=("--share", "20"))[0] == 1
    assert len([name for name in fake.nodes if len(taints(fake, name)) > 1]) == 2


def test_who_cannot_be_given_back_makes_no_room(fake: Fake, drain: Drain) -> None:
    drain(at(bad("n1")))
    drain(at(good("n1"), 1))
    fake.refuse["patch", "nodes", "n1"] = (403, DENIED.format("n1", "nodes"))
    code, out, _ = drain(at(good("n1"), 2), at(bad("n2")))
    assert (code, drained(fake)) == (1, ["n1"])
    assert "n1  not given back: eve may not patch nodes" in out
    assert "n2  not drained: a node that should have made room is out still" in out
    fake.refuse.clear()
    assert drain(at(good("n1"), 2), at(bad("n2")))[0] == 0
    assert drained(fake) == ["n2"]


def test_what_is_not_known_drains_nobody(fake: Fake, drain: Drain, tmp_path: Path) -> None:
    (tmp_path / "run-1").mkdir()
    (tmp_path / "run-1" / "n4.json").write_text(lines(at(bad("n5"))))  # it claims another host
    (tmp_path / "run-1" / "n6.json").write_text("{torn")
    (tmp_path / "run-1" / "n7.json").write_text(lines(at(replace(bad("n7"), host="n7\x1b[2J"))))
    warning = replace(bad("n8").findings[0], rule="a.b", severity=Severity.WARNING)
    warned = replace(good("n8"), strict=True, findings=(*good("n8").findings, warning))
    code, out, _ = drain(
        at(bad("n1"), -60 * 25), at(bad("n2", status=Status.UNKNOWN)), at(bad("n3"), 60), at(warned),
        at(bad("cpu")), at(bad("nn10")), more=("--max-age", "24"),
    )  # fmt: skip
    assert code == 1
    assert "\x1b" not in out
    assert "n8" not in out
    for words in ("n1  not known: its report is 25 hours old", "n2  not known:", "n3  not known: its report is of",
                  "n4  not known: its report", "n6  not known: ", "cpu  left alone: no GPU is expected of it",
                  "nn10  not drained: the cluster has no node of this name; perhaps n10"):  # fmt: skip
        assert words in out
    assert not [verb for verb, _ in fake.asked if verb != "list"]


def test_another_taint_that_comes_meanwhile_is_not_lost(fake: Fake, drain: Drain) -> None:
    other = {"key": "node.kubernetes.io/disk-pressure", "effect": "NoSchedule"}
    fake.meanwhile["n1"] = lambda found: found["spec"]["taints"].append(other)
    fake.meanwhile["n2"] = lambda found: found["spec"].update(taints=[OURS])
    code, out, _ = drain(at(bad("n1")), at(bad("n2")), more=("--share", "50"))
    assert taints(fake, "n1") == [MINE, other, OURS]
    assert "n2  not drained: somebody has changed it meanwhile" in out
    assert code == 1
    assert ("get", "nodes") in fake.asked


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("resource", ["nodes", "nodes/status"])
def test_a_connection_that_drops(fake: Fake, drain: Drain, when: str, resource: str) -> None:
    fake.drop[resource, "n1"] = when
    assert drain(at(bad("n1")))[0] == 0
    assert taints(fake, "n1") == [MINE, OURS]
    assert condition(fake, "n1")["status"] == "True"


def test_no_permission_is_one_sentence_and_the_others_are_done(fake: Fake, drain: Drain) -> None:
    fake.refuse["patch", "nodes", "n1"] = (403, DENIED.format("n1", "nodes"))
    fake.refuse["patch", "nodes/status"] = (403, DENIED.format("n2", "nodes/status"))
    code, out, err = drain(at(bad("n1")), at(bad("n2")), more=("--share", "50"))
    assert code == 1
    assert "no permission to patch nodes and to patch nodes/status" in err
    assert "fleet drain --engine kubernetes --render" in err
    assert "✗ n1  not drained: eve may not patch nodes" in out
    assert "✗ n2  drained: its condition was not written, the next run does" in out
    assert drained(fake) == ["n2"]
    assert condition(fake, "n2") == {}
    fake.refuse.clear()
    assert "n2  put right: its condition did not tell" in drain(at(bad("n2")), more=("--share", "9"))[1]
    assert condition(fake, "n2")["message"] == SAID
    fake.refuse["list", "nodes"] = (403, DENIED.replace("patch", "list").format("", "nodes"))
    code, _, err = drain(at(bad("n2")))
    assert (code, "eve may not list nodes" in err, "fleet drain" in err) == (2, True, True)


def test_a_server_that_dies_in_the_middle(fake: Fake, drain: Drain, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each that was not told is a row, and not one of them costs the patience of all."""
    tried: list[str] = []

    def gone(_: object, name: str, *_more: object) -> None:
        tried.append(name)
        raise Refused(0, "no answer from the API server", "")

    monkeypatch.setattr(Cluster, "patch_node", gone)
    monkeypatch.setattr(Cluster, "node", gone)
    code, out, _ = drain(*(at(bad(f"n{n}")) for n in range(1, 9)), more=("--share", "100"))
    assert (code, sorted(set(tried))) == (1, ["n1", "n2", "n3"])
    assert out.count("not drained: no answer from the API server") == 3
    assert out.count("not drained: not tried: ") == 5
    assert not drained(fake)


def test_what_is_shown_is_what_is_kept_however_long(fake: Fake, drain: Drain) -> None:
    long = replace(bad("n1", "x" * 999).findings[0], rule="r" * 999)
    drain(at(replace(bad("n1"), findings=(long,))))
    assert condition(fake, "n1")["message"] == f"{state(fake, 'n1')['rule']}: {state(fake, 'n1')['reason']}"
    assert "n1  left alone: " in drain(at(good("n1"), -20))[1]  # and not put right each time


def test_a_report_from_before_the_node_is_of_another_machine(fake: Fake, drain: Drain) -> None:
    """A cloud that repairs a node gives the new machine the old one's name."""
    fake.nodes["n1"]["metadata"]["creationTimestamp"] = (NOW - timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    code, out, _ = drain(at(bad("n1"), -10))
    assert (code, drained(fake)) == (3, [])
    assert "n1  not known: its report is older than the node" in out
    assert drain(at(bad("n1"), -1))[0] == 0
    assert drained(fake) == ["n1"]


def test_what_somebody_else_has_decided_stays(fake: Fake, drain: Drain) -> None:
    fake.nodes["n1"]["spec"]["taints"] = [OURS]  # by hand
    assert "n1  left alone: it has our mark and no state of ours" in drain(at(good("n1"), 1))[1]
    assert "n11  drained: " in drain(at(bad("n11")), more=("--share", "30"))[1]
    assert fake.nodes["n11"]["spec"]["unschedulable"] is True
    for minute in (1, 2):
        out = drain(at(good("n11"), minute), more=("--share", "30"))[1]
    assert "n11  given back: 2 clean reports in a row after pci.gpu-present: GPU 3 of 8 is lost, and is cordoned" in out
    assert fake.nodes["n11"]["spec"] == {"unschedulable": True}
    drain(at(bad("n5"), -5), more=("--share", "30"))
    fake.nodes["n5"]["spec"]["taints"] = [MINE]  # taken away by hand
    assert "n5  left alone: somebody has put it back since that report" in drain(at(bad("n5"), -5))[1]
    assert "n5  put right: its mark is gone" in drain(at(good("n5"), -4))[1]
    assert condition(fake, "n5")["status"] == "False"
    assert "gpucheck/verdict" not in fake.nodes["n5"]["metadata"]["labels"]


def test_bad_input(fake: Fake, gpucheck: Gpucheck, tmp_path: Path) -> None:
    where = write(tmp_path / "r", at(good("n1")))
    for words, sentence in (
        (("--engine", "kubernetes"), "no reports were given"),
        ((where, "--engine", "kubernetes", "-O", "imag=x"), "no option 'imag'"),
        ((where, "--engine", "kubernetes", "-O", "resource=a b"), "resource is 'a b'"),
        ((where, "--engine", "slurm", "--render"), "has no manifests"),
    ):
        code, _, err = gpucheck("fleet", "drain", *words)
        assert (code, sentence in err) == (2, True), err
    assert not fake.asked


def test_the_role_is_its_own_and_what_the_official_schemas_want(gpucheck: Gpucheck, fake: Fake) -> None:
    code, out, _ = gpucheck("fleet", "drain", "--engine", "kubernetes", "-O", "namespace=ops", "--render")
    made = list(yaml.safe_load_all(out))
    assert (code, fake.asked) == (0, [])
    assert [each["kind"] for each in made] == ["ServiceAccount", "ClusterRole", "ClusterRoleBinding"]
    assert (made[0]["metadata"]["namespace"], made[2]["subjects"][0]["namespace"]) == ("ops", "ops")
    for each in made:
        kubernetes_validate.validate(each, "1.37", strict=True)
    assert "patch" not in kubernetes_manifests.text(kubernetes_manifests.access("x"))


def test_a_node_that_is_out_by_us_is_asked_all_the_same() -> None:
    told = kubernetes_manifests.options(Asked(command=("doctor",), options={"image": "x"}))
    assert kubernetes_manifests.tolerated(told) == ("nvidia.com/gpu", "gpucheck/unhealthy")


@pytest.mark.parametrize(("rule", "value"), [
    ("nvml.no-row-remap-pending", "nvml.no-row-remap-pending"), ("kernel_log.x", "kernel_log.x"), ("", "failed"),
    ("-ä b/c.", "b-c"), ("a" * 62 + "-b", "a" * 62),
])  # fmt: skip
def test_a_rule_made_fit_for_a_taint(rule: str, value: str) -> None:
    assert kubernetes_drain.value(rule) == value
