"""The verification from end to end: examine the host, choose the image, run the payload there, judge the evidence."""

from __future__ import annotations

import math
import os
import re
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gpucheck import (
    codec,
    compat,
    containers,
    datasets,
    engine,
    environments,
    gpu_requests,
    keeping,
    machines,
    offers,
    plans,
    recipes,
    sampling,
)
from gpucheck.facts import Docker, Driver, Facts, Kernel, Nvml, Pci, Request
from gpucheck.host import Host
from gpucheck.model import Failure, Report, Say
from gpucheck.probes import PROBES
from gpucheck.recipes import Recipe
from gpucheck.rules import ANSWER, RUN_RULES, WORLD_RULES
from gpucheck.witnesses import WITNESSES, WORLD_WITNESSES

PAYLOADS = Path(__file__).with_name("payloads")
INSIDE = "/opt/gpucheck"  # the folder of a run in its container
ELSEWHERE = "the Docker Engine is on another machine"
BACKENDS = ("tensorflow", "torch", "jax")  # Keras's; the first is the default
CUDA_CACHE = "/tmp/cuda"  # noqa: S108 - in the container, whose user may have no home to write to
WORLD_SECONDS = 600.0  # at most, that a node waits for the others: their images are built while it waits
NETWORK = ("NCCL_", "GLOO_")  # variables that choose the interface between nodes, or tell of it
STEP = re.compile(r"epoch (\d+)/(\d+), step (\d+)/(\d+)")


# In an image of anybody's: whichever of them it has.
PYTHON = ("/bin/sh", "-c", 'exec "$(command -v python3 || command -v python || echo python3)" "$@"', "gpucheck")


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What `gpucheck verify` was asked for. None of epochs and batch_size: the training recipe's own."""

    framework: str = "tensorflow"
    backend: str | None = None  # Keras's
    device: str = "gpu"
    devices: int = 1
    where: str = "auto"  # auto, docker, podman or host
    python: str | None = None  # an interpreter that has the framework, instead of an environment of our own
    image: str | None = None  # the name of a recipe of ours, or anybody's image
    base: str | None = None
    ca_bundle: Path | None = None
    network: str | None = None  # of the build
    data: str = "auto"
    recipe: str = "fast"  # of the training: fast or tutorial
    epochs: int | None = None
    batch_size: int | None = None
    validation_split: float = 0.0
    seed: int = 0
    limit: int | None = None
    control: bool = True
    world: str | None = None  # RANK@HOST,HOST,…:PORT, where this is one node of several that train together
    timeout: float = 3600.0  # seconds for the run
    keep: Path | None = None

    @property
    def frameworks(self) -> tuple[str, ...]:
        """The modules whose ops are looked for."""
        module = {"pytorch": "torch"}.get(self.framework, self.framework)
        return (module, self.backend or BACKENDS[0]) if module == "keras" else (module,)


def verify(
    wish: Wish, host: Host, cache: Path, say: Say, watched: Callable[[sampling.Watch], object] = lambda _watch: None
) -> Report:  # fmt: skip
    """Run the payload of `wish` and judge what the witnesses saw. Raises Failure.

    `watched` gets what watches the GPUs meanwhile, so that somebody can glance at them.
    """
    say("examining the machine", None)
    facts = engine.collect(PROBES, host)
    why_host = "an interpreter was named" if wish.python else _why_host(wish, facts)
    book = recipes.load()
    foreign = recipes.foreign(book, wish.image) if wish.image else None
    if foreign and why_host:
        raise Failure(
            f"{foreign} is an image, and no container can be run: {why_host}", "start Docker, or no `--on host`"
        )
    data = datasets.find(wish.data, cache, _fetching(say))
    with keeping.folder(wish.keep) as evidence, ExitStack() as stack:
        client = None if why_host else stack.enter_context(closing(containers.choose(wish.where, say)))
        elsewhere = ELSEWHERE if client and not containers.is_local(client) else None
        if elsewhere:
            facts = _of_another_machine(facts, wish)
        if client and wish.device == "gpu":
            gpu_requests.check_lent(os.environ, facts)
        plan = None if foreign or wish.python else _plan(wish, book, facts)
        shutil.copytree(PAYLOADS, evidence / "program" / "payloads", ignore=shutil.ignore_patterns("__pycache__"))
        with sampling.watching(evidence, blind=elsewhere) as watch:
            watched(watch)
            if client:
                image, ran = _in_container(wish, plan, foreign, data, evidence, client, facts, watch, say)
            else:
                image, ran = None, _on_host(wish, plan.recipe if plan else None, data, evidence, cache, watch, say)
        options = {name: str(value) for name, value in asdict(wish).items() if value is not None}
        # After the run, so that nothing in it can rewrite the question.
        keeping.write(evidence / "asked.json", {
            "schema": 1, "framework": wish.framework, "frameworks": list(wish.frameworks), "device": wish.device,
            "devices": wish.devices, "options": options, "where": "container" if client else "host",
            "where_why": why_host, "data": data.source, "image_id": image,
            "image": foreign or (plan.recipe.image_tag if plan and client else None),
            **recipes.told(plan.recipe if plan else None), "reason": plan.reason if plan else "named",
        })  # fmt: skip
        keeping.write(evidence / "ran.json", ran)
        keeping.write(evidence / "host.json", codec.dump(facts))
        return _judge(evidence, facts)


