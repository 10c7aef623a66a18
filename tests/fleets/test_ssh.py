"""The engine ssh against a real sshd on the loopback, whose nodes fail in every way that racks know."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

import pytest

from gpucheck import reports
from gpucheck.fleets import engine
from gpucheck.fleets.runs import LARGEST, Answer, Asked
from gpucheck.model import Failure
from tests.fleets.rack import Rack

DOCTOR = ("doctor", "--format", "json")
WHY = {  # of every node that answers without a report, what its row must say
    "bare": ("it has no gpucheck", "not found", "--remote"),
    "full": ("exit code 3", "gpucheck: No space left on device"),
    "dies": ("the connection ended in the middle", "closed by remote host"),
    "signal": ("ended there by a signal",),
    "asked-killed": ("ended there by signal 9",),
    "garbage": ("exit code 0 and no report", "red", "it printed"),
    "torn": ("is not whole",),
    "newer": ("is of a newer gpucheck", "99"),
    "huge": ("more than 8 MB",),
    "lines": ("more than 8 MB",),
    "loud": ("more than 8 MB", "the last it said"),
    "key-refused": ("our key was refused", "publickey"),
    "key-changed": ("its host key has changed",),
    "key-unknown": ("its host key is not known here",),
    "closed": ("it was not reached", "port 1:", "refused"),
    "goood": ("its name is not resolved", "did you mean good?"),
}


def answers(racked: Rack, *nodes: str, deadline: float = 120, **options: str) -> list[Answer]:
    asked = Asked(command=DOCTOR, nodes=nodes, deadline=deadline, options={"config": racked.config, **options})
    return list(engine("ssh").run(asked, lambda _line, _share: None))


@pytest.fixture(scope="module")
def told(racked: Rack) -> dict[str, Answer]:
    found = answers(racked, ",".join(WHY), "good,asked,behind", deadline=180)
    assert sorted(answer.node for answer in found) == sorted([*WHY, "good", "asked", "behind"])
    return {answer.node: answer for answer in found}


@pytest.mark.parametrize("node", WHY)
def test_a_node_without_a_report_is_a_row_with_its_reason(told: dict[str, Answer], node: str) -> None:
    answer = told[node]
    assert answer.report is None
    assert answer.why
    assert answer.why.isprintable()
    assert "[31m" not in answer.why
    for word in WHY[node]:
        assert word in answer.why


def test_the_report_is_found_among_what_a_login_prints(told: dict[str, Answer], racked: Rack) -> None:
    assert told["good"].report == (racked.folder / "report").read_bytes().strip()
    assert told["behind"].report == told["good"].report  # by a jump host of the user's configuration


def test_gpucheck_itself_runs_on_the_node(told: dict[str, Answer]) -> None:
    report = told["asked"].report
    assert report
    assert reports.of_bytes(report, "it").command == "doctor"
    assert not told["asked"].named  # an alias of our configuration is not what the machine calls itself


def test_a_hung_node_costs_its_own_deadline_alone(racked: Rack) -> None:
    """Also one that closes its output and stays, on which ClusterShell's own client would wait for ever."""
    good, *late = answers(racked, "hung,mute,stuck,asked-hung,good", each="3")
    assert good.node == "good"
    assert good.report
    assert {answer.node for answer in late} == {"hung", "mute", "stuck", "asked-hung"}
    assert all(answer.why and "did not answer within 3 s" in answer.why for answer in late)
    assert racked.gone("slow")  # what was begun there has ended with its connection
    assert racked.idle()


def test_who_did_not_get_its_turn_is_told_apart(racked: Rack) -> None:
    found = answers(racked, "hung,mute,stuck", fanout="1", deadline=1, each="1")
    assert len(found) == 3
    assert all(answer.report is None for answer in found)
    assert "its turn did not come within 1 s: 1 at a time" in (found[-1].why or "")


def test_whoever_leaves_early_leaves_no_ssh(racked: Rack) -> None:
    asked = Asked(command=DOCTOR, nodes=("hung,mute,full",), options={"config": racked.config})
    with closing(engine("ssh").run(asked, lambda _line, _share: None)) as coming:
        assert next(coming).node == "full"
        assert not racked.idle(0)
    assert racked.idle()


