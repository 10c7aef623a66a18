"""What `sinfo` tells of nodes, and which are asked: n1 to n3 as a real Slurm 24.11 has them, n4 and cloud1 made up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from gpucheck.fleets import slurm_home, slurm_nodes
from gpucheck.fleets.runs import Asked
from gpucheck.fleets.slurm_jobs import Task
from gpucheck.model import Failure

SINFO = """n1|gpu*|idle|gpu:h100:2|h100,rack1|n1|none
n2|gpu*|idle*|gpu:h100:2|h100,rack1|n2|Prolog error
n3|gpu*|drained|gpu:h100:2|h100,rack2|n3|bad | fan
n4|few|mixed|gpu:a100:1(S:0),gpu:t4:2(S:1),mps:100|(null)|box4|none
n4|gpu*|mixed|gpu:a100:1(S:0),gpu:t4:2(S:1),mps:100|(null)|box4|none
cloud1|few|idle~|(null)|(null)|cloud1|
no line of ours
"""


def hostnames(argv: Sequence[str]) -> str:
    """scontrol's part, for what needs no expansion."""
    assert argv[:3] == ("scontrol", "show", "hostnames")
    return argv[3].replace(",", "\n")


def names(*nodes: str, **options: str) -> list[str]:
    asked = Asked(command=(), nodes=nodes, options=options)
    return [node.name for node in slurm_nodes.chosen(asked, slurm_nodes.parse(SINFO), hostnames)]


def test_nodes_have_their_gpus_partitions_and_reasons() -> None:
    there = slurm_nodes.parse(SINFO)
    assert {name: node.gpus for name, node in there.items()} == {"n1": 2, "n2": 2, "n3": 2, "n4": 3, "cloud1": 0}
    assert there["n4"].partitions == ("gpu", "few")  # the default one first
    assert there["n3"].reason == "bad | fan"
    assert {name: node.host for name, node in there.items() if node.host != name} == {"n4": "box4"}


@pytest.mark.parametrize(("name", "busy", "why"), [
    ("n1", False, None),
    ("n2", True, "it is idle and does not respond"),  # the reason is of a drain that is over
    ("n3", True, "it is drained: bad | fan"),
    ("n4", False, "it is mixed, and only idle nodes were asked for (busy waits for it)"),
    ("n4", True, None),
    ("cloud1", True, "it is idle, powered down"),
])  # fmt: skip
def test_only_who_can_answer_is_asked(name: str, busy: bool, why: str | None) -> None:
    assert slurm_nodes.parse(SINFO)[name].unfit(busy) == why


