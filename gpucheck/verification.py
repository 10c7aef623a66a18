"""The verification from end to end: examine the host, choose the image, run the payload there, judge the evidence."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gpucheck import codec, compat, containers, datasets, engine, environments, plans, recipes
from gpucheck.environments import Say
from gpucheck.facts import Docker, Facts
from gpucheck.host import Host
from gpucheck.model import Failure, Report
from gpucheck.probes import PROBES
from gpucheck.recipes import Recipe
from gpucheck.rules import ANSWER, RUN_RULES
from gpucheck.witnesses import WITNESSES

PAYLOADS = Path(__file__).with_name("payloads")


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
    book = recipes.load()
    recipe = recipes.find(book, wish.recipe) if wish.recipe else None
    plan = plans.Plan(recipe=recipe, reason="named") if recipe else plans.choose(
        book, facts, framework=wish.framework, device=wish.device
    )  # fmt: skip
    where = _where(wish, facts, say)
    data = datasets.find(
        wish.data, cache, lambda done, whole: say("fetching CIFAR-10", done / whole if whole else None)
    )
    with _evidence_folder(wish.keep) as evidence:
        options = {name: str(value) for name, value in asdict(wish).items() if value is not None}
        _write(evidence / "asked.json", {
            "schema": 1, "framework": wish.framework, "device": wish.device, "where": where, "options": options,
            "image": plan.recipe.image_tag if where == "container" else None, "image_id": None,
            "recipe": plan.recipe.name, "reason": plan.reason, "data": data.source,
        })  # fmt: skip
        shutil.copytree(PAYLOADS, evidence / "program" / "payloads", ignore=shutil.ignore_patterns("__pycache__"))
        ran = (_in_container if where == "container" else _on_host)(wish, plan.recipe, data, evidence, cache, say)
        _write(evidence / "ran.json", ran)
        _write(evidence / "host.json", codec.dump(facts))
        return _judge(evidence, facts)


def rejudge(evidence: Path) -> Report:
    """The report of a kept evidence folder. Raises Failure where it is none."""
    try:
        facts = codec.load(Facts, json.loads((evidence / "host.json").read_text()))
    except (OSError, ValueError) as error:
        raise Failure(f"{evidence} holds no evidence of a run: {error}", "keep one with `--keep DIR`") from error
    return _judge(evidence, facts, name=evidence.name)


def _judge(evidence: Path, host: Facts, name: str | None = None) -> Report:
    facts = host | engine.collect(WITNESSES, evidence, deadline=300.0)
    return engine.report("verify", facts, engine.judge(RUN_RULES, facts, compat.load()), host=name, answer=ANSWER)


def _where(wish: Wish, facts: Facts, say: Say) -> str:
    docker = facts.known.get(Docker)
    reason = (docker.error if docker else facts.unknown.get(Docker)) or "Docker is not installed"
    if wish.where == "host":
        return "host"
    if docker and docker.server:
        return "container"
    if wish.where == "docker":
        raise Failure(f"no Docker Engine answers: {reason}", "`gpucheck doctor --only docker`, or `--on host`", 1)
    say(f"no Docker Engine answers ({reason}): running on this host", None)
    return "host"


def _arguments(wish: Wish, out: str, data: str | None) -> list[str]:
    options: dict[str, Any] = {
        "out": out, "device": wish.device, "batch-size": wish.batch_size, "epochs": wish.epochs,
        "validation-split": wish.validation_split, "seed": wish.seed, "data": data, "limit": wish.limit,
    }  # fmt: skip
    given = {name: value for name, value in options.items() if value is not None}
    return ["-m", f"payloads.{wish.framework}", *(word for n, v in given.items() for word in (f"--{n}", str(v)))]


def _on_host(
    wish: Wish, recipe: Recipe, data: datasets.Dataset, evidence: Path, cache: Path, say: Say
) -> dict[str, Any]:
    python = environments.prepare(recipe.name, recipe.lock_path, recipe.pythons, cache, say)
    started = _now()
    argv = [str(python), *_arguments(wish, str(evidence), str(data.folder) if data.folder else None)]
    environment = environments.clean_environment(PYTHONPATH=str(evidence / "program"))
    ended = environments.run(argv, environment, evidence / "payload.err", say, wish.timeout)
    return {"exit_code": ended.exit_code, "signal": ended.signal, "image_id": None, "recipe": recipe.name,
            "started": started, "seconds": ended.seconds}  # fmt: skip


def _in_container(
    wish: Wish, recipe: Recipe, data: datasets.Dataset, evidence: Path, _cache: Path, say: Say
) -> dict[str, Any]:
    files = {"/opt/gpucheck/payloads": evidence / "program" / "payloads"}
    if data.folder:
        files["/opt/gpucheck/data"] = data.folder
    command = ["python", *_arguments(wish, "/opt/gpucheck/evidence", "/opt/gpucheck/data" if data.folder else None)]
    with closing(containers.connect()) as client:
        image = containers.find_image(recipe, client) or containers.build(
            recipe, base=wish.base, ca_bundle=wish.ca_bundle, network=wish.network, say=say, client=client
        )
        _write(evidence / "asked.json", {**json.loads((evidence / "asked.json").read_text()), "image_id": image})
        started = _now()
        ran = containers.run(
            image, command, gpus=recipe.device == "cuda", files_in=files, collect={"/opt/gpucheck/evidence": evidence},
            environment={"PYTHONPATH": "/opt/gpucheck", "PYTHONUNBUFFERED": "1"}, timeout=wish.timeout, say=say,
            client=client,
        )  # fmt: skip
    return {"exit_code": ran.exit_code, "signal": None, "image_id": ran.image_id, "recipe": ran.recipe,
            "started": started, "seconds": ran.seconds}  # fmt: skip


@contextmanager
def _evidence_folder(keep: Path | None) -> Iterator[Path]:
    """A temporary folder; its content is moved to `keep` when the run was whole enough to be judged."""
    if keep and keep.exists() and any(keep.iterdir()):
        raise Failure(f"{keep} is not empty", "give a new folder: evidence is never mixed")
    with tempfile.TemporaryDirectory(prefix="gpucheck-") as temporary:
        folder = Path(temporary) / "evidence"
        folder.mkdir()
        yield folder
        if keep:
            keep.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(folder, keep, dirs_exist_ok=True)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _write(path: Path, data: dict[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=1) + "\n")