def _fetching(say: Say) -> datasets.Progress:
    start = time.monotonic()

    def progress(done: int, whole: int | None) -> None:
        rate = done / max(0.001, time.monotonic() - start) / 1e6
        say(f"fetching CIFAR-10: {done / 1e6:.0f} MB, {rate:.1f} MB/s", done / whole if whole else None)

    return progress


def _plan(wish: Wish, book: Mapping[str, Recipe], facts: Facts) -> plans.Plan:
    """Raises Failure."""
    if wish.image:
        return plans.Plan(recipe=recipes.find(book, wish.image), reason="named")
    wanted = offers.Wish(framework=wish.framework, device=wish.device, backend=wish.backend)
    tables = compat.load()
    return plans.choose(book, machines.machine_of(facts, tables), wanted, tables)


def rejudge(evidence: Path) -> Report:
    """The report of a kept evidence folder. Raises Failure where it is none."""
    return _judge(evidence, keeping.host_of(evidence), name=evidence.name)


def _judge(evidence: Path, host: Facts, name: str | None = None) -> Report:
    facts, rules = host | engine.collect(WITNESSES, evidence, deadline=300.0), RUN_RULES
    asked = facts.known.get(Request)
    if asked is None or "--world" in asked.command:  # whether it was asked for may be what is not known
        facts, rules = facts | engine.collect(WORLD_WITNESSES, evidence), (*RUN_RULES, *WORLD_RULES)
    return engine.report("verify", facts, engine.judge(rules, facts, compat.load()), host=name, answer=ANSWER)


def _why_host(wish: Wish, facts: Facts) -> str | None:
    """Why it runs on this host and in no container; None where it runs in one."""
    if wish.where == "host":
        return "as asked"
    docker = facts.known.get(Docker)
    if wish.where == "podman" or (docker and docker.server):
        return None
    if wish.where == "auto" and docker and docker.podman:
        return None
    reason = (docker.error if docker else facts.unknown.get(Docker)) or "Docker is not installed"
    if wish.where == "docker":
        raise Failure(f"no Docker Engine answers: {reason}", "`gpucheck doctor --only docker`, or `--on host`", 1)
    return f"no Docker Engine answers: {reason}"


def _of_another_machine(facts: Facts, wish: Wish) -> Facts:
    """What this machine says of GPUs is nothing about the engine's. Raises Failure where a plan would need it."""
    if wish.device == "gpu" and not wish.image:
        raise Failure(f"{ELSEWHERE}, whose GPUs are not known here", "name the image, or its recipe: `--image`")
    hidden = {Pci, Kernel, Driver, Nvml}
    known = {subject: fact for subject, fact in facts.known.items() if subject not in hidden}
    return Facts(known=known, unknown={**facts.unknown, **dict.fromkeys(hidden, ELSEWHERE)})


def _arguments(wish: Wish, out: str, data: str | None) -> list[str]:
    options: dict[str, Any] = {
        "out": out, "device": wish.device, "devices": wish.devices, "recipe": wish.recipe,
        "batch-size": wish.batch_size, "epochs": wish.epochs, "validation-split": wish.validation_split,
        "seed": wish.seed, "data": data, "limit": wish.limit, "backend": wish.backend, "world": wish.world,
        "world-seconds": math.ceil(min(WORLD_SECONDS, wish.timeout / 4)) if wish.world else None,
    }  # fmt: skip
    given = [word for name, value in options.items() if value is not None for word in (f"--{name}", str(value))]
    return ["-m", f"payloads.{wish.framework}", *given, *([] if wish.control else ["--no-control"])]


