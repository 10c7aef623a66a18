"""The verification from end to end: examine the host, choose the image, run the payload there, judge the evidence."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpucheck import codec, compat, containers, datasets, engine, environments, plans, recipes
from gpucheck.facts import Docker, Driver, Facts, Kernel, Nvml, Pci
from gpucheck.host import Host
from gpucheck.model import Failure, Report, Say
from gpucheck.probes import PROBES
from gpucheck.recipes import Recipe
from gpucheck.rules import ANSWER, RUN_RULES
from gpucheck.witnesses import WITNESSES

if TYPE_CHECKING:
    from docker import DockerClient

PAYLOADS = Path(__file__).with_name("payloads")
INSIDE = "/opt/gpucheck"  # the folder of a run in its container
LOCAL = "http+docker://localhost"  # how docker-py calls an engine on this machine
STEP = re.compile(r"epoch (\d+)/(\d+), step (\d+)/(\d+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What `gpucheck verify` was asked for."""

    framework: str = "tensorflow"
    device: str = "gpu"
    where: str = "auto"  # auto, docker or host
    recipe: str | None = None
    base: str | None = None
    ca_bundle: Path | None = None
    network: str | None = None  # of the build
    data: str = "auto"
    epochs: int = 3
    batch_size: int = 32
    validation_split: float = 0.0
    seed: int = 0
    limit: int | None = None
    timeout: float = 3600.0  # seconds for the run
    keep: Path | None = None


def verify(wish: Wish, host: Host, cache: Path, say: Say) -> Report:
    """Run the payload of `wish` and judge what the witnesses saw. Raises Failure."""
    say("examining the machine", None)
    facts = engine.collect(PROBES, host)
    why_host = _why_host(wish, facts)
    book = recipes.load()
    named = recipes.find(book, wish.recipe) if wish.recipe else None
    data = datasets.find(
        wish.data, cache, lambda done, whole: say("fetching CIFAR-10", done / whole if whole else None)
    )
    with _evidence_folder(wish.keep) as evidence, ExitStack() as stack:
        client = None if why_host else stack.enter_context(closing(containers.connect()))
        if client and client.api.base_url != LOCAL:
            facts = _of_another_machine(facts, wish)
        plan = (
            plans.Plan(recipe=named, reason="named")
            if named
            else plans.choose(book, facts, framework=wish.framework, device=wish.device)
        )
        shutil.copytree(PAYLOADS, evidence / "program" / "payloads", ignore=shutil.ignore_patterns("__pycache__"))
        if client:
            image, ran = _in_container(wish, plan.recipe, data, evidence, client, say)
        else:
            image, ran = None, _on_host(wish, plan.recipe, data, evidence, cache, say)
        options = {name: str(value) for name, value in asdict(wish).items() if value is not None}
        # After the run, so that nothing in it can rewrite the question.
        _write(evidence / "asked.json", {
            "schema": 1, "framework": wish.framework, "device": wish.device, "options": options,
            "where": "container" if client else "host", "where_why": why_host, "data": data.source,
            "image": plan.recipe.image_tag if client else None, "image_id": image,
            "recipe": plan.recipe.name, "reason": plan.reason,
        })  # fmt: skip
        _write(evidence / "ran.json", ran)
        _write(evidence / "host.json", codec.dump(facts))
        return _judge(evidence, facts)


def rejudge(evidence: Path) -> Report:
    """The report of a kept evidence folder. Raises Failure where it is none."""
    try:
        facts = codec.load(Facts, json.loads((evidence / "host.json").read_text()))
    except (OSError, ValueError, RecursionError) as error:
        raise Failure(f"{evidence} holds no evidence of a run: {error}", "keep one with `--keep DIR`") from error
    return _judge(evidence, facts, name=evidence.name)


def _judge(evidence: Path, host: Facts, name: str | None = None) -> Report:
    facts = host | engine.collect(WITNESSES, evidence, deadline=300.0)
    return engine.report("verify", facts, engine.judge(RUN_RULES, facts, compat.load()), host=name, answer=ANSWER)


def _why_host(wish: Wish, facts: Facts) -> str | None:
    """Why it runs on this host and in no container; None where it runs in one."""
    if wish.where == "host":
        return "as asked"
    docker = facts.known.get(Docker)
    if docker and docker.server:
        return None
    reason = (docker.error if docker else facts.unknown.get(Docker)) or "Docker is not installed"
    if wish.where == "docker":
        raise Failure(f"no Docker Engine answers: {reason}", "`gpucheck doctor --only docker`, or `--on host`", 1)
    return f"no Docker Engine answers: {reason}"


