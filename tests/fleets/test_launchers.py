"""The recipes for Ansible, Ray and SkyPilot: what they hold, and what of them runs without these.

`scripts/test-launchers` runs them with these.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from gpucheck import gathering, matrix, rosters
from gpucheck.fleets import LAUNCHERS, engine
from gpucheck.fleets.runs import Asked
from gpucheck.model import Failure
from tests.conftest import Gpucheck

ROOT = Path(__file__).parents[2]
MACHINE = ROOT / "tests" / "machines" / "debian12-no-gpu" / "recording.json"
OPTIONS = {"ansible": {}, "ray": {}, "skypilot": {"num_nodes": "3"}}
GOOD = f'exec {sys.executable} -m gpucheck "$@" --from {MACHINE}'


def rendered(name: str, *program: str, nodes: tuple[str, ...] = (), deadline: float = 7, **options: str) -> str:
    words = ("doctor", "--deep", "--format", "json")
    asked = Asked(command=words, program=program or ("gpucheck",), nodes=nodes, deadline=deadline,
                  options={**OPTIONS[name], **options})  # fmt: skip
    text = engine(name).render(asked)
    assert isinstance(text, str)
    return text


def program(folder: Path, script: str) -> Path:
    file = folder / "gpucheck"
    file.write_text(f"#!/bin/sh\ncd {ROOT}\n{script}\n")
    file.chmod(0o755)
    return file


@pytest.mark.parametrize("name", LAUNCHERS)
def test_it_is_printed_or_written_and_never_run(gpucheck: Gpucheck, tmp_path: Path, name: str) -> None:
    words = ["fleet", "run", "--engine", name, *(f"-O{key}={value}" for key, value in OPTIONS[name].items())]
    who, what = LAUNCHERS[name]
    assert gpucheck(*words) == (2, "", f"gpucheck: {who} runs this itself\ntip: --render prints the {what}\n")
    code, printed, _ = gpucheck(*words, "--render")
    assert code == 0
    assert gpucheck(*words, "--render", "-o", tmp_path / "new") == (0, "", "")
    (file,) = (tmp_path / "new").iterdir()
    assert file.read_text() == printed
    code, _, refused = gpucheck(*words, "--render", "-o", tmp_path / "new")
    assert code == 2
    assert "is there already; nothing was written" in refused


@pytest.mark.parametrize(
    ("name", "told", "said"),
    [
        ("ansible", {"nodes": ("a b",)}, "no pattern of Ansible's"),
        ("ansible", {"nodes": ("{{x}}",)}, "no pattern of Ansible's"),
        ("ansible", {"fanout": "3"}, "no options of its own"),
        ("ray", {"nodes": ("n[1-4]",)}, "no name of a node"),
        ("ray", {"gpus": "-1"}, "gpus is '-1'"),
        ("ray", {"gpu": "1"}, "no option 'gpu'"),
        ("skypilot", {"nodes": ("n1",)}, "names its nodes itself"),
        ("skypilot", {"num_nodes": "0"}, "num_nodes is '0'"),
        ("skypilot", {"cluster": "-x; reboot"}, "cluster is"),
        ("skypilot", {"infra": "a b"}, "infra is"),
        ("skypilot", {"package": "x\nrun: |"}, "package is"),
    ],
)
def test_bad_input(name: str, told: Any, said: str) -> None:
    with pytest.raises(Failure) as refused:
        rendered(name, **told)
    assert said in str(refused.value)


@pytest.mark.parametrize("name", LAUNCHERS)
def test_a_word_is_that_word_there(name: str) -> None:
    words = ("/opt/a b/gpucheck", "$HOME", "'", "#", '"', "${x}", "$$", ": -", "é😀")
    text = rendered(name, *words)
    if name == "ray":
        assert run_script(text)["COMMAND"] == [*words, "doctor", "--deep", "--format", "json"]
        return
    made = yaml.safe_load(text)
    if name == "ansible":
        argv = made[0]["tasks"][1]["block"][0]["block"][0]["ansible.builtin.command"]["argv"]
        assert argv == ["timeout", "-k", "10", "7", *words, "doctor", "--deep", "--format", "json"]
    else:
        line = next(line for line in made["run"].splitlines() if line.startswith("timeout"))
        command = line.partition("timeout -k 10 7 ")[2].partition(" doctor")[0]
        split = subprocess.run(["sh", "-c", f"printf '%s\\n' {command}"], capture_output=True, text=True, check=True)
        assert split.stdout.splitlines() == list(words)
    with pytest.raises(Failure, match="cannot be printed"):
        rendered(name, "a\nb")


def test_ansible_takes_no_word_for_a_template() -> None:
    with pytest.raises(Failure, match="a template of its own"):
        rendered("ansible", "{{ lookup('pipe', 'id') }}")
    hosts = yaml.safe_load(rendered("ansible", nodes=("gpu:!gpu-7", "rack3")))[0]["hosts"]
    assert hosts == ["gpu:!gpu-7", "rack3"]


@pytest.mark.parametrize("name", ["ansible", "skypilot"])
def test_the_list_of_who_is_asked_is_as_a_run_of_ours_writes_it(name: str, tmp_path: Path) -> None:
    """By it what does not come is missing, yesterday's report is no yes, and an alias has its row."""
    text = rendered(name)
    if name == "ansible":
        content = yaml.safe_load(text)[0]["tasks"][0]["block"][-1]["ansible.builtin.copy"]["content"]
        first, _, host, *_ = content.splitlines()
        now = "{{ now(utc=true, fmt='%Y-%m-%dT%H:%M:%S') }}"
        (tmp_path / "nodes").write_text(
            f"{first.replace(now, '2026-11-26T05:00:00')}\n{host.replace('{{ host }}', 'n1')}\n"
        )
        assert rosters.read(tmp_path).names == {"n1": True}
    else:
        lines = [line.removeprefix("#   ") for line in text.splitlines() if line.startswith("#   ")]
        made = "\n".join(lines[: next(place for place, line in enumerate(lines) if line.startswith("sky launch"))])
        subprocess.run(["sh", "-ec", made], cwd=tmp_path, check=True)
        asked = rosters.read(tmp_path / "monday")
        assert asked.names == dict.fromkeys(("gpucheck", "gpucheck-worker1", "gpucheck-worker2"), True)
    told = rosters.read(tmp_path if name == "ansible" else tmp_path / "monday")
    assert told.command == "doctor"
    assert told.since.startswith("20")