@pytest.mark.parametrize(("state", "alone", "busy", "reserved", "told"), [  # asked: by default, with busy, in its own
    ("idle", True, True, True, "idle"), ("planned", True, True, True, "planned"),
    ("idle-", True, True, True, "idle, planned for another job"),
    ("mixed", False, True, True, "mixed"), ("mixed-", False, True, True, "mixed, planned for another job"),
    ("allocated", False, True, True, "allocated"), ("allocated+", False, True, True, "allocated, with jobs that end"),
    ("mixed@", False, True, True, "mixed, to be rebooted"), ("completing", False, True, True, "completing"),
    ("blocked", False, True, True, "blocked"),
    ("reserved", False, False, True, "reserved"),
    ("maint", False, False, True, "maint (in a reservation for maintenance)"),
    ("mixed$", False, False, True, "mixed, in a reservation for maintenance"),
    ("idle$", False, False, True, "idle, in a reservation for maintenance"),
    ("maint*", False, False, False, "maint (in a reservation for maintenance) and does not respond"),
    ("idle*", False, False, False, "idle and does not respond"), ("idle~", False, False, False, "idle, powered down"),
    ("idle#", False, False, False, "idle, powering up"), ("idle!", False, False, False, "idle, to be powered down"),
    ("idle%", False, False, False, "idle, powering down"),
    ("mixed^", False, False, False, "mixed, with a reboot on the way"),
    ("reboot", False, False, False, "reboot: why"),
    ("reboot^", False, False, False, "reboot, with a reboot on the way: why"),
    ("drained$", False, False, False, "drained, in a reservation for maintenance: why"),
    ("draining@", False, False, False, "draining, to be rebooted: why"),
    ("down~", False, False, False, "down, powered down: why"),
    ("fail", False, False, False, "fail: why"), ("failing*", False, False, False, "failing and does not respond: why"),
    ("inval", False, False, False, "inval (it has not what slurm.conf says): why"),
    ("future", False, False, False, "future (it is not set up yet): why"),
    ("perfctrs", False, False, False, "perfctrs (its network counters are in use): why"),
    ("unknown*", False, False, False, "unknown (slurmctld has just begun) and does not respond: why"),
    ("powering_down", False, False, False, "powering_down: why"), ("?", False, False, False, "?: why"),
])  # fmt: skip
def test_every_state_of_slurm_s_is_asked_or_told(
    state: str, alone: bool, busy: bool, reserved: bool, told: str
) -> None:
    """States and marks: sinfo(1) of 22.05 and 24.11; which go together: node_state_string() of Slurm 22.05."""
    node = slurm_nodes.parse(f"n1|gpu*|{state}|gpu:2|(null)|n1|why\n")["n1"]
    mine = replace(node, reserved=True)
    assert node.told == told
    assert [each is None for each in (node.unfit(False), node.unfit(True), mine.unfit(True))] == [alone, busy, reserved]
    for why in filter(None, (node.unfit(False), node.unfit(True), mine.unfit(True))):
        assert why.startswith(f"it is {told}")
    assert ("no reservation that was asked for" in (node.unfit(True) or "")) is (not alone and not busy and reserved)


RESERVED = """n1|gpu*|reserved|gpu:2|(null)|n1|none
n2|gpu*|maint|gpu:2|(null)|n2|none
n3|gpu*|idle|gpu:2|(null)|n3|none
n4|gpu*|reserved|gpu:2|(null)|n4|none
"""
RESERVATIONS = (  # slurm_sprint_reservation_info() of src/api/reservation_info.c, with one_liner
    "ReservationName=mine StartTime=2026-11-26T00:00:00 EndTime=2026-11-27T00:00:00 Duration=1-00:00:00 "
    "Nodes=n1,n2 NodeCnt=2 CoreCnt=8 Features=(null) PartitionName=gpu Flags=MAINT,SPEC_NODES TRES=cpu=8 "
    "Users=ana Groups=(null) Accounts=(null) Licenses=(null) State=ACTIVE BurstBuffer=(null) Watts=n/a\n"
    "ReservationName=spare StartTime=2026-11-26T00:00:00 EndTime=2026-11-27T00:00:00 Duration=1-00:00:00 "
    "Nodes=n4 NodeCnt=1 CoreCnt=4 Features=(null) PartitionName=(null) Flags=FLEX,SPEC_NODES   NodeName=n4 CoreIDs=0-3 "
    "TRES=cpu=4 Users=ana State=ACTIVE\n"
    "ReservationName=licences StartTime=2026-11-26T00:00:00 EndTime=2026-11-27T00:00:00 Duration=1-00:00:00 "
    "Nodes=(null) NodeCnt=0 CoreCnt=0 Features=(null) PartitionName=(null) Flags=ANY_NODES TRES=(null) State=ACTIVE\n"
)


def asked(reservation: str, *nodes: str, told: str = RESERVATIONS) -> dict[str, bool]:
    """The nodes that are meant: whether a job is sent to each."""

    def ask(argv: Sequence[str]) -> str:
        return told if argv == ("scontrol", "--oneliner", "show", "reservation") else hostnames(argv)

    options = {"reservation": reservation} if reservation else {}
    found = slurm_nodes.chosen(Asked(command=(), nodes=nodes, options=options), slurm_nodes.parse(RESERVED), ask)
    return {node.name: node.unfit(busy=False) is None for node in found}