def _with_share(say: Say) -> Say:
    """The payload's own words, and how much of the training they say is done."""

    def said(line: str, share: float | None) -> None:
        if step := STEP.search(line):
            epoch, epochs, at, steps = map(int, step.groups())
            share = (epoch - 1 + at / max(1, steps)) / epochs
        say(line, share)

    return said


def _on_host(
    wish: Wish, recipe: Recipe | None, data: datasets.Dataset, evidence: Path, cache: Path, watch: sampling.Watch,
    say: Say,
) -> dict[str, Any]:  # fmt: skip
    """What ran.json says of the run. Without a recipe it is in the interpreter that was named."""
    python: Path | str = wish.python or ""
    if recipe:
        python = environments.prepare(recipe.lock_path, recipe.pythons, cache, say, recipe.hint)
    started = keeping.now()
    argv = [str(python), *_arguments(wish, str(evidence), str(data.folder) if data.folder else None)]
    environment = environments.clean_environment(PYTHONPATH=str(evidence / "program"))
    if recipe and "tensorflow" in wish.frameworks:
        environment |= environments.nvidia_libraries(Path(python))
    ended = environments.run(
        argv, environment, evidence / "payload.err", _with_share(say), wish.timeout, lambda pid: watch.follow(pid=pid)
    )
    return {
        "started": started, "seconds": ended.seconds, "exit_code": ended.exit_code, "signal": ended.signal,
        "oom_killed": False, "last_lines": list(ended.last_lines), "image_id": None,
        "recipe": recipe.name if recipe else None,
    }  # fmt: skip


def _of_the_network() -> dict[str, str]:
    """What the user says of the way between the nodes: on the host it is there anyway."""
    return {name: value for name, value in os.environ.items() if name.startswith(NETWORK)}


def _in_container(
    wish: Wish, plan: plans.Plan | None, foreign: str | None, data: datasets.Dataset, evidence: Path,
    client: containers.Engine, facts: Facts, watch: sampling.Watch, say: Say,
) -> tuple[str, dict[str, Any]]:  # fmt: skip
    """The id of the image that was asked for, and what ran.json says of the run."""
    files = {f"{INSIDE}/payloads": evidence / "program" / "payloads"}
    if data.folder:
        files |= {f"{INSIDE}/data/{name}": data.folder / name for name in datasets.BATCHES}
    if plan:
        recipe = plan.recipe
        image = containers.find_image(recipe, client, wish.base) or containers.build(
            recipe,
            base=wish.base,
            ca_bundle=wish.ca_bundle,
            network=wish.network,
            plan=plan.reason,
            say=say,
            client=client,
        )
        gpus = recipe.device == "cuda"
    else:
        image = containers.fetch_image(str(foreign), client, say)
        pci, nvml = facts.known.get(Pci), facts.known.get(Nvml)
        gpus = pci is None or bool(pci.gpus) or bool(nvml and nvml.gpus)
    started = keeping.now()
    ran = containers.run(
        image, [*PYTHON, *_arguments(wish, f"{INSIDE}/evidence", f"{INSIDE}/data" if data.folder else None)],
        gpus=gpus and wish.device == "gpu", files_in=files,
        collect={f"{INSIDE}/evidence": evidence},
        environment={
            **(_of_the_network() if wish.world else {}),
            "PYTHONPATH": INSIDE, "PYTHONUNBUFFERED": "1", "CUDA_CACHE_PATH": CUDA_CACHE,
        },
        timeout=wish.timeout, say=_with_share(say), client=client, started=lambda name: watch.follow(cgroup=name),
        network="host" if wish.world else "none",
    )  # fmt: skip
    return image, {
        "started": started, "seconds": ran.seconds, "exit_code": ran.exit_code, "signal": None,
        "oom_killed": ran.oom_killed, "last_lines": list(ran.last_lines), "image_id": ran.image_id,
        "recipe": ran.recipe,
    }  # fmt: skip