@pytest.mark.parametrize(
    ("sets", "sentence", "tip"),
    [
        (("-oProxyCommand=touch${IFS}x",), "no name of a node", "--nodes"),
        (("n1;reboot",), "no name of a node", "--nodes"),
        (("n1 -oProxyCommand=x",), "no name of a node", "--nodes"),
        (("../n1",), "no name of a node", "--nodes"),
        (("n\x1b1",), "no name of a node", "--nodes"),
        (("n[1-3",), "no set of nodes", "--nodes"),
        (("n[1-999999999]",), "999,999,999 nodes", "at most"),
        (("n[1-999]-[1-999]",), "998,001 nodes", "at most"),
        (("n1,@no-such-rack",), "no group of nodes 'no-such-rack'", ""),
        (("@nothing:rack",), "source of groups", ""),
        (("n1!n1",), "no node was named", "--nodes"),
        ((), "no node was named", "--nodes"),
    ],
)
def test_what_is_no_set_of_nodes_is_refused_before_anything_runs(
    sets: tuple[str, ...], sentence: str, tip: str
) -> None:
    with pytest.raises(Failure) as refused:
        next(engine("ssh").run(Asked(command=DOCTOR, nodes=sets), lambda _line, _share: None))
    assert sentence in str(refused.value)
    assert tip in refused.value.tip
    assert str(refused.value).isprintable()


def test_groups_are_clustershells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ClusterShell import NodeSet  # type: ignore[import-untyped]
    from ClusterShell.NodeUtils import GroupResolverConfig  # type: ignore[import-untyped]

    from gpucheck.fleets import ssh_nodes

    (tmp_path / "groups.yaml").write_text("racks:\n  rack3: 'n[31-33]'\n  rack4: 'n[41-42]'\n")
    (tmp_path / "groups.conf").write_text(f"[Main]\ndefault: racks\nautodir: {tmp_path}\n")
    monkeypatch.setattr(NodeSet, "RESOLVER_STD_GROUP", None)
    before = NodeSet.std_group_resolver()
    NodeSet.set_std_group_resolver(GroupResolverConfig([str(tmp_path / "groups.conf")]))
    try:
        assert ssh_nodes.names(["n[1-2],@rack3", "n2"]) == ("n1", "n2", "n31", "n32", "n33")
        with pytest.raises(Failure) as refused:
            ssh_nodes.names(["@rack5"])
        assert "rack3" in refused.value.tip
        assert ssh_nodes.nearest("ana@n311", str(tmp_path / "none")) == "ana@n31"
    finally:
        NodeSet.set_std_group_resolver(before)


@pytest.mark.parametrize(("name", "value"), [("fanout", "0"), ("fanout", "many"), ("each", "1e9"), ("speed", "1")])
def test_an_option_that_is_wrong_is_told(name: str, value: str) -> None:
    with pytest.raises(Failure, match=name):
        next(engine("ssh").run(Asked(command=DOCTOR, nodes=("n1",), options={name: value}), lambda _l, _s: None))


def test_a_configuration_that_ssh_refuses_is_no_nodes_fault(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("Nonsense yes\n")
    options = {"config": str(tmp_path / "config")}
    with pytest.raises(Failure, match=r"(?i)ssh cannot be used: .*nonsense|terminating"):
        next(engine("ssh").run(Asked(command=DOCTOR, nodes=("n1",), options=options), lambda _l, _s: None))


def test_without_ssh_or_clustershell_the_tip_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Failure, match="no ssh here"):
        next(engine("ssh").run(Asked(command=DOCTOR, nodes=("n1",)), lambda _l, _s: None))
    for module in [name for name in sys.modules if name.startswith("gpucheck.fleets.ssh")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "ClusterShell.NodeSet", None)
    with pytest.raises(Failure) as missing:
        engine("ssh")
    assert "pip install clustershell" in missing.value.tip


def test_the_limit_holds_for_what_is_kept(told: dict[str, Answer]) -> None:
    assert all(len(answer.report or b"") <= LARGEST for answer in told.values())


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ("Connection closed by UNKNOWN port 65535", "before a login"),
        ("kex_exchange_identification: Connection closed by remote host", "before a login"),
        ("ana@bastion: Permission denied (publickey).\nConnection closed by UNKNOWN port 65535", "ana@bastion"),
        ("Permission denied (publickey).\nTimeout, server n1 not responding.", "ended in the middle"),
        ("something new", "exit code 255"),
        ("", "by a signal"),
        ("Broken pipe" * 300 + " " * 4000 + "x", "ended in the middle"),  # and it takes no time
        ("Permission denied (" * 430, "exit code 255"),
    ],
)
def test_what_ssh_says_is_told_apart(said: str, word: str) -> None:
    from gpucheck.fleets.ssh_sessions import Session
    from gpucheck.fleets.ssh_words import why

    assert word in why(Session("n1", 0.0, err=bytearray(said.encode()), code=255), "gpucheck", 60.0, LARGEST)
