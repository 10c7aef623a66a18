"""The recipes with the launchers that they are for, really installed and really run on this machine.

`scripts/test-launchers` runs it; it is no part of the test suite, as it installs a gigabyte. What of them runs without
their launchers, test_launchers.py runs.
"""

# ruff: noqa: T201

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from gpucheck import gathering, matrix
from tests.fleets import rack

ROOT = Path(__file__).parents[2]
HOME = Path("/var/tmp/gpucheck-launchers")  # noqa: S108 - kept between runs with --keep
PACKAGES: Mapping[str, tuple[str, ...]] = {
    "ansible": ("ansible-core", "ansible-lint"),
    "ray": ("ray[default]",),
    "skypilot": ("skypilot",),
}
NO_GPU = "fail: there is no NVIDIA GPU on the PCI bus"
PROGRAMS = {
    "good": f'cd {ROOT} && exec {sys.executable} -m gpucheck "$@"',
    "broken": "echo 'no \"space\" left {{ 7 * 6 }}' >&2; exit 2", "hung": "exec sleep 600",
    "bug": "echo '{\"half'; exit 70",
}  # fmt: skip
FOUND = {  # of Ansible's hosts, each a node of the rack but the last, which is this machine without ssh
    "good-1": NO_GPU, "good-2": NO_GPU,
    "broken": 'missing: gpucheck ended with 2 and no report: no "space" left {{ 7 * 6 }}',
    "hung": "missing: gpucheck did not end within 10 s",
    "bug": "missing: gpucheck ended with 70 and no report: it said nothing",
    "bare": "missing: gpucheck ended with 127 and no report: timeout: failed to run command",
    "snakeless": "missing: Ansible could not ask it: ",
    "key-refused": "missing: it was not reached: ", "closed": "missing: it was not reached: ",
    "here": NO_GPU,
}  # fmt: skip
RAY = """
import os, subprocess, sys, time
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": 0, "include_dashboard": False})
nodes = [cluster.add_node(num_cpus=1, num_gpus=number) for number in (2, 1, 1)]
os.environ["RAY_ADDRESS"] = cluster.address
import ray
ray.init(log_to_driver=False)
@ray.remote(num_gpus=2, num_cpus=0)
def hold():
    time.sleep(600)
held = hold.remote()
cluster.remove_node(nodes[2], allow_graceful=False)
subprocess.run([sys.executable, sys.argv[1]], stdout=open(sys.argv[2], "w"), check=True)
ray.shutdown()
cluster.shutdown()
"""
SKY = "import sky, sys; task = sky.Task.from_yaml(sys.argv[1]); print(sky.__version__, task.num_nodes, task.resources)"


def installed(name: str) -> Path:
    """The folder of its programs."""
    folder = HOME / name
    if not (folder / "done").exists():
        venv.create(folder, with_pip=True, clear=True)
        command = [
            f"{folder}/bin/python", "-m", "pip", "install", "-q", "--disable-pip-version-check", *PACKAGES[name],
        ]  # fmt: skip
        subprocess.run(command, check=True, stdout=sys.stderr)
        (folder / "done").touch()
    return folder / "bin"


def render(name: str, folder: Path, *words: str) -> Path:
    command = [
        sys.executable,
        "-m",
        "gpucheck",
        "fleet",
        "run",
        "--engine",
        name,
        "--render",
        "-o",
        str(folder),
        *words,
    ]
    subprocess.run(command, check=True, cwd=ROOT)
    (file,) = (each for each in folder.iterdir() if each.is_file())
    return file


def rows(path: Path) -> dict[str, str]:
    return {row.name: f"{row.kind}: {row.reason}" for row in matrix.collect(gathering.each([path])).nodes}


@contextmanager
def racked(folder: Path) -> Iterator[rack.Rack]:
    scripts = {}
    for host in FOUND:
        program = folder / host / "gpucheck"
        program.parent.mkdir(parents=True)
        if script := PROGRAMS.get(host.partition("-")[0]):
            program.write_text(f"#!/bin/sh\n{script}\n")
            program.chmod(0o755)
        scripts[host] = f'PATH={program.parent}:/usr/bin:/bin; export PATH; eval "$SSH_ORIGINAL_COMMAND"'
    started = rack.start(folder, scripts, {"closed": "Port 1"})
    try:
        yield started
    finally:
        started.stop()


