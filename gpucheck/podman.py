"""Images and runs by Podman's own command: Docker's API, as Podman imitates it, ignores GPUs before Podman 5.4."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from gpucheck import archives, building, buildkit, packed, podman_command, refusals, running
from gpucheck.facts import Version
from gpucheck.model import Failure, Say
from gpucheck.recipes import Recipe
from gpucheck.running import Ran

GPUS = "nvidia.com/gpu=all"
KNOWS_CDI = Version("4.1")
STEP = re.compile(r"(?:\[(\d+)/(\d+)\] )?STEP (\d+)/(\d+): (.*)")


class Podman:
    """What containers.py asks of an engine. Each question is a command of its own; nothing stays open."""

    def __init__(self, command: str = "podman") -> None:
        """Raises Failure where there is no such command, or it does not work."""
        self._command = podman_command.Command(command)
        self.version = Version(self._command.json("version", "--format", "json")["Client"]["Version"])
        self._info: dict[str, Any] = self._command.json("info", "--format", "json")

    def close(self) -> None:
        """Nothing is open; for contextlib.closing, as an engine's client."""

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine."""
        return not self._info["host"].get("serviceIsRemote")

    def image(self, name: str) -> dict[str, Any] | None:
        """What `podman image inspect` tells; None where there is no such image."""
        if not self._command.affirms("image", "exists", name):
            return None
        told = self._command.json("image", "inspect", name)[0]
        return {**told, "Id": f"sha256:{told['Id']}", "Labels": told.get("Labels") or {}}

    def find_image(self, recipe: Recipe, base: str | None = None) -> str | None:
        """As containers.find_image."""
        image = self.image(recipe.image_tag)
        if image is None or image["Labels"].get(f"{building.LABEL}.digest") != recipe.digest:
            return None
        return str(image["Id"]) if base in (None, image["Labels"].get(building.BASE_LABEL)) else None

    def fetch_image(self, name: str, say: Say) -> str:
        """As containers.fetch_image."""
        image = self.image(name)
        if image is None:
            say(f"pulling {name}", None)
            self._command.ask("pull", "--quiet", name)
            image = self.image(name)
        if image is None:
            raise Failure(f"{name} was pulled and is not there", "`podman images` shows what is", 1)
        return str(image["Id"])

    def environment_of(self, image: str) -> dict[str, str]:
        """As containers.environment_of."""
        own = self._command.json("image", "inspect", image)[0]["Config"].get("Env") or []
        return dict(row.partition("=")[::2] for row in own)

    def build(
        self, recipe: Recipe, *, base: str | None, ca_bundle: Path | None, bake_ca: bool, network: str | None,
        plan: str | None, pack: Path | None, say: Say,
    ) -> str:  # fmt: skip
        """As containers.build: with the same Dockerfile, files and labels."""
        opened = building.open_pack(pack, recipe, base, network, say) if pack else None
        recipe = opened.recipe if opened else recipe
        name = opened.base if opened else base or recipe.base
        # Podman gives every image a digest, so that a registry's cannot be told from its own.
        digest = opened.base_digest if opened else name.partition("@")[2]
        files = building.host_files(ca_bundle, bake_ca, opened.wheels if opened else None)
        if opened:
            base, network = self._load_base(opened, say), "none"
        labels = {building.BASE_LABEL: name, f"{building.LABEL}.plan": plan, building.BASE_DIGEST_LABEL: digest}
        options = [f"--tag={recipe.image_tag}", "--format=docker"]  # OCI's format has no HEALTHCHECK
        options += [f"--network={network}"] if network else []
        options += [f"--label={key}={value}" for key, value in labels.items() if value]
        arguments = building.arguments(recipe, base or name, bake_ca)
        options += [f"--build-arg={key}={value}" for key, value in arguments.items()]
        with tempfile.TemporaryDirectory(prefix="gpucheck-") as folder:
            context, made = Path(folder, "context"), Path(folder, "id")
            _write(context, buildkit.context(recipe, files).files)
            dockerfile = f"--file={context / recipe.dockerfile}"
            self._follow(recipe, say, "build", *options, f"--iidfile={made}", dockerfile, str(context))
            return made.read_text().strip()

    def run(
        self, image: str, command: Sequence[str], *, gpus: bool, files_in: Mapping[str, Path],
        collect: Mapping[str, Path], environment: Mapping[str, str], timeout: float | None, say: Say,
        started: Callable[[str], None], network: str = "none",
    ) -> Ran:  # fmt: skip
        """As containers.run."""
        if gpus and self.version < KNOWS_CDI:
            raise Failure(f"Podman {self.version} cannot give GPUs", f"Podman {KNOWS_CDI} and newer can, by CDI", 1)
        memory = int(self._info["host"]["memTotal"] * running.MEMORY_SHARE)
        options = [
            f"--entrypoint={json.dumps(list(command[:1]))}", f"--label={building.LABEL}=run", "--pull=never",
            f"--user={archives.USER}", "--cap-drop=all", "--security-opt=no-new-privileges", f"--network={network}",
            f"--memory={memory}", f"--pids-limit={running.PROCESSES}", f"--shm-size={running.SHARED_MEMORY}",
            "--log-driver=none", "--http-proxy=false", "--no-healthcheck",
            *(f"--env={key}={value}" for key, value in environment.items()),
            *((f"--device={GPUS}", "--security-opt=label=disable") if gpus else ()),  # SELinux would hide the devices
        ]  # fmt: skip
        with self._removed(f"gpucheck-{secrets.token_hex(6)}") as name:
            container = self._command.ask("create", f"--name={name}", *options, image, *command[1:]).strip()
            if files_in:
                say("putting the data into the container", None)
            if files_in or collect:  # an archive of nothing is refused
                with tempfile.TemporaryFile() as archive:
                    archives.pack(archive, files_in, collect)
                    self._command.ask("cp", "-", f"{name}:/", stdin=archive)
            started(container)
            began, last = time.monotonic(), deque[str]((), running.LAST_LINES)
            with (
                running.deadline(timeout, lambda: self._command.ask("kill", name)) as too_long,
                self._command.child("start", "--attach", "--sig-proxy=false", name, both=True) as (child, _),
            ):
                for line in podman_command.lines(child):
                    last.append(line)
                    say(line, None)
            seconds = time.monotonic() - began
            if too_long.is_set():
                raise Failure(f"the run did not end within {timeout:g} s", "give it longer: `--timeout`", 1)
            ended = self._command.json("container", "inspect", name)[0]
            if ended["State"]["StartedAt"].startswith("0001"):
                raise Failure(*podman_command.sentence("\n".join(last)), 1)
            for path, folder in collect.items():
                with closing(self._command.chunks("cp", f"{name}:{path}", "-")) as chunks:
                    archives.unpack(chunks, folder)
        return Ran(
            exit_code=ended["State"]["ExitCode"], image_id=f"sha256:{ended['Image']}",
            recipe=(ended["Config"].get("Labels") or {}).get(f"{building.LABEL}.recipe"), seconds=round(seconds, 3),
            oom_killed=ended["State"]["OOMKilled"], last_lines=tuple(last),
        )  # fmt: skip

    def _follow(self, recipe: Recipe, say: Say, *words: str) -> None:
        """Say what a build prints. Raises Failure."""
        step, said = "", deque[str]((), buildkit.LINES)
        with self._command.child(*words, both=True, is_build=True) as (child, _), building.explained(recipe):
            for line in podman_command.lines(child):
                if match := STEP.match(line):
                    stage, stages, number, of = (int(part or 1) for part in match.groups()[:4])
                    step = buildkit.short(match[5])
                    said.clear()
                    say(f"{match[3]}/{match[4]} {step}", (stage - 1 + (number - 1) / of) / stages)
                elif line.strip() and not line.startswith("--> "):
                    said.append(line)
                    say(line, None)
            if child.returncode:
                error = podman_command.last_error("\n".join(said))
                if refused := podman_command.known(error):
                    raise Failure(*refused, 1)
                lines = tuple(line for line in said if not line.startswith("Error: "))
                raise refusals.step_failed(step, error, lines)

    def _load_base(self, pack: packed.Pack, say: Say) -> str:
        """As packed.load_base."""
        tag = f"gpucheck/base:{pack.base_id.removeprefix('sha256:')[:12]}"
        image = pack.base_id
        if self.image(image) is None:
            say(f"loading the base {pack.base}", None)
            loaded = self._command.ask("load", "--quiet", "--input", str(pack.folder / packed.BASE))
            image = loaded.strip().rpartition("Loaded image: ")[2]
        self._command.ask("tag", image, tag)
        return tag

    @contextmanager
    def _removed(self, name: str) -> Iterator[str]:
        """Remove the container at the end, by its name: an interrupted create tells no id."""
        try:
            yield name
        finally:
            self._command.ask("rm", "--force", "--time=0", "--volumes", "--ignore", name)


def _write(folder: Path, files: Mapping[str, bytes | Path]) -> None:
    """A build's context as a folder: Podman takes none from a stream."""
    (folder / "host").mkdir(parents=True)
    for name, content in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Path):
            shutil.copyfile(content, target)
        else:
            target.write_bytes(content)
        target.chmod(0o644)
