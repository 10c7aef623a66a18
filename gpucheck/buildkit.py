"""The build request: its context, and what the engine reports while it builds.

docker-py speaks only to the classic builder, which cannot mount. BuildKit is in the engine since API 1.39, and
`POST /build?version=2` reaches it with a plain tar. It answers in JSON lines whose "moby.buildkit.trace" rows hold a
protobuf message, moby.buildkit.v1.StatusResponse (moby/buildkit, api/services/control/control.proto).
"""

from __future__ import annotations

import base64
import io
import json
import re
import tarfile
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gpucheck.model import Failure, Say
from gpucheck.recipes import Recipe
from gpucheck.refusals import step_failed
from gpucheck.wire import fields

LINES = 400  # of a step, that are kept: pip lists all hashes of a package after its name
CHUNK = 2**20
NOISE = re.compile(
    r"--->|Removing intermediate container|\[internal\]|copy /context|\[Warning\] One or more build-args"
)
ANSI = re.compile(r"\x1b\[[0-9;]*m")
PIP = {"PIP_INDEX_URL": "index-url", "PIP_EXTRA_INDEX_URL": "extra-index-url", "PIP_TRUSTED_HOST": "trusted-host",
       "PIP_DEFAULT_TIMEOUT": "timeout", "PIP_RETRIES": "retries"}  # fmt: skip
CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT")


def host_files(ca_bundle: Path | None, environment: Mapping[str, str], *, offline: bool = False) -> dict[str, bytes]:
    """What the build needs of this host and the image does not keep: pip's settings and the CA bundle. Offline pip asks
    no index and takes what is in host/wheels.

    Without `ca_bundle` the usual variables name it. Raises Failure where a bundle that was asked for is not there.
    """
    if ca_bundle and not ca_bundle.is_file():
        raise Failure(f"there is no CA bundle {ca_bundle}", "`--ca-bundle` takes a PEM file")
    named = (Path(environment[name]) for name in CA_VARIABLES if environment.get(name))
    bundle = ca_bundle or next((path for path in named if path.is_file()), None)
    settings = {key: environment[name] for name, key in PIP.items() if environment.get(name)}
    if offline:
        settings = {"no-index": "true", "find-links": "/run/host/wheels"}
    files = {}
    if bundle:
        files["host/ca.crt"] = bundle.read_bytes()
        settings["cert"] = "/run/host/ca.crt"
    lines = ["[global]", *(f"{key} = {value}" for key, value in sorted(settings.items()))]
    return {**files, "host/pip.conf": ("\n".join(lines) + "\n").encode()}


@dataclass(frozen=True, slots=True)
class Context:
    """A tar, made while it is sent: gigabytes of wheels are never in memory. The same bytes for the same content."""

    files: Mapping[str, bytes | Path]

    def __len__(self) -> int:
        members = ((len(head), member.size) for head, member, _ in self._members())
        return sum(head + size + -size % tarfile.BLOCKSIZE for head, size in members) + 2 * tarfile.BLOCKSIZE

    def __iter__(self) -> Iterator[bytes]:
        """Raises Failure where a file is changed meanwhile."""
        for head, member, content in self._members():
            yield head
            sent = 0
            with content.open("rb") if isinstance(content, Path) else io.BytesIO(content) as file:
                while chunk := file.read(CHUNK):
                    sent += len(chunk)
                    yield chunk
            if sent != member.size:
                raise Failure(f"{member.name} changed while it was sent to the engine", "build again", 1)
            yield b"\0" * (-sent % tarfile.BLOCKSIZE)
        yield b"\0" * 2 * tarfile.BLOCKSIZE

    def _members(self) -> Iterator[tuple[bytes, tarfile.TarInfo, bytes | Path]]:
        folder = tarfile.TarInfo("host")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        yield folder.tobuf(tarfile.PAX_FORMAT, "utf-8"), folder, b""
        for name, content in sorted(self.files.items()):
            member = tarfile.TarInfo(name)
            member.size = content.stat().st_size if isinstance(content, Path) else len(content)
            yield member.tobuf(tarfile.PAX_FORMAT, "utf-8"), member, content