def ansible(folder: Path) -> Iterator[str]:
    """What is wrong."""
    programs = installed("ansible")
    playbook = render("ansible", folder / "recipe", "--timeout", "10")
    path = f"{programs}:{folder / 'rack/good-1'}:{os.environ['PATH']}"
    settings = {
        "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORKS": "10", "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_SSH_ARGS": "-o ControlMaster=no",  # no connection outlives the rack
    }  # fmt: skip
    environment = {**os.environ, **settings, "PATH": path}
    lint = ["ansible-lint", "--offline", "--profile", "production", playbook.name]
    linted = subprocess.run(lint, cwd=playbook.parent, env=environment, capture_output=True, text=True)
    print(f"ansible-lint: {linted.stderr.strip().splitlines()[-1]}")
    if linted.returncode:
        yield linted.stdout
    (folder / "rack").mkdir()
    with racked(folder / "rack") as started:
        hosts = "\n".join(FOUND) + " ansible_connection=local\n[snakes]\nsnakeless\n"
        everywhere = f"ansible_ssh_common_args=-F {started.config}\nansible_python_interpreter={sys.executable}\n"
        (folder / "hosts").write_text(
            f"{hosts}[snakes:vars]\nansible_python_interpreter=/no/python\n[all:vars]\n{everywhere}"
        )
        command = ["ansible-playbook", "-i", f"{folder}/hosts", str(playbook), "-e", f"reports={folder}/monday"]
        subprocess.run([*command, "--syntax-check"], env=environment, check=True, stdout=subprocess.DEVNULL)
        version = subprocess.run(["ansible", "--version"], env=environment, capture_output=True, text=True).stdout
        began = time.monotonic()
        ran = subprocess.run(command, env=environment, capture_output=True, text=True)
        seconds = time.monotonic() - began
        print(f"{version.splitlines()[0]}: {len(FOUND)} hosts in {seconds:.1f} s, exit code {ran.returncode}")
        again = subprocess.run(command, env=environment, capture_output=True, text=True)
    told = rows(folder / "monday")
    yield from different(told, FOUND)
    if ran.returncode != 2 or "has reports already" not in again.stdout:
        yield f"{ran.stdout[-3000:]}{again.stdout[-1000:]}"


def ray(folder: Path) -> Iterator[str]:
    """Four nodes, all on this machine: one has its GPUs taken, one has died."""
    programs = installed("ray")
    (folder / "gpucheck").write_text(f"#!/bin/sh\n{PROGRAMS['good']}\n")
    (folder / "gpucheck").chmod(0o755)
    script = render("ray", folder / "recipe", "--timeout", "20", "--remote", str(folder / "gpucheck"))
    began = time.monotonic()
    command = [f"{programs}/python", "-c", RAY, str(script), f"{folder}/all.jsonl"]
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
    with subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment
    ) as running:
        try:
            said = running.communicate(timeout=300)[1]
        finally:
            with suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)
    found = sorted(rows_of(folder / "all.jsonl"))
    print(f"Ray: four nodes in {time.monotonic() - began:.0f} s, with its start: {len(found)} rows")
    wanted = ("fail: ", "missing: it gave no answer within 20 s", "missing: Ray ")
    if running.returncode or [sum(row.startswith(each) for row in found) for each in wanted] != [1, 1, 1]:
        yield f"{found} {said[-2000:]}"


def rows_of(file: Path) -> Iterator[str]:
    lines = [line for line in file.read_text().splitlines() if line.startswith('{"')]
    file.write_text("\n".join(lines))
    yield from rows(file).values()


def skypilot(folder: Path) -> Iterator[str]:
    programs = installed("skypilot")
    for words in ((), ("-O", "accelerators=H100:8", "-O", "infra=aws/us-east-1", "-O", "package=gpucheck")):
        task = render("skypilot", folder / f"recipe{len(words)}", "-O", "num_nodes=3", *words)
        ran = subprocess.run([programs / "python", "-c", SKY, task], capture_output=True, text=True)
        print(f"SkyPilot reads it: {ran.stdout.strip()}")
        if ran.returncode:
            yield ran.stderr


def different(told: Mapping[str, str], wanted: Mapping[str, str]) -> Iterator[str]:
    for name in {**told, **wanted}:
        if name not in told or not told[name].startswith(wanted.get(name, "?")):
            yield f"{name}: {told.get(name, 'no row')}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("only", nargs="*", choices=[*PACKAGES, []], help="one or some of them")
    parser.add_argument("--keep", action="store_true", help="keep what was installed: the next run starts in seconds")
    asked = parser.parse_args()
    wrong = []
    try:
        for check in (ansible, ray, skypilot):
            if not asked.only or check.__name__ in asked.only:
                with tempfile.TemporaryDirectory() as folder:
                    wrong += list(check(Path(folder)))
    finally:
        if not asked.keep:
            shutil.rmtree(HOME, ignore_errors=True)
    print("\n".join(wrong) or "each does what is expected of it")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
