"""The hooks of a node: drained and resumed as told, never flapping, never another's, never too many.

Against tests/fakeslurm, which answers as Slurm 24.11.5 did; the machines are those of tests/machines.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from gpucheck import hooks
from gpucheck.cli import fleet_node
from gpucheck.facts import Facts
from gpucheck.hooks import look, memory, node, scheduler
from gpucheck.hooks.look import Sight
from gpucheck.hooks.memory import Memory
from gpucheck.hooks.node import Decision, Limits
from gpucheck.host import CannotLook, Local, Recorded
from gpucheck.model import Failure, Finding, Report, Severity, Status
from gpucheck.rules import HOST_RULES

ROOT = Path(__file__).parents[1]
MACHINES = ROOT / "tests" / "machines"
Gpucheck = Callable[..., tuple[int, str, str]]
WELL = Sight(failed=False, sentence="27 of 28 rules hold")
BAD = Sight(failed=True, sentence="nvml.no-row-remap-pending: a row waits for a reset on GPU 5")
GONE = Sight(failed=True, sentence="kernel_log.no-gpu-off-the-bus: off the bus: Xid 79", fatal=True)
NONE = Sight(failed=True, sentence="pci.gpu-present: there is no NVIDIA GPU on the PCI bus", absent=True)
DARK = Sight(failed=None, sentence="nvml.answers: did not answer within 4 s")


class Cluster:
    """The folder that tests/fakeslurm reads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "nodes").mkdir(parents=True)
        self.config = folder / "config"
        self.config.write_text("Prolog                  = (null)\n")

    def set(self, name: str, state: str = "IDLE", reason: str = "none", gres: str = "gpu:h100:8", at: int = 0) -> None:
        (self.folder / "nodes" / name).write_text(f"{state}\n{gres}\n{at or 'Unknown'}\n{reason}\n")

    def state(self, name: str) -> str:
        return (self.folder / "nodes" / name).read_text().splitlines()[0]

    def reason(self, name: str) -> str:
        return (self.folder / "nodes" / name).read_text().splitlines()[3]

    def drained(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "nodes").glob("[!.]*") if "DRAIN" in self.state(path.name))

    def calls(self) -> list[str]:
        """Since the last time."""
        file = self.folder / "calls"
        said = file.read_text().splitlines() if file.exists() else []
        file.write_text("")
        return said


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    programs = tmp_path / "slurm-bin"
    programs.mkdir()
    for name in ("scontrol", "sinfo"):
        (programs / name).symlink_to(ROOT / "tests" / "fakeslurm" / "slurm")
    made = Cluster(tmp_path / "cluster")
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_SLURM", str(made.folder))
    for number in range(4):
        made.set(f"n{number}")
    return made


class Hooked:
    """A node that remembers; called with a sight, it is what the hook does."""

    def __init__(self, name: str = "n1", limits: Limits | None = None, *, dry: bool = False) -> None:
        self.name, self.limits, self.dry = name, limits or Limits(), dry
        self.memory = Memory()

    def __call__(self, sight: Sight, moment: str = node.PERIODIC) -> Decision:
        counted = memory.counted(self.memory, sight, enough=self.limits.failures, periodic=moment == node.PERIODIC)
        at = node.Slurm(
            host=Local(), name=self.name, limits=self.limits, keep=self._keep, dry=self.dry, pause=lambda _: None
        )
        decision = node.slurm(at, counted, sight, moment)
        self._keep(decision.memory)
        return decision

    def _keep(self, now: Memory) -> None:
        if not self.dry:
            self.memory = now


# --- what Slurm is told ---


def test_a_healthy_node_asks_slurm_nothing(cluster: Cluster) -> None:
    hooked = Hooked()
    for moment in (node.PROLOG, node.EPILOG, node.PERIODIC):
        assert not hooked(WELL, moment).out
    assert cluster.calls() == []


def test_one_failure_is_not_enough_and_two_are(cluster: Cluster) -> None:
    hooked = Hooked()
    assert not hooked(BAD).out
    assert cluster.calls() == []
    assert hooked(BAD).out
    assert cluster.drained() == ["n1"]
    assert cluster.reason("n1") == f"gpucheck: {BAD.sentence} (by its hook)"


def test_it_does_not_flap(cluster: Cluster) -> None:
    hooked = Hooked()
    for sight in (BAD, WELL) * 5:
        hooked(sight)
    assert cluster.drained() == []
    hooked(BAD)
    hooked(BAD)
    for sight in (WELL, WELL, BAD) * 3:
        hooked(sight)
        assert cluster.drained() == ["n1"]


def test_what_is_off_the_bus_is_drained_at_once(cluster: Cluster) -> None:
    assert Hooked()(GONE, node.EPILOG).out
    assert cluster.drained() == ["n1"]


