"""The proof from end to end: run any command with the hook in its Python, gather what it tells, judge the evidence."""

from __future__ import annotations

import errno
import gzip
import os
import shutil
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gpucheck import codec, compat, containers, engine, following, gpu_requests, keeping, recipes, sampling
from gpucheck.facts import Facts, Nvml, Pci
from gpucheck.host import Host
from gpucheck.model import Failure, Report, Say
from gpucheck.placement_lines import PlacementLines
from gpucheck.probes import PROBES
from gpucheck.rules import ANSWER, PROVE_RULES
from gpucheck.sieve import Filter
from gpucheck.streams import HEAD
from gpucheck.witnesses.command import PROVE_WITNESSES

PAYLOADS = Path(__file__).with_name("payloads")
HOOK = "payloads/hook"  # in the folder of a run's programs; sitecustomize.py is there
INSIDE = "/opt/gpucheck"  # the folder of a run in its container
# Empty files by which the hook tells what of the output is ours (payloads/hook/marks.py).
SWITCHED_ON, PLACEMENT_WANTED, PROFILER_WANTED = "switched-on", "placement-is-wanted", "profiler-is-wanted"
NOT_FOUND, NOT_EXECUTABLE = 127, 126  # exit codes, as of shells
IN_FOLDER = ("/bin/sh", "-c", 'cd "$0" && exec "$@"')


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What `gpucheck prove` was asked for."""

    command: tuple[str, ...]
    device: str = "gpu"
    timeout: float | None = None  # seconds for the command
    image: str | None = None
    folder: Path | None = None  # that goes into the container, and is where the command starts
    keep: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    report: Report
    exit_code: int  # the command's own; 128 + the signal where one ended it
    timed_out: bool


class NotStarted(Failure):
    """The command itself could not be started; `code` is what a shell would have ended with."""

    def __init__(self, sentence: str, tip: str, code: int) -> None:
        super().__init__(sentence, tip)
        self.code = code


def prove(wish: Wish, host: Host, say: Say) -> Proof:
    """Run the command of `wish` and judge what the witnesses saw. `say` gets what we have to say ourselves.

    Raises Failure, NotStarted where there is no such command.
    """
    with keeping.folder(wish.keep) as evidence:
        shutil.copytree(PAYLOADS, evidence / "program" / "payloads", ignore=shutil.ignore_patterns("__pycache__"))
        lines = PlacementLines()
        started = keeping.now()
        if wish.image:
            say("examining the machine", None)
            facts = engine.collect(PROBES, host)
            image, ran = _in_container(wish, wish.image, evidence, facts, lines, say)
        else:
            image, ran = None, _on_host(wish, evidence, lines, say)
            facts = engine.collect(PROBES, host)  # after the run, which is not kept waiting
        recipe = ran.pop("recipe_asked", None)
        options = {name: str(value) for name, value in asdict(wish).items() if name != "command" and value is not None}
        keeping.write(evidence / "asked.json", {
            "schema": 1, "command": list(wish.command), "device": wish.device, "devices": 1, "options": options,
            "where": "container" if wish.image else "host", "where_why": None, "image_id": image,
            "image": recipe.image_tag if recipe else wish.image, **recipes.told(recipe),
            "reason": "named" if wish.image else None,
        })  # fmt: skip
        keeping.write(evidence / "ran.json", {"started": started, **ran})
        keeping.write(evidence / "host.json", codec.dump(facts))
        lines.write(evidence, "command")
        code = ran["exit_code"] if ran["exit_code"] is not None else 128 + (ran["signal"] or 0)
        return Proof(report=judge(evidence, facts), exit_code=code, timed_out=ran["timed_out"])


def rejudge(evidence: Path) -> Report:
    """The report of a kept evidence folder. Raises Failure where it is none."""
    return judge(evidence, keeping.host_of(evidence), name=evidence.name)


def judge(evidence: Path, host: Facts, name: str | None = None) -> Report:
    """`host` is what is known of the machine, `name` the report's where it is not this machine's."""
    facts = host | engine.collect(PROVE_WITNESSES, evidence, deadline=300.0)
    return engine.report("prove", facts, engine.judge(PROVE_RULES, facts, compat.load()), host=name, answer=ANSWER)


def observed(environment: dict[str, str], programs: str, evidence: str) -> dict[str, str]:
    """The environment in which every Python starts the hook.

    TF_CPP_MIN_LOG_LEVEL stays as it is: 0 is TensorFlow's own default, and to set it would overrule what a script or
    JAX sets where nothing was set, and so change what the command prints. The placer writes to stdout at any level.
    """
    path = [f"{programs}/{HOOK}", *filter(None, [environment.get("PYTHONPATH")])]
    return {**environment, "PYTHONPATH": os.pathsep.join(path), "GPUCHECK_PROVE": evidence}


def _on_host(wish: Wish, evidence: Path, lines: PlacementLines, say: Say) -> dict[str, Any]:
    """What ran.json says of the run."""
    mark = f"GPUCHECK_PROVE={evidence}"

    def ours(wanted: str) -> bool:
        return (evidence / SWITCHED_ON).exists() and not (evidence / wanted).exists()

    with sampling.watching(evidence) as watch:
        try:
            ended = following.follow(
                wish.command, observed(dict(os.environ), str(evidence / "program"), str(evidence)),
                lambda: Filter(lines.keep, lambda: ours(PLACEMENT_WANTED), lambda: ours(PROFILER_WANTED)),
                deadline=wish.timeout, started=lambda pid: watch.follow(pid=pid, mark=mark),
                notice=lambda line: say(line, None),
            )  # fmt: skip
        except following.CannotStart as error:
            number, words = error.args
            if number == errno.ENOENT:
                raise NotStarted(f"{wish.command[0]}: command not found", "is it on PATH?", NOT_FOUND) from error
            raise NotStarted(
                f"{wish.command[0]}: {words}", "can it be run without gpucheck?", NOT_EXECUTABLE
            ) from error
    for name, head in ended.heads.items():
        (evidence / f"command.{name}.gz").write_bytes(gzip.compress(head))
    return {
        "seconds": ended.seconds, "exit_code": ended.exit_code, "signal": ended.signal, "oom_killed": False,
        "last_lines": ended.last_lines, "image_id": None, "recipe": None, "timed_out": ended.timed_out,
    }  # fmt: skip


def _in_container(
    wish: Wish, name: str, evidence: Path, facts: Facts, lines: PlacementLines, say: Say
) -> tuple[str, dict[str, Any]]:  # fmt: skip
    """The id of the image, and what ran.json says. The engine's log has both streams in one, line by line."""
    if wish.device == "gpu":
        gpu_requests.check_lent(os.environ, facts)
    pci, nvml = facts.known.get(Pci), facts.known.get(Nvml)
    gpus = pci is None or bool(pci.gpus) or bool(nvml and nvml.gpus)
    sieve, head, running = Filter(lines.keep, lambda: True, lambda: True), bytearray(), [False]

    def said(line: str, share: float | None) -> None:
        if not running[0]:
            say(line, share)
            return
        passed = sieve.feed(f"{line}\n".encode())
        head.extend(passed[: max(0, HEAD - len(head))])
        os.write(1, passed)

    with closing(containers.choose("auto", say)) as client:
        if not containers.is_local(client):
            raise Failure("the Docker Engine is on another machine, whose GPUs are not seen from here", "run it there")
        image, recipe = _image(name, client, say)
        with sampling.watching(evidence) as watch:

            def started(container: str) -> None:
                watch.follow(cgroup=container)
                running[0] = True

            files, command = {f"{INSIDE}/payloads": evidence / "program" / "payloads"}, wish.command
            if wish.folder:
                files[f"{INSIDE}/with"] = wish.folder
                command = (*IN_FOLDER, f"{INSIDE}/with", *command)
            ran = containers.run(
                image, command, gpus=gpus and wish.device == "gpu", files_in=files, timeout=wish.timeout, say=said,
                collect={f"{INSIDE}/evidence": evidence}, client=client, started=started,
                environment=observed(containers.environment_of(image, client), INSIDE, f"{INSIDE}/evidence"),
            )  # fmt: skip
    (evidence / "command.out.gz").write_bytes(gzip.compress(head))
    return image, {
        "seconds": ran.seconds, "exit_code": ran.exit_code, "signal": None, "oom_killed": ran.oom_killed,
        "last_lines": list(ran.last_lines), "image_id": ran.image_id, "timed_out": False, "recipe_asked": recipe,
        "recipe": ran.recipe if recipe else None,
    }  # fmt: skip


def _image(name: str, client: containers.Engine, say: Say) -> tuple[str, recipes.Recipe | None]:
    """The image's id, and the recipe that it was asked for by."""
    book = recipes.load()
    foreign = recipes.foreign(book, name)
    if foreign:
        return containers.fetch_image(foreign, client, say), None
    recipe = recipes.find(book, name)
    return containers.find_image(recipe, client) or containers.build(recipe, say=say, client=client), recipe
