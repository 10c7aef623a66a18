"""What --world is told, by hand and by Slurm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gpucheck import worlds
from gpucheck.cli.app import app
from gpucheck.host import CannotLook, Result
from gpucheck.model import Failure

STEP = {"SLURM_JOB_NODELIST": "gpu-[1-3]", "SLURM_STEP_NODELIST": "gpu-[2-3]", "SLURM_NODEID": "1",
        "SLURM_JOB_ID": "4711", "SLURM_LOCALID": "0"}  # fmt: skip
ASKED = ("scontrol", "show", "hostnames", "gpu-[2-3]")
Machine = Callable[..., Any]


def test_a_port_is_added() -> None:
    assert worlds.whole("1@gpu-1,10.0.0.2,a.b") == "1@gpu-1,10.0.0.2,a.b:29400"
    assert worlds.whole("0@a,b:2000") == "0@a,b:2000"


@pytest.mark.parametrize(
    ("text", "says"),
    [("", "no world"), ("gpu-1,gpu-2", "no world"), ("x@a,b", "no world"), ("0@a", "two hosts"), ("0@a,A", "each once"),
     ("2@a,b", "rank 2 of 2"), ("0@a,", "no host"), ("0@a,-b", "no host"), ("0@a,b c", "no host"), ("0@a,b:80", "port"),
     ("0@a,b:99999", "port"), ("0@[::1],b", "no world"), ("0@a,$(id)", "no host")],
)  # fmt: skip
def test_what_is_no_world(text: str, says: str) -> None:
    with pytest.raises(Failure, match=says):
        worlds.whole(text)


def test_an_empty_world_is_no_wish_to_train_alone() -> None:
    """--world "$WORLD" in a script, where that was not set."""
    with pytest.raises(Failure, match="'' is no world"):
        app(["verify", "--framework", "jax", "--world", ""], standalone_mode=False)


def test_slurm_tells_the_steps_own_nodes(machine: Machine) -> None:
    host = machine(runs={ASKED: Result(code=0, out="gpu-2\ngpu-3\n", err="")})
    assert worlds.of_slurm(host, STEP) == "1@gpu-2,gpu-3:24711"
    assert worlds.of_slurm(host, {**STEP, "SLURM_JOB_ID": "34711"}).endswith(":24711")
    assert worlds.of_slurm(host, {**STEP, "SLURMD_NODENAME": "gpu-2"}) == "0@gpu-2,gpu-3:24711"


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"SLURM_NODEID": ""}, "no task of Slurm's"), ({"SLURM_LOCALID": "1"}, "several tasks"),
     ({"SLURM_STEP_NODELIST": "", "SLURM_JOB_NODELIST": ""}, "no task of Slurm's")],
)  # fmt: skip
def test_what_is_no_task_of_a_world(machine: Machine, changes: dict[str, str], says: str) -> None:
    with pytest.raises(Failure, match=says):
        worlds.of_slurm(machine(), {**STEP, **changes})


@pytest.mark.parametrize("answer", [CannotLook("no answer in 5 s"), Result(code=1, out="", err="Invalid hostlist")])
def test_an_scontrol_that_does_not_tell(machine: Machine, answer: Any) -> None:
    with pytest.raises(Failure, match="does not tell the nodes of gpu"):
        worlds.of_slurm(machine(runs={ASKED: answer}), STEP)


def test_one_node_alone_is_no_world(machine: Machine) -> None:
    with pytest.raises(Failure, match="two hosts"):
        worlds.of_slurm(machine(runs={ASKED: Result(code=0, out="gpu-2\n", err="")}), {**STEP, "SLURM_NODEID": "0"})