def test_it_is_resumed_after_clean_looks(cluster: Cluster) -> None:
    hooked = Hooked()
    hooked(GONE)
    cluster.calls()
    for moment in (node.EPILOG, node.PERIODIC, node.PERIODIC, node.EPILOG, node.EPILOG):
        assert hooked(WELL, moment).memory.reason  # jobs that end at the same moment are not many clean looks
    assert cluster.calls() == []
    assert "resumed n1" in hooked(WELL).sentence
    assert cluster.state("n1") == "IDLE"
    assert hooked.memory.reason is None


def test_a_gpu_that_is_gone_is_none_that_is_well(cluster: Cluster) -> None:
    """After the reboot nothing complains of a GPU that the bus does not have any more."""
    hooked = Hooked()
    hooked(replace(WELL, gpus=8))
    hooked(replace(GONE, gpus=8))
    assert cluster.drained() == ["n1"]
    for _ in range(4):
        said = hooked(replace(WELL, gpus=7)).sentence
    assert "n1 is not resumed: 7 of 8 GPUs are on the bus" in said
    assert cluster.drained() == ["n1"]
    for _ in range(3):
        said = hooked(replace(WELL, gpus=8)).sentence
    assert said.startswith("resumed n1 after 3 clean looks")
    hooked(replace(WELL, gpus=7))  # who takes one out on purpose, in service
    hooked(replace(GONE, gpus=7))
    for _ in range(3):
        said = hooked(replace(WELL, gpus=7)).sentence
    assert said.startswith("resumed n1")


def test_unknown_is_neither(cluster: Cluster) -> None:
    hooked = Hooked()
    for _ in range(9):
        assert not hooked(DARK).out
    assert cluster.calls() == []
    hooked(BAD)
    hooked(DARK)
    assert hooked(BAD).out
    for sight in (WELL, WELL, DARK, DARK):
        assert hooked(sight).memory.reason
    assert hooked(WELL).memory.reason is None


@pytest.mark.parametrize("state", ["IDLE+DRAIN", "MIXED+DRAIN", "DOWN", "DOWN*+DRAIN"])
@pytest.mark.parametrize("reason", ["disk swap", "none", "gpucheck: compute.kernel-correct: 3 of 9 wrong"])
def test_another_s_decision_is_never_touched(cluster: Cluster, state: str, reason: str) -> None:
    cluster.set("n1", state, reason)
    hooked = Hooked()
    assert hooked(GONE).out
    for sight in (GONE, WELL, WELL, WELL, WELL):
        hooked(sight)
    assert (cluster.state("n1"), cluster.reason("n1")) == (state, reason)
    assert not any("update" in call for call in cluster.calls())


@pytest.mark.parametrize("reason", ["waits for the vendor", "gpucheck: compute.kernel-correct: 3 of 9 wrong"])
def test_a_reason_that_was_changed_meanwhile_is_not_ours(cluster: Cluster, reason: str) -> None:
    hooked = Hooked()
    hooked(GONE)
    cluster.set("n1", "IDLE+DRAIN", reason)
    sentences = [hooked(WELL).sentence for _ in range(5)]
    assert reason in sentences[2]
    assert cluster.drained() == ["n1"]


class Between(Local):
    """Somebody drains n1 between the look at it and what Slurm is told then; `refused`: later it takes nothing."""

    def __init__(self, cluster: Cluster, told: str, refused: bool = False) -> None:
        super().__init__()
        self.cluster, self.told, self.refused = cluster, told, refused

    def run(self, argv, timeout=5.0):  # type: ignore[no-untyped-def]
        if self.told in argv:
            self.cluster.set("n1", "IDLE+DRAIN", "disk swap")
        done = super().run(argv, timeout)
        if self.told in argv and self.refused:
            (self.cluster.folder / "refused").write_text("slurm_update error: Invalid user id\n")
        return done


def test_a_drain_between_our_look_and_our_resume_is_put_back(cluster: Cluster) -> None:
    hooked = Hooked()
    hooked(GONE)
    at = node.Slurm(host=Between(cluster, "State=RESUME"), name="n1", limits=Limits(), keep=lambda _: None)
    decision = node.slurm(at, replace(hooked.memory, clean=3), WELL, node.PERIODIC)
    assert (cluster.state("n1"), cluster.reason("n1")) == ("IDLE+DRAIN", "disk swap")
    assert decision.sentence == "n1 is not resumed: it was drained for 'disk swap' just then"
    assert decision.memory.reason is None


def test_a_drain_that_cannot_be_put_back_is_told(cluster: Cluster) -> None:
    hooked = Hooked()
    hooked(GONE)
    host = Between(cluster, "State=RESUME", refused=True)
    at = node.Slurm(host=host, name="n1", limits=Limits(), keep=lambda _: None)
    said = node.slurm(at, replace(hooked.memory, clean=3), WELL, node.PERIODIC).sentence
    assert "it was drained for 'disk swap' just then, which cannot be put back: this user may not" in said


