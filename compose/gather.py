#!/usr/bin/env python3
"""Fetch the evidence of verify.yaml's run, and the question and the ending beside it, for `gpucheck verify --from`.

    gpucheck doctor --format json | python3 compose/gather.py NEW_FOLDER

The question is what the engine was asked, the ending is what it says of the container. Standard library alone.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

WORK = ("label=com.docker.compose.project=gpucheck-verify", "label=com.docker.compose.service=work")
EVIDENCE = "/home/gpucheck/evidence"
NAMES = {"pytorch": "torch"}  # a payload's name -> the framework's module
OURS = ("asked.json", "ran.json", "host.json", "nvml.jsonl")
UNSEEN = "NVML was not asked beside a run by hand"


def main() -> None:
    if len(sys.argv) != 2:
        stop("give one new folder: `gpucheck doctor --format json | python3 compose/gather.py evidence`")
    folder = Path(sys.argv[1])
    if folder.exists() and any(folder.iterdir()):
        stop(f"{folder} is not empty; give a new folder: evidence is never mixed")
    facts = host()
    names = docker("ps", "--all", "--quiet", "--no-trunc", "--filter", WORK[0], "--filter", WORK[1]).split()
    if len(names) != 1:
        stop(f"{len(names)} containers of verify.yaml are there, and one is needed: run it first")
    container = json.loads(docker("inspect", names[0]))[0]
    if container["State"]["Status"] != "exited":
        stop(f"the run has not ended: the container is {container['State']['Status']}")
    image = json.loads(docker("image", "inspect", container["Config"]["Image"]))[0]
    folder.mkdir(parents=True, exist_ok=True)
    unpack(subprocess.run(["docker", "cp", f"{names[0]}:{EVIDENCE}", "-"], capture_output=True, check=False), folder)
    files = (asked(container, image), ran(container, names[0]), facts, {"error": UNSEEN})
    for name, content in zip(OURS, files, strict=True):
        (folder / name).write_text(json.dumps(content) + "\n")


def stop(sentence: str) -> NoReturn:
    sys.stderr.write(f"gather: {sentence}\n")
    raise SystemExit(2)


def host() -> Any:
    """The facts of `gpucheck doctor --format json`."""
    try:
        return json.loads(sys.stdin.read())["facts"]
    except (ValueError, KeyError, TypeError):
        stop("stdin is not the report of `gpucheck doctor --format json`")


def docker(*words: str) -> str:
    try:
        ended = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
    except OSError as error:
        stop(f"docker: {error.strerror}")
    if ended.returncode:
        stop(f"{ended.stderr.strip()}")
    return ended.stdout


def unpack(ended: subprocess.CompletedProcess[bytes], folder: Path) -> None:
    """Plain files alone: what a container made is not to be trusted."""
    if ended.returncode:
        return  # it left nothing, which is for the judge to say
    with tarfile.open(fileobj=io.BytesIO(ended.stdout)) as tar:
        for member in tar:
            name = PurePosixPath(member.name).name
            if member.isfile() and len(PurePosixPath(member.name).parts) == 2 and name not in OURS:
                content = tar.extractfile(member)
                assert content is not None
                (folder / name).write_bytes(content.read())


def asked(container: dict[str, Any], image: dict[str, Any]) -> dict[str, Any]:
    words = [*container["Config"]["Entrypoint"], *container["Config"]["Cmd"]]
    name = next(word for word in words if word.startswith("payloads.")).partition(".")[2]
    given = {"device": "gpu", "devices": "1", **options(words)}
    module = NAMES.get(name, name)
    frameworks = [module, given.get("backend", "tensorflow")] if module == "keras" else [module]
    recipe = (image["Config"]["Labels"] or {}).get("io.gpucheck.recipe")
    return {
        "schema": 1, "framework": name, "frameworks": frameworks, "device": given["device"],
        "devices": int(given["devices"]), "options": {**given, "framework": name, "image": recipe},
        "where": "container", "where_why": None, "image": container["Config"]["Image"], "image_id": image["Id"],
        "data": given.get("data", "a synthetic set of CIFAR-10's shape"), "recipe": recipe,
        "reason": "named in verify.yaml",
    }  # fmt: skip


def options(words: list[str]) -> dict[str, str]:
    """--name VALUE and --name=VALUE; the last of a name counts, as the payload reads them. --out is ours."""
    found: dict[str, str] = {}
    split = [part for word in words for part in (word.split("=", 1) if word.startswith("--") else [word])]
    for word, after in zip(split, [*split[1:], "--"], strict=True):
        if word.startswith("--no-"):
            found[word[5:]] = "False"
        elif word.startswith("--") and not after.startswith("--"):
            found[word[2:].replace("-", "_")] = after
    return {name: value for name, value in found.items() if name != "out"}


def ran(container: dict[str, Any], name: str) -> dict[str, Any]:
    state = container["State"]
    last = subprocess.run(["docker", "logs", "--tail", "12", name], capture_output=True, text=True, check=False)
    began, ended = datetime.fromisoformat(state["StartedAt"]), datetime.fromisoformat(state["FinishedAt"])
    return {
        "started": began.isoformat(timespec="seconds"), "seconds": round((ended - began).total_seconds(), 3),
        "exit_code": state["ExitCode"], "signal": None, "oom_killed": state["OOMKilled"],
        "last_lines": last.stdout.splitlines(), "image_id": container["Image"],
        "recipe": (container["Config"]["Labels"] or {}).get("io.gpucheck.recipe"),
    }  # fmt: skip


if __name__ == "__main__":
    main()
