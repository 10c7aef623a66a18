"""`gpucheck fleet drain --engine slurm`, against tests/fakeslurm, which answers as Slurm 24.11.5 did."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gpucheck.hooks import scheduler
from gpucheck.model import Report, Status
from tests.conftest import Gpucheck
from tests.made_up.small import bad, good, write
from tests.test_hooks import Cluster, cluster

__all__ = ["cluster"]  # a fixture
RULE = "pci.gpu-present"


def at(report: Report, minutes: float) -> Report:
    return replace(report, when=(datetime.now(UTC) + timedelta(minutes=minutes)).isoformat())


def test_out_and_back(cluster: Cluster, gpucheck: Gpucheck, tmp_path: Path) -> None:
    """Two different reports that are clean and newer than the drain, given together."""
    before, monday, tuesday = (
        write(tmp_path / name, at(made, minutes))
        for name, made, minutes in (("b", bad("n1"), -5), ("m", good("n1"), 2), ("t", good("n1"), 3))
    )
    code, out, _ = gpucheck("fleet", "drain", before, "--engine", "slurm", "--dry-run")
    assert (code, cluster.drained()) == (0, [])
    assert f"n1  would be drained: {RULE}: GPU 3 of 8 is lost" in out
    assert not [call for call in cluster.calls() if "update" in call]
    assert gpucheck("fleet", "drain", before, "--engine", "slurm")[0] == 0
    assert cluster.drained() == ["n1"]
    assert cluster.reason("n1") == f"gpucheck: {RULE}: GPU 3 of 8 is lost"
    for folders in ((before,), (monday,), (monday, monday), (before, tuesday)):
        out = gpucheck("fleet", "drain", *folders, "--engine", "slurm")[1]
        assert cluster.drained() == ["n1"]
        assert "n1  left alone: " in out  # and never "counted", as nobody keeps a count
    code, out, _ = gpucheck("fleet", "drain", before, monday, tuesday, "--engine", "slurm")
    assert (code, cluster.drained()) == (0, [])
    assert "n1  given back: 2 clean reports in a row" in out


@pytest.mark.parametrize(("state", "reason"), [
    ("IDLE+DRAIN", "disk"), ("DOWN", "Not responding"), ("DOWN+DRAIN", f"gpucheck: {RULE}: x"),
])  # fmt: skip
def test_what_somebody_else_decided_stays(
    cluster: Cluster, gpucheck: Gpucheck, tmp_path: Path, state: str, reason: str
) -> None:
    cluster.set("n1", state, reason, at=int(time.time()) - 99)
    for made in (bad("n1"), good("n1")):
        files = [write(tmp_path / f"{made.findings[0].status}{n}", at(made, -n)) for n in (0.1, 0.2)]
        assert gpucheck("fleet", "drain", *files, "--engine", "slurm")[0] == 0
    assert (cluster.state("n1"), cluster.reason("n1")) == (state, reason)
    assert not [call for call in cluster.calls() if "update" in call]


def test_who_was_resumed_by_hand_is_not_drained_again_for_the_same_report(
    cluster: Cluster, gpucheck: Gpucheck, tmp_path: Path
) -> None:
    monday, tuesday = (write(tmp_path / name, at(bad("n1"), minutes)) for name, minutes in (("m", -5), ("t", 2)))
    well = write(tmp_path / "w", at(good("n1"), -1))
    gpucheck("fleet", "drain", monday, "--engine", "slurm")
    cluster.set("n1", "IDLE", cluster.reason("n1"), at=int(time.time()))  # as `scontrol update` leaves it
    code, out, _ = gpucheck("fleet", "drain", monday, "--engine", "slurm")
    assert (code, cluster.drained()) == (0, [])
    assert "n1  left alone: somebody has put it back since that report" in out
    assert "0 drained, 0 given back, 1 well" in gpucheck("fleet", "drain", well, "--engine", "slurm")[1]
    gpucheck("fleet", "drain", tuesday, "--engine", "slurm")
    assert cluster.drained() == ["n1"]
    cluster.set("n1", "IDLE", f"{cluster.reason('n1')} (by its hook)", at=int(time.time()))
    gpucheck("fleet", "drain", monday, "--engine", "slurm")
    assert cluster.drained() == ["n1"]


def test_what_was_not_seen_resumes_nobody(cluster: Cluster, gpucheck: Gpucheck, tmp_path: Path) -> None:
    """Its hook, which is root, drained it for the kernel's log; who runs a fleet's doctor may not read that."""
    reason = "gpucheck: kernel_log.no-hardware-xid: Xid 79 (by its hook)"
    cluster.set("n1", "IDLE+DRAIN", reason, at=int(time.time()) - 600)
    for status, code in ((Status.SKIP, "0 of 2 clean reports"), (Status.PASS, "given back: 2 clean reports")):
        finding = replace(good("n1").findings[0], rule="kernel_log.no-hardware-xid", status=status)
        made = replace(good("n1"), findings=(*good("n1").findings, finding))
        files = [write(tmp_path / f"{status}{minutes}", at(made, minutes)) for minutes in (-2, -1)]
        assert code in gpucheck("fleet", "drain", *files, "--engine", "slurm")[1]
    assert cluster.drained() == []


def test_what_a_report_says_is_no_hook_s_mark(cluster: Cluster, gpucheck: Gpucheck, tmp_path: Path) -> None:
    """By it a node that has lost its memory takes a reason up again as its own."""
    for forged in ("x (by its hook)", 'x (by its hook) "', f"{'x' * 300} (by its hook)"):
        cluster.set("n1")
        gpucheck("fleet", "drain", write(tmp_path / "r", at(bad("n1", forged), -1)), "--engine", "slurm")
        assert scheduler.rule_of(cluster.reason("n1")) is None
        assert cluster.reason("n1").startswith(f"gpucheck: {RULE}: x")


def test_never_too_many_and_no_permission(cluster: Cluster, gpucheck: Gpucheck, tmp_path: Path) -> None:
    files = write(tmp_path / "r", at(bad("n1"), -1), at(bad("n2"), -1))
    (cluster.folder / "refused").write_text("slurm_update error: Invalid user id")
    code, out, err = gpucheck("fleet", "drain", files, "--engine", "slurm")
    assert (code, cluster.drained()) == (1, [])
    assert "n1  not drained: this user may not tell Slurm" in out
    assert "2 of 4 nodes failed, at most 1 may be drained" in err
    (cluster.folder / "refused").unlink()
    assert gpucheck("fleet", "drain", files, "--engine", "slurm")[0] == 1
    assert cluster.drained() == ["n1"]
    (cluster.folder / "down").write_text("")
    code, _, err = gpucheck("fleet", "drain", files, "--engine", "slurm")
    assert (code, "Slurm does not tell its nodes" in err) == (2, True)
    assert gpucheck("fleet", "drain", files, "--engine", "slurm", "-O", "a=b")[0] == 2