def test_who_steps_back_leaves_another_s_drain(cluster: Cluster) -> None:
    assert Hooked("n0")(GONE).out
    cluster.set("n0", reason=cluster.reason("n0"))

    def taken(_: float) -> None:  # while it waits for the others, one was sooner
        cluster.set("n0", "IDLE+DRAIN", cluster.reason("n0"), at=1)

    at = node.Slurm(host=Between(cluster, "State=RESUME"), name="n1", limits=Limits(), keep=lambda _: None, pause=taken)
    decision = node.slurm(at, Memory(failures=2), GONE, node.PERIODIC)
    assert (cluster.state("n1"), cluster.reason("n1"), decision.out) == ("IDLE+DRAIN", "disk swap", True)
    assert "drained for 'disk swap' just then" in decision.sentence


def test_a_lost_memory_begins_anew_from_its_hook_s_own_reason(cluster: Cluster) -> None:
    Hooked()(GONE)
    anew = Hooked()
    anew.memory = Memory(lost=True)
    assert not anew(WELL, node.EPILOG).memory.reason  # jobs that end burden Slurm with no question
    assert "1 of 3 clean looks" in anew(WELL).sentence
    anew(BAD)  # and it counts from 0
    assert [cluster.drained() for _ in range(3) if anew(WELL)] == [["n1"], ["n1"], []]


def test_a_lost_memory_waits_until_slurm_answers(cluster: Cluster) -> None:
    Hooked()(GONE)
    anew = Hooked()
    anew.memory = Memory(lost=True)
    (cluster.folder / "down").touch()
    assert anew(WELL).memory.lost
    (cluster.folder / "down").unlink()
    assert "2 of 3 clean looks" in anew(WELL).sentence
    cluster.set("n2")
    other = Hooked("n2")
    other.memory = Memory(lost=True)
    cluster.calls()
    assert [other(WELL).sentence for _ in range(3)] == [f"ok: {WELL.sentence}"] * 3
    assert len(cluster.calls()) == 1  # it was asked once


@pytest.mark.parametrize(
    "reason",
    [
        "gpucheck: nvml.no-row-remap-pending: a row",  # of `gpucheck fleet drain`, or of a person
        "gpucheck: compute.kernel-correct: 3 of 9 wrong (by its hook)",  # no look of a hook could see that it is well
        "gpucheck: (by its hook)", "gpucheck:", "mine (by its hook)", "none",
    ],
)  # fmt: skip
def test_a_reason_that_is_no_hook_s_is_not_recalled(cluster: Cluster, reason: str) -> None:
    cluster.set("n1", "IDLE+DRAIN", reason)
    anew = Hooked()
    anew.memory = Memory(lost=True)
    for _ in range(5):
        anew(WELL)
    assert (cluster.drained(), cluster.reason("n1")) == (["n1"], reason)


def test_a_long_reason_still_says_whose_it_is(cluster: Cluster) -> None:
    Hooked()(Sight(failed=True, sentence=f"driver.installed: {'x' * 999}", fatal=True))
    assert len(cluster.reason("n1")) == scheduler.LONGEST
    assert scheduler.rule_of(cluster.reason("n1")) == "driver.installed"


@pytest.mark.usefixtures("cluster")
def test_a_node_without_a_disk_is_given_back(gpucheck: Gpucheck, tmp_path: Path) -> None:
    def look(machine: str, state: str) -> str:
        recording = MACHINES / machine / "recording.json"
        asked = ("fleet", "node", "--for", "slurm", "--node", "n1", "--state", tmp_path / state, "--from", recording)
        return gpucheck(*asked)[1]

    assert "drained n1" in look("gpu-off-the-bus-xid-79", "ram")
    said = [look("h100x8-healthy", "ram-after-its-boot") for _ in range(3)]
    assert "1 of 3 clean looks" in said[0]
    assert said[2].startswith("resumed n1 after 3 clean looks: gpucheck: kernel_log.no-gpu-off-the-bus")


@pytest.mark.parametrize("ended", [CannotLook("scontrol update did not answer within 5 s"), KeyboardInterrupt()])
def test_a_drain_of_which_nobody_heard_is_remembered(cluster: Cluster, ended: BaseException) -> None:
    class Slow(Local):
        def run(self, argv, timeout=5.0):  # type: ignore[no-untyped-def]
            result = super().run(argv, timeout)
            if "update" in argv:
                raise ended
            return result

    kept: list[Memory] = []
    at = node.Slurm(host=Slow(), name="n1", limits=Limits(), keep=kept.append, pause=lambda _: None)
    with suppress(KeyboardInterrupt):
        assert node.slurm(at, Memory(failures=2), GONE, node.PERIODIC).memory == kept[-1]
    hooked = Hooked()
    hooked.memory = kept[-1]
    for _ in range(3):
        hooked(WELL)
    assert cluster.drained() == []