def context(recipe: Recipe, host: Mapping[str, bytes | Path], *, classic: bool = False) -> Context:
    """What the engine builds from: the recipe's files and those of this host.

    For the classic builder, which builds every stage, the Dockerfile loses its mounts and the stage for packs; `host`
    is copied in before the first RUN, and stays.
    """
    dockerfile = (recipe.folder / recipe.dockerfile).read_bytes()
    if classic:
        text = re.sub(r"--mount=\S+\s+(\\\n\s*)?", "", dockerfile.decode())
        text = re.sub(r"\nFROM \S+ AS wheels\n.*?(?=\nFROM )", "", text, flags=re.DOTALL)
        dockerfile = (text.replace("\nRUN ", "\nCOPY host /run/host\nRUN ", 1) if host else text).encode()
    files = {name: path.read_bytes() for name, path in recipe.files.items()}
    return Context({**files, recipe.dockerfile: dockerfile, **host})


@dataclass(slots=True)
class Step:
    name: str
    cached: bool = False
    done: bool = False
    error: str = ""
    packages: int = 0  # that pip came to
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=LINES))

    def take(self, line: str) -> None:
        self.lines.append(line)
        self.packages += line.lstrip().startswith(("Collecting ", "Processing "))  # the second: a wheel that is there


def follow(answer: Iterable[bytes], say: Say, packages: int = 0) -> str:
    """Say each step and line as it comes, and return the image's id. Raises Failure, also where the answer is torn.

    `packages` are in the lock: a step in which pip names them is done by so much.
    """
    steps: dict[str, Step] = {}
    image = None
    for line in answer:
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if row.get("id") == "moby.buildkit.trace":
                _trace(base64.b64decode(row["aux"]), steps, say, packages)
                continue
        except (ValueError, IndexError) as error:
            raise Failure("the engine's report of the build is torn", "is it still running?", 1) from error
        if "stream" in row:
            _classic(row["stream"], steps, say)
        if "error" in row or "errorDetail" in row:
            message = (row.get("errorDetail") or {}).get("message") or row.get("error", "")
            failed = next((s for s in steps.values() if s.error and "canceled" not in s.error), None)
            failed = failed or next(reversed(steps.values()), Step("reading the Dockerfile"))
            raise step_failed(failed.name, message, tuple(failed.lines))
        if isinstance(row.get("aux"), dict) and "ID" in row["aux"]:
            image = row["aux"]["ID"]
    if image is None:
        raise Failure("the Docker Engine went away during the build", "its log says why: `journalctl -u docker`", 1)
    return str(image)


def _trace(message: bytes, steps: dict[str, Step], say: Say, packages: int) -> None:
    """Take up one StatusResponse: 1 = vertexes, 3 = logs."""
    for number, part in fields(message):
        row = dict(fields(part)) if number in (1, 3) and isinstance(part, bytes) else {}
        if number == 1 and row:  # Vertex: 1 digest, 3 name, 4 cached, 5 started, 6 completed, 7 error
            step = steps.setdefault(_text(row[1]), Step(short(_text(row.get(3, b"")))))
            known, ended = step.done, 6 in row
            step.cached, step.done, step.error = bool(row.get(4)), ended, _text(row.get(7, b""))
            if not known and (ended or 5 in row) and not NOISE.match(step.name):
                note = ": failed" if step.error else ": cached" if step.cached else ": done" if ended else ""
                say(step.name + note, _share(steps, packages))
        elif number == 3 and row:  # VertexLog: 1 vertex, 4 message
            step = steps.setdefault(_text(row[1]), Step(""))
            for line in _text(row.get(4, b"")).splitlines():
                if line.strip():
                    step.take(line.rstrip())
                    say(line.strip(), _share(steps, packages))


def _classic(text: str, steps: dict[str, Step], say: Say) -> None:
    """Take up a line of the classic builder: "Step 3/9 : RUN ...", and what the step prints."""
    for line in filter(None, map(str.strip, ANSI.sub("", text).splitlines())):
        if match := re.match(r"(?:Step|STEP) (\d+)/(\d+) ?: (.*)", line):
            steps[line] = Step(short(match[3]))
            say(line, (int(match[1]) - 1) / int(match[2]))
        elif not NOISE.match(line):
            if steps:
                next(reversed(steps.values())).lines.append(line)
            say(line, None)


def short(name: str) -> str:
    """A step's name without what only BuildKit needs to know."""
    return " ".join(re.sub(r"--mount=\S+", "", name).split())


def _share(steps: Mapping[str, Step], packages: int) -> float:
    """Unpacking them all takes about as long as fetching them."""
    done = (1.0 if step.done else min(0.5, step.packages / max(1, 2 * packages)) for step in steps.values())
    return sum(done) / len(steps)


def _text(value: int | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