def test_the_nodes_of_a_reservation_are_free_for_its_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SBATCH_RESERVATION", raising=False)
    assert asked("") == {"n1": False, "n2": False, "n3": True, "n4": False}
    assert asked("mine") == {"n1": True, "n2": True}
    assert asked("mine", "n2") == {"n2": True}
    assert asked("mine,spare") == {"n1": True, "n2": True, "n3": True, "n4": True}
    assert asked("spare") == {"n1": False, "n2": False, "n3": True, "n4": True}  # flexible: outside of it too
    assert asked("licences") == {"n1": False, "n2": False, "n3": True, "n4": False}
    monkeypatch.setenv("SBATCH_RESERVATION", "mine")  # sbatch takes it, so the jobs are of it
    assert asked("") == {"n1": True, "n2": True}


def test_a_reservation_that_is_none_and_a_node_outside_of_one() -> None:
    with pytest.raises(Failure, match="there is no reservation 'mne'") as failure:
        asked("mne")
    assert "mine" in failure.value.tip
    with pytest.raises(Failure, match="no reservation 'mine'"):
        asked("mine", told="No reservations in the system\n")
    with pytest.raises(Failure, match="n3 is not in reservation mine"):
        asked("mine", "n1,n3")


def test_names_partitions_and_features_choose() -> None:
    assert names() == ["cloud1", "n1", "n2", "n3", "n4"]
    assert names("n3,n1", "n1") == ["n3", "n1"]
    assert names(partition="few") == ["cloud1", "n4"]
    assert names(constraint="h100&rack2|rack1") == ["n1", "n2", "n3"]
    for wrong, sentence in (
        ({"partition": "gpus"}, "there is no partition 'gpus'"), ({"constraint": "h100&rak1"}, "no feature 'rak1'"),
        ({"constraint": "h100", "partition": "few"}, "no node of this cluster is meant"),
    ):  # fmt: skip
        with pytest.raises(Failure, match=sentence):
            names(**wrong)
    for name in ("n5", "--all", "n1;reboot", "\x1b[2J"):
        with pytest.raises(Failure, match="there is no node") as failure:
            names(name)
        assert str(failure.value).isprintable()
    with pytest.raises(Failure, match="n1 is not in partition few"):
        names("n1", partition="few")


def test_two_runs_of_one_second_have_a_folder_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folders = {slurm_home.folder(None) for _ in range(3)}
    assert len(folders) == 3
    assert all(folder.parent == tmp_path and folder.stat().st_mode & 0o777 == 0o700 for folder in folders)
    assert slurm_home.folder("mine") == tmp_path / "mine"
    (tmp_path / "mine" / "n1.json").write_text("{}")
    with pytest.raises(Failure, match="has the reports of an earlier run"):
        slurm_home.folder("mine")


@pytest.mark.parametrize(("state", "reason", "lost"), [
    ("PENDING", "Resources", False), ("RUNNING", "None", False), ("CONFIGURING", "None", False),
    ("PENDING", "launch failed requeued held", True), ("NODE_FAIL", "None", True), ("CANCELLED", "None", True),
    ("FAILED", "NonZeroExitCode", True), ("COMPLETED", "None", False),  # its report may be on the way
])  # fmt: skip
def test_a_job_of_which_nothing_comes_is_told(state: str, reason: str, lost: bool) -> None:
    assert slurm_home.lost(Task(state=state, pinned="n1", reason=reason), {}, "n1") is lost


def test_a_report_that_never_came_is_waited_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: dict[str, float] = {}
    assert not slurm_home.lost(None, ended, "n1")
    monkeypatch.setattr(slurm_home, "SETTLING", -1.0)
    assert slurm_home.lost(None, ended, "n1")