def test_a_node_that_is_down_too_is_not_resumed(cluster: Cluster) -> None:
    hooked = Hooked()
    hooked(GONE)
    cluster.set("n1", "DOWN+DRAIN", cluster.reason("n1"))
    for _ in range(5):
        hooked(WELL)
    assert cluster.state("n1") == "DOWN+DRAIN"
    cluster.set("n1", "IDLE+DRAIN", cluster.reason("n1"))
    hooked(WELL)
    assert cluster.state("n1") == "IDLE"


def test_who_was_resumed_by_hand_and_still_fails_is_drained_again(cluster: Cluster) -> None:
    hooked = Hooked()
    hooked(GONE)
    cluster.set("n1")
    assert hooked(GONE).out
    assert cluster.drained() == ["n1"]


@pytest.mark.parametrize(("nodes", "most"), [(1, 1), (4, 1), (39, 1), (40, 2), (1000, 50)])
def test_the_share(nodes: int, most: int) -> None:
    assert scheduler.most(nodes, 5.0) == most
    assert scheduler.most(nodes, 0) == 1


def test_no_more_than_the_share(cluster: Cluster) -> None:
    for number in range(4, 20):
        cluster.set(f"n{number}")
    decisions = [Hooked(f"n{number}", Limits(share=10))(GONE) for number in range(6)]
    assert len(cluster.drained()) == 2
    assert [decision.out for decision in decisions].count(True) == 2
    assert "2 of 20 nodes are drained by gpucheck, and at most 2 may be (10 %)" in decisions[-1].sentence
    cluster.set("n9", "IDLE+DRAIN", "disk swap")  # another's drain is not counted
    cluster.set("n0", "IDLE", cluster.reason("n0"))  # nor a reason that outlived its drain
    assert Hooked("n7", Limits(share=10))(GONE).out


def test_all_at_the_same_moment(cluster: Cluster, tmp_path: Path) -> None:
    """Each finds nobody drained and drains itself; who came too late by Slurm's own clock steps back."""
    machine = MACHINES / "gpu-off-the-bus-xid-79" / "recording.json"
    command = [
        sys.executable,
        "-m",
        "gpucheck",
        "fleet",
        "node",
        "--for",
        "slurm",
        "--state",
        tmp_path,
        "--from",
        machine,
    ]
    runs = [
        subprocess.Popen([*map(str, command), "--node", f"n{n}"], stdout=subprocess.PIPE, text=True) for n in range(4)
    ]
    said = [run.communicate()[0] for run in runs]
    assert len(cluster.drained()) == 1, said
    assert sorted(run.returncode for run in runs) == [0, 0, 0, 1]
    remembered = [json.loads((tmp_path / f"slurm-n{n}.json").read_text())["reason"] for n in range(4)]
    assert [f"n{n}" for n in range(4) if remembered[n]] == cluster.drained()


def test_who_cannot_count_the_others_steps_back(cluster: Cluster) -> None:
    answers = iter([None, CannotLook("sinfo did not answer within 5 s")])

    class Overrun(Local):
        def run(self, argv, timeout=5.0):  # type: ignore[no-untyped-def]
            answer = next(answers) if argv[-1].startswith("%N") else None
            if answer:
                raise answer
            return super().run(argv, timeout)

    at = node.Slurm(host=Overrun(), name="n1", limits=Limits(), keep=lambda _: None, pause=lambda _: None)
    decision = node.slurm(at, Memory(failures=2), GONE, node.PERIODIC)
    assert not decision.out
    assert cluster.drained() == []
    assert decision.memory.reason is None


def test_dry(cluster: Cluster) -> None:
    hooked = Hooked(dry=True)
    assert "would drain n1: gpucheck: kernel_log" in hooked(GONE).sentence
    hooked.memory = Memory(reason="gpucheck: x: y", clean=7)
    cluster.set("n1", "IDLE+DRAIN", "gpucheck: x: y")
    assert "would resume n1" in hooked(WELL).sentence
    assert not any("update" in call for call in cluster.calls())


