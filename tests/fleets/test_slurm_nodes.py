"""What `sinfo` tells of nodes, and which are asked: n1 to n3 as a real Slurm 24.11 has them, n4 and cloud1 made up."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gpucheck.fleets import slurm_home, slurm_nodes
from gpucheck.fleets.runs import Asked
from gpucheck.fleets.slurm_jobs import Task
from gpucheck.model import Failure

SINFO = """n1|gpu*|idle|gpu:h100:2|h100,rack1|none
n2|gpu*|idle*|gpu:h100:2|h100,rack1|Prolog error
n3|gpu*|drained|gpu:h100:2|h100,rack2|bad | fan
n4|few|mixed|gpu:a100:1(S:0),gpu:t4:2(S:1),mps:100|(null)|none
n4|gpu*|mixed|gpu:a100:1(S:0),gpu:t4:2(S:1),mps:100|(null)|none
cloud1|few|idle~|(null)|(null)|
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


@pytest.mark.parametrize(("name", "busy", "why"), [
    ("n1", False, None),
    ("n2", True, "it is idle and does not respond"),  # the reason is of a drain that is over
    ("n3", True, "it is drained: bad | fan"),
    ("n4", False, "it is mixed, and only idle nodes were asked for (busy waits for it)"),
    ("n4", True, None),
    ("cloud1", True, "it is idle (powered down or on the way)"),
])  # fmt: skip
def test_only_who_can_answer_is_asked(name: str, busy: bool, why: str | None) -> None:
    assert slurm_nodes.parse(SINFO)[name].unfit(busy) == why


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