NODES = {  # a gpucheck there, and what comes of it
    "good": (GOOD, "fail: there is no NVIDIA GPU on the PCI bus"),
    "loud": (f"echo 'Welcome {{'; {GOOD}", "fail: there is no NVIDIA GPU on the PCI bus"),
    "full": ("echo 'No \"space\" left {{x}} \\\\' >&2; exit 2", "missing: gpucheck ended with 2 and no report: No "),
    "bug": ("echo '{\"half'; exit 70", "missing: gpucheck ended with 70 and no report: it said nothing"),
    "wrong": ("echo; exit 1", "missing: gpucheck ended with 1 and no report: it said nothing"),
    "hung": ("exec sleep 60", "missing: gpucheck did not end within 1 s"),
    "killed": ("kill -9 $$", "missing: gpucheck was killed: it did not end within 30 s, or memory ran out"),
}


def row(folder: Path) -> str:
    (node,) = matrix.collect(gathering.each([folder])).nodes
    return f"{node.kind}: {node.reason}"


@pytest.mark.parametrize("node", NODES)
def test_what_skypilot_runs_on_a_node_leaves_a_report_or_the_reason(tmp_path: Path, node: str) -> None:
    script, said = NODES[node]
    command = program(tmp_path, script)
    made = yaml.safe_load(rendered("skypilot", str(command), deadline=1 if node == "hung" else 30))
    (tmp_path / "gpucheck-report.json").write_text("yesterday's")
    for step in ("setup", "run"):
        subprocess.run(["bash", "-c", made[step]], env={**os.environ, "HOME": str(tmp_path)}, check=True, cwd=tmp_path)
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "gpucheck-report.json").rename(home / "n1.json")
    assert row(home).startswith(said)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["gpucheck", "home"]


def run_script(text: str) -> dict[str, Any]:
    """The script's names, where there is no Ray: it is imported where it works."""
    names: dict[str, Any] = {"__name__": "script"}
    exec(compile(text, "gpucheck_ray.py", "exec"), names)  # noqa: S102
    return names


@pytest.mark.parametrize("node", NODES)
def test_what_ray_runs_on_a_node_gives_a_report_or_the_reason(
    tmp_path: Path, node: str, capsys: pytest.CaptureFixture[str]
) -> None:
    script, said = NODES[node]
    names = run_script(rendered("ray"))
    command = [str(program(tmp_path, script)), "doctor", "--format", "json"]
    line, why = names["ask"](command, 1 if node == "hung" else 30, 0)
    if line is None:
        names["missing"]("n1", why)
        line = capsys.readouterr().out.strip()
    (tmp_path / "n1.json").write_text(f"{line}\n")
    assert row(tmp_path).startswith(said)
    assert "/nowhere/gpucheck" in names["ask"](["/nowhere/gpucheck"], 30, 0)[1]


def ray_node(name: str, alive: bool = True, **more: Any) -> Mapping[str, Any]:
    return {"NodeManagerHostname": name, "NodeManagerAddress": f"10.0.0.{name[1:]}", "Alive": alive, **more}


def test_of_rays_nodes_the_dead_are_rows_and_those_that_were_to_go_are_not() -> None:
    nodes = [
        ray_node("n1"), ray_node("n2", False, DeathReason=2, DeathReasonMessage="no heartbeat"), ray_node("n3"),
        ray_node("n3", False, DeathReason=2), ray_node("n4", False, DeathReason=1),
        ray_node("n5", False, DeathReason=4),
    ]  # fmt: skip
    asked, lost = run_script(rendered("ray"))["meant"](nodes)
    assert [each["NodeManagerHostname"] for each in asked] == ["n1", "n3"]
    assert lost == {"n2": "Ray says that it is dead: no heartbeat"}
    asked, lost = run_script(rendered("ray", nodes=("10.0.0.1, 10.0.0.2", "n9", "n5")))["meant"](nodes)
    assert [each["NodeManagerHostname"] for each in asked] == ["n1"]
    dead = "Ray says that it is dead: no"
    assert lost == {"n2": f"{dead} heartbeat", "n5": f"{dead} reason told", "n9": "Ray does not know it"}


def test_the_lines_of_a_run_that_was_broken_off_leave_nobody_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = run_script(rendered("ray"))
    names["missing"]("n1", "it was asked, and the run was broken off")
    (tmp_path / "all.jsonl").write_text(capsys.readouterr().out)
    assert row(tmp_path) == "missing: it was asked, and the run was broken off"
    assert json.loads((tmp_path / "all.jsonl").read_text())["node"] == "n1"