def test_a_node_without_gpus_is_well_where_slurm_expects_none(cluster: Cluster) -> None:
    cluster.set("n1", gres="(null)")
    hooked = Hooked()
    assert not hooked(NONE).out
    assert "expects none" in hooked(NONE).sentence
    cluster.calls()
    for _ in range(3):
        assert not hooked(NONE, node.PROLOG).out
    assert cluster.calls() == []  # and its jobs do not ask again
    cluster.set("n1", gres="gpu:2,shard:8")
    hooked(NONE)
    assert hooked(NONE).out


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("down", "", "Unable to contact slurm controller"),
        ("refused", "slurm_update error: Invalid user id\n", "this user may not tell Slurm"),
    ],
)
def test_slurm_says_no(cluster: Cluster, file: str, text: str, said: str) -> None:
    (cluster.folder / file).write_text(text)
    hooked = Hooked()
    decision = hooked(GONE)
    assert said in decision.sentence
    assert not decision.out  # a Prolog that failed now would be drained by Slurm, whatever the share
    (cluster.folder / file).unlink()
    assert hooked(GONE).out


def test_a_name_that_slurm_does_not_have(cluster: Cluster) -> None:
    assert "Node n9 not found" in Hooked("n9")(GONE).sentence
    assert cluster.drained() == []


def test_a_reason_is_a_line(cluster: Cluster) -> None:
    hooked = Hooked()
    hooked(Sight(failed=True, fatal=True, sentence=f'a.b: x\n   Reason=none\x1b[2J | "q" {"z" * 999}'))
    assert cluster.reason("n1").startswith('gpucheck: a.b: x Reason=none [2J | "q" zzz')
    assert len(cluster.reason("n1")) == scheduler.LONGEST
    for _ in range(3):
        hooked(WELL)
    assert cluster.drained() == []


def test_a_prolog_looks_again_for_the_job_that_waits() -> None:
    def looked(*sights: Sight) -> int:
        waiting = iter(sights)
        return len(node.looks(lambda: next(waiting), node.PROLOG, Limits(failures=3), lambda _: None))

    assert looked(WELL) == 1
    assert looked(GONE) == 1
    assert looked(NONE) == 1
    assert looked(BAD, WELL) == 2
    assert looked(BAD, DARK) == 2
    assert looked(BAD, BAD, BAD, BAD) == 3
    assert len(node.looks(lambda: BAD, node.EPILOG, Limits(), lambda _: None)) == 1


# --- what is seen ---


def test_the_profile_is_of_rules_that_are_there_and_that_it_asks_for() -> None:
    rules = {rule.id: rule for rule in HOST_RULES}
    assert set(rules) >= look.PROFILE
    assert look.FATAL <= look.PROFILE
    for name in look.PROFILE:
        assert rules[name].severity is Severity.ERROR
        needed = {subject.__name__ for subject, optional in rules[name].needs.values() if not optional}
        assert needed <= {"Compat", *(subject.__name__ for subject in look.SUBJECTS)}, name


@pytest.mark.parametrize(
    ("machine", "failed", "rule"),
    [
        ("h100x8-healthy", False, ""),
        ("t4-ubuntu2204-healthy", False, ""),
        ("h200-at-work", False, ""),
        ("xid-31-of-a-program", False, ""),
        ("gpu-off-the-bus-xid-79", True, "kernel_log.no-gpu-off-the-bus"),
        ("gpu-fell-off-the-bus-1-of-8", True, "pci.every-gpu-usable"),
        ("h100x8-row-remap-failed", True, "nvml.memory-repairable"),
        ("driver-library-mismatch", True, "driver.libraries-match"),
        ("debian12-no-gpu", True, "pci.gpu-present"),
    ],
)
def test_the_look(machine: str, failed: bool, rule: str) -> None:
    sight = look.look(Recorded.load(MACHINES / machine / "recording.json"))
    assert sight.failed is failed, sight
    assert sight.sentence.startswith(rule)
    assert sight.fatal == (rule in look.FATAL)


def test_a_warning_and_an_unknown_are_no_failure() -> None:
    def sight(*of: tuple[Severity, Status]) -> Sight:
        findings = tuple(Finding(rule="a.b", title="", severity=s, status=st, message="m") for s, st in of)
        return look.judged(
            Report(tool="", when="", host="", command="", facts=Facts(known={}, unknown={}), findings=findings)
        )

    assert sight((Severity.WARNING, Status.FAIL), (Severity.ERROR, Status.PASS)).failed is False
    assert sight((Severity.ERROR, Status.UNKNOWN), (Severity.ERROR, Status.PASS)).failed is None
    assert sight((Severity.ERROR, Status.UNKNOWN), (Severity.ERROR, Status.FAIL)).failed is True
    assert sight((Severity.ERROR, Status.SKIP)).failed is None


def test_the_job_s_variables_are_not_the_node_s() -> None:
    environment = {"SLURM_JOB_ID": "2", "SLURMD_NODENAME": "n1", "SLURM_CONF": "/x", "CUDA_VISIBLE_DEVICES": "0"}
    look.forget_the_job(environment)
    assert environment == {"SLURMD_NODENAME": "n1", "SLURM_CONF": "/x"}