def _of_another_machine(facts: Facts, wish: Wish) -> Facts:
    """What this machine says of GPUs is nothing about the engine's. Raises Failure where a plan would need it."""
    reason = "the Docker Engine is on another machine"
    if wish.device == "gpu" and not wish.recipe:
        raise Failure(f"{reason}, whose GPUs are not known here", "name the image's recipe: `--recipe`")
    hidden = {Pci, Kernel, Driver, Nvml}
    known = {subject: fact for subject, fact in facts.known.items() if subject not in hidden}
    return Facts(known=known, unknown={**facts.unknown, **dict.fromkeys(hidden, reason)})


def _arguments(wish: Wish, out: str, data: str | None) -> list[str]:
    options: dict[str, Any] = {
        "out": out, "device": wish.device, "batch-size": wish.batch_size, "epochs": wish.epochs,
        "validation-split": wish.validation_split, "seed": wish.seed, "data": data, "limit": wish.limit,
    }  # fmt: skip
    given = {name: value for name, value in options.items() if value is not None}
    return ["-m", f"payloads.{wish.framework}", *(word for n, v in given.items() for word in (f"--{n}", str(v)))]


def _with_share(say: Say) -> Say:
    """The payload's own words, and how much of the training they say is done."""

    def said(line: str, share: float | None) -> None:
        if step := STEP.search(line):
            epoch, epochs, at, steps = map(int, step.groups())
            share = (epoch - 1 + at / max(1, steps)) / epochs
        say(line, share)

    return said


def _on_host(
    wish: Wish, recipe: Recipe, data: datasets.Dataset, evidence: Path, cache: Path, say: Say
) -> dict[str, Any]:
    """What ran.json says of the run."""
    python = environments.prepare(recipe.name, recipe.lock_path, recipe.pythons, cache, say)
    started = _now()
    argv = [str(python), *_arguments(wish, str(evidence), str(data.folder) if data.folder else None)]
    environment = environments.clean_environment(PYTHONPATH=str(evidence / "program"))
    ended = environments.run(argv, environment, evidence / "payload.err", _with_share(say), wish.timeout)
    return {
        "started": started, "seconds": ended.seconds, "exit_code": ended.exit_code, "signal": ended.signal,
        "oom_killed": False, "last_lines": list(ended.last_lines), "image_id": None, "recipe": recipe.name,
    }  # fmt: skip


def _in_container(
    wish: Wish, recipe: Recipe, data: datasets.Dataset, evidence: Path, client: DockerClient, say: Say
) -> tuple[str, dict[str, Any]]:
    """The id of the image that was asked for, and what ran.json says of the run."""
    files = {f"{INSIDE}/payloads": evidence / "program" / "payloads"}
    if data.folder:
        files |= {f"{INSIDE}/data/{name}": data.folder / name for name in datasets.BATCHES}
    command = ["python", *_arguments(wish, f"{INSIDE}/evidence", f"{INSIDE}/data" if data.folder else None)]
    image = containers.find_image(recipe, client, wish.base) or containers.build(
        recipe, base=wish.base, ca_bundle=wish.ca_bundle, network=wish.network, say=say, client=client
    )
    started = _now()
    ran = containers.run(
        image, command, gpus=recipe.device == "cuda" and wish.device == "gpu", files_in=files,
        collect={f"{INSIDE}/evidence": evidence}, environment={"PYTHONPATH": INSIDE, "PYTHONUNBUFFERED": "1"},
        timeout=wish.timeout, say=_with_share(say), client=client,
    )  # fmt: skip
    return image, {
        "started": started, "seconds": ran.seconds, "exit_code": ran.exit_code, "signal": None,
        "oom_killed": ran.oom_killed, "last_lines": list(ran.last_lines), "image_id": ran.image_id,
        "recipe": ran.recipe,
    }  # fmt: skip


@contextmanager
def _evidence_folder(keep: Path | None) -> Iterator[Path]:
    """A temporary folder; what is in it at the end goes to `keep`, also when the run failed, not when interrupted."""
    made = keep is not None and not keep.exists()
    if keep:
        try:
            keep.mkdir(parents=True, exist_ok=True)
            full = any(keep.iterdir())
        except OSError as error:
            raise Failure(
                f"{keep} cannot be used: {error.strerror}", "give a new folder where you may write"
            ) from error
        if full:
            raise Failure(f"{keep} is not empty", "give a new folder: evidence is never mixed")
    with tempfile.TemporaryDirectory(prefix="gpucheck-") as temporary:
        folder = Path(temporary) / "evidence"
        folder.mkdir()
        interrupted = True
        try:
            yield folder
            interrupted = False
        except Exception:
            interrupted = False
            raise
        finally:
            if keep and interrupted and made:
                keep.rmdir()
            elif keep and not interrupted:
                shutil.copytree(folder, keep, dirs_exist_ok=True)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _write(path: Path, data: dict[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=1) + "\n")