# --- where nobody is told ---


def test_npd_is_told_after_failures_until_clean_looks() -> None:
    now, outs = Memory(), []
    for sight in (NONE, WELL, BAD, WELL, BAD, DARK, BAD, DARK, WELL, WELL, BAD, WELL, WELL, WELL, NONE, NONE):
        now = memory.counted(now, sight, enough=2, periodic=True)
        decision = node.local(now, sight, Limits())
        now = decision.memory
        outs.append(decision.out)
    assert outs == [False] * 6 + [True] * 7 + [False, False, True]  # the last: there was a GPU before


def test_npd_gets_one_short_line(gpucheck: Gpucheck, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = MACHINES / "h100x8-row-remap-pending" / "recording.json"
    asked = ("fleet", "node", "--for", "npd", "--state", tmp_path / "state", "--from", machine)
    assert [gpucheck(*asked)[0] for _ in range(2)] == [0, 1]
    code, out, err = gpucheck(*asked)
    assert (code, err) == (1, "")
    assert len(out.splitlines()) == 1
    assert len(out.strip()) <= 80
    monkeypatch.setattr(look, "look", lambda _: DARK)
    state = tmp_path / "other"
    assert gpucheck("fleet", "node", "--for", "npd", "--state", state)[0] == 2
    assert gpucheck("fleet", "node", "--for", "systemd", "--state", state)[0] == 3


# --- what is remembered ---


@pytest.mark.parametrize(
    "torn", ["", "{", "[]", '{"failures": "2"}', '{"failures": -1}', '{"a": 1}', "\0" * 99, "[" * 99999]
)
def test_a_torn_memory_is_none_and_is_told(gpucheck: Gpucheck, tmp_path: Path, cluster: Cluster, torn: str) -> None:
    cluster.set("n1", "IDLE+DRAIN", "gpucheck: x: y")
    (tmp_path / "slurm-n1.json").write_text(torn)
    machine = MACHINES / "h100x8-healthy" / "recording.json"
    asked = ("fleet", "node", "--for", "slurm", "--node", "n1", "--state", tmp_path, "--from", machine, "--clean", "1")
    code, out, err = gpucheck(*asked)
    assert (code, out[:3]) == (0, "ok:")
    assert "is not whole, so nothing is remembered" in err
    assert gpucheck(*asked)[2] == ""
    assert cluster.drained() == ["n1"]


def test_only_one_decides_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "x.json"

    def once() -> None:
        with memory.held(file):
            now, _ = memory.read(file)
            memory.write(file, Memory(failures=now.failures + 1))

    threads = [threading.Thread(target=once) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert memory.read(file) == (Memory(failures=8), None)
    monkeypatch.setattr(memory, "WAIT", 0.1)
    with memory.held(file), pytest.raises(Failure, match="another run"), memory.held(file):
        pass


def test_a_place_that_cannot_be_written(gpucheck: Gpucheck, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, out, err = gpucheck("fleet", "node", "--for", "npd", "--state", tmp_path / "file" / "x")
    assert (code, out) == (3, "")
    assert "cannot be used" in err


# --- the files ---

every = pytest.mark.parametrize("kind", hooks.KINDS)


def installed(gpucheck: Gpucheck, kind: str, root: Path, *more: str | Path) -> tuple[int, str, str]:
    program = root.parent / "gpucheck"
    if not program.exists():
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m gpucheck "$@"\n')
        program.chmod(0o755)
    return gpucheck("fleet", "hooks", kind, "--root", root, "--gpucheck", program, *(more or ("--install",)))


def there(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@every
def test_installed_and_gone_again(gpucheck: Gpucheck, tmp_path: Path, kind: str) -> None:
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "passwd").write_text("root")
    for _ in range(2):  # again is no fault
        code, out, err = installed(gpucheck, kind, root)
        assert (code, err) == (0, "")
    for _, path, mode in hooks.KINDS[kind]:
        assert str(root / path) in out
        assert stat.S_IMODE((root / path).stat().st_mode) == mode
        assert b"@" not in (root / path).read_bytes()
    other = next(name for name in hooks.KINDS if name != kind)
    assert installed(gpucheck, other, root)[0] == 0
    code, out, err = installed(gpucheck, kind, root, "--uninstall")
    assert (code, err) == (0, "")
    assert sorted(there(root)) == sorted(
        ["etc/passwd", f"etc/gpucheck/hooks/{other}.json", *(path for _, path, _ in hooks.KINDS[other])]
    )
    assert installed(gpucheck, other, root, "--uninstall")[0] == 0
    assert there(root) == {"etc/passwd": b"root"}
    code, _, err = installed(gpucheck, kind, root, "--uninstall")
    assert code == 2
    assert "is not installed" in err


@every
def test_printed_is_what_is_installed(gpucheck: Gpucheck, tmp_path: Path, kind: str) -> None:
    installed(gpucheck, kind, tmp_path / "root")
    before = there(tmp_path)
    code, out, _ = installed(gpucheck, kind, tmp_path / "root", "--print")
    assert code == 0
    assert there(tmp_path) == before
    for _, path, _ in hooks.KINDS[kind]:
        assert (tmp_path / "root" / path).read_text() in out


@every
def test_nothing_of_another_s_is_overwritten_or_removed(gpucheck: Gpucheck, tmp_path: Path, kind: str) -> None:
    root = tmp_path / "root"
    *_, (_, path, _) = hooks.KINDS[kind]
    (root / path).parent.mkdir(parents=True)
    (root / path).write_text("mine\n")
    code, _, err = installed(gpucheck, kind, root)
    assert code == 2
    assert "is there already, and is not ours; nothing was written" in err
    assert there(root) == {path: b"mine\n"}
    (root / path).unlink()
    (root / path).symlink_to("/etc/passwd")
    assert installed(gpucheck, kind, root)[0] == 2
    (root / path).unlink()
    installed(gpucheck, kind, root)
    (root / path).write_text((root / path).read_text() + "# changed\n")
    assert "was changed since we wrote it" in installed(gpucheck, kind, root)[2]
    code, _, err = installed(gpucheck, kind, root, "--uninstall")
    assert code == 1
    assert "was changed since it was written, so it stays" in err
    assert list(there(root)) == [path]


def test_a_later_version_replaces_ours(gpucheck: Gpucheck, tmp_path: Path) -> None:
    installed(gpucheck, "systemd", tmp_path / "root")
    code, _, _ = gpucheck(
        "fleet",
        "hooks",
        "systemd",
        "--root",
        tmp_path / "root",
        "--gpucheck",
        "/opt/gpucheck/bin/gpucheck",
        "--install",
    )
    assert code == 0
    assert b"/opt/gpucheck" in there(tmp_path / "root")["etc/systemd/system/gpucheck-node.service"]
    assert installed(gpucheck, "systemd", tmp_path / "root", "--uninstall")[0] == 0
    assert there(tmp_path / "root") == {}


@pytest.mark.parametrize("command", ["gpucheck", "/a b'; rm", "/x $(y)", "/x %h", ""])
def test_a_command_that_a_script_cannot_have(gpucheck: Gpucheck, tmp_path: Path, command: str) -> None:
    code, _, err = gpucheck("fleet", "hooks", "npd", "--root", tmp_path, "--gpucheck", command, "--install")
    assert (code, there(tmp_path)) == (2, {})
    assert len(err.splitlines()) == 2


def test_a_prolog_that_slurm_still_calls_stays(gpucheck: Gpucheck, cluster: Cluster) -> None:
    cluster.config.write_text("Prolog                  = /usr/local/libexec/gpucheck/slurm-prolog\n")
    code, _, err = gpucheck("fleet", "hooks", "slurm-prolog", "--uninstall")
    assert code == 2
    assert "slurm.conf still calls" in err


def run(script: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """As slurmd does: without a search path."""
    kept = {name: os.environ[name] for name in ("FAKE_SLURM", "PYTHONPATH") if name in os.environ}
    return subprocess.run(["sh", script], env={**kept, **environment}, capture_output=True, text=True, cwd=ROOT)


def test_the_scripts_of_slurm(gpucheck: Gpucheck, cluster: Cluster, tmp_path: Path) -> None:
    root = tmp_path / "root"
    for kind in ("slurm-prolog", "slurm-epilog", "slurm-health"):
        installed(gpucheck, kind, root)
    scripts = {kind: root / hooks.PROGRAMS / f"slurm-{kind}" for kind in ("prolog", "epilog", "health")}

    def did(kind: str, machine: str) -> tuple[int, str]:
        options = f"--clean 1 --state {tmp_path}/state --from {MACHINES}/{machine}/recording.json"
        done = run(scripts[kind], SLURMD_NODENAME="n2", SLURM_JOB_ID="7", GPUCHECK_NODE=options)
        assert done.stdout == ""
        return done.returncode, done.stderr

    assert did("prolog", "h100x8-healthy") == (0, "")
    assert cluster.calls() == []
    code, said = did("epilog", "h100x8-row-remap-pending")
    assert (code, cluster.drained()) == (0, [])
    assert "1 of 2 failures in a row" in said
    code, said = did("prolog", "h100x8-row-remap-pending")
    assert (code, cluster.drained()) == (1, ["n2"])
    assert "drained n2: gpucheck: nvml.no-row-remap-pending" in said
    assert did("health", "h100x8-healthy")[0] == 0
    assert cluster.drained() == []


@pytest.mark.parametrize("broken", ["import nonsense_of_ours", "raise SystemExit(70)", "import os; os.abort()"])
def test_a_broken_gpucheck_stops_no_job(gpucheck: Gpucheck, cluster: Cluster, tmp_path: Path, broken: str) -> None:
    root = tmp_path / "root"
    program = tmp_path / "gpucheck"
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{broken}'\n")
    program.chmod(0o755)
    codes = []
    for kind in ("slurm-prolog", "slurm-epilog", "slurm-health", "npd"):
        installed(gpucheck, kind, root)
        codes.append(run(root / hooks.PROGRAMS / kind).returncode)
    assert codes == [0, 0, 0, 2]
    assert cluster.calls() == []


def test_the_plugin_of_npd(gpucheck: Gpucheck, tmp_path: Path) -> None:
    installed(gpucheck, "npd", tmp_path / "root")
    written = json.loads((tmp_path / "root" / hooks.NPD_CONFIG).read_text())
    # kubernetes/node-problem-detector, pkg/custompluginmonitor/types/{config,types}.go: Validate and its fields
    assert written["plugin"] == "custom"
    assert set(written) <= {"plugin", "pluginConfig", "source", "conditions", "rules", "metricsReporting"}
    assert set(written["pluginConfig"]) <= {
        "invoke_interval", "timeout", "max_output_length", "concurrency", "skip_initial_status",
        "enable_message_change_based_condition_update",
    }  # fmt: skip
    (rule,) = written["rules"]
    assert set(rule) <= {"type", "condition", "reason", "path", "args", "timeout"}
    assert [condition["type"] for condition in written["conditions"]] == [rule["condition"]]
    assert rule["timeout"] <= written["pluginConfig"]["timeout"]
    assert written["pluginConfig"]["max_output_length"] == 80
    options = f"--state {tmp_path}/state --from {MACHINES}/gpu-off-the-bus-xid-79/recording.json"
    done = run(tmp_path / "root" / rule["path"].lstrip("/"), GPUCHECK_NODE=options)
    assert done.returncode == 1
    assert done.stdout.startswith("kernel_log.no-gpu-off-the-bus: ")


@pytest.mark.parametrize("kind", ["systemd", "textfile"])
def test_systemd_understands_the_units(gpucheck: Gpucheck, tmp_path: Path, kind: str) -> None:
    installed(gpucheck, kind, tmp_path / "root")
    units = [tmp_path / "root" / path for _, path, _ in hooks.KINDS[kind]]
    try:
        done = subprocess.run(["systemd-analyze", "--man=no", "verify", *units], capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("no systemd-analyze here, so the units were not verified")
    assert (done.returncode, done.stderr) == (0, "")


# --- what a review found ---


def test_the_share_is_of_the_nodes_with_gpus(cluster: Cluster) -> None:
    for number in range(100):
        cluster.set(f"cpu{number}", gres="(null)")
    assert scheduler.drained_by_us(Local())[0] == 4
    assert Hooked("n0")(GONE).out
    assert "1 of 4 nodes are drained" in Hooked("n1")(GONE).sentence  # not 5 of 104, which were all that have GPUs


def test_a_cluster_that_will_be_rebooted_is_not_emptied_by_its_prologs(cluster: Cluster) -> None:
    cluster.set("n1", "MIXED+REBOOT_REQUESTED")
    assert not Hooked()(GONE, node.PROLOG).out  # Slurm would drain it by itself, beside the share
    cluster.set("n1", "MIXED+DRAIN+REBOOT_REQUESTED", "mine")
    assert Hooked()(GONE, node.PROLOG).out


@pytest.mark.usefixtures("cluster")
def test_a_reason_that_ends_with_a_quotation_mark_is_still_ours() -> None:
    hooked = Hooked()
    assert hooked(Sight(failed=True, sentence='driver.installed: it says "no"', fatal=True)).out
    assert [hooked(WELL).sentence for _ in range(3)][-1].startswith("resumed n1")


def test_a_name_that_means_every_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "_asked", lambda *_: "NodeName=n1 Arch=x86_64\n   State=IDLE ThreadsPerCore=1\n")
    assert scheduler.node(Local(), "n1").state == {"IDLE"}
    with pytest.raises(CannotLook, match="another node than ALL"):
        scheduler.node(Local(), "ALL")


def test_npd_s_line_is_80_bytes(capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("x" * 81, "é" * 41, "a" + "é" * 90, "x" * 80):
        fleet_node._told(Decision(memory=Memory(), sentence=text), "npd", WELL, dry=False)
        line = capsys.readouterr().out.rstrip("\n")
        assert len(line.encode()) <= 80
        assert line == text or line.endswith("…")
