"""What a Docker Engine says when it refuses, as one sentence and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from gpucheck.model import Failure

HEALTH = "`docker info` shows whether the engine is healthy"
CDI = "`sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml` writes it anew"
TOOLKIT = (
    "install nvidia-container-toolkit, then `sudo nvidia-ctk runtime configure --runtime=docker` and restart Docker; "
    "or ask for the CPU: `--device cpu`"
)
BASE = "`--base IMAGE` takes an image that this engine has; on Debian `scripts/engine base` makes one"
PACK = "without a network: `gpucheck pack RECIPE DIR` where there is one, then `gpucheck build --from-pack DIR` here"
LAST_LINES = 12
PYPI = "https://pypi.org/simple"  # pip's own default
UNREACHED = (
    r"name resolution|Name or service not known|No address associated|Network is unreachable|No route to host|"
    r"Connection refused|NewConnectionError|ConnectTimeoutError|ReadTimeoutError"
)

# What the engine says -> our sentence, with the expression's groups, and the tip. The first that matches counts.
ENGINE = (
    (r"could not select device driver", "this engine cannot give GPUs to containers", TOOLKIT),
    (r"unresolvable CDI devices? ([^\s\"]+)", "the engine's CDI specifications have no device {0}", CDI),
    (
        r"fulfil mount request: open ([^:]+): no such file",
        "the CDI specification names {0}, which is gone: the driver has changed since it was written",
        CDI,
    ),
    (
        r"unsatisfied condition: ([^,\s\"]+)",
        "the NVIDIA driver does not meet what the image requires: {0}",
        "upgrade the driver, or choose a recipe for an older one: `gpucheck build --list`",
    ),
    (
        r"nvidia-container-cli: (.+?)(?:: unknown)?$",
        "the NVIDIA Container Toolkit failed: {0}",
        "`gpucheck doctor` examines the driver and the toolkit",
    ),
    (
        r"[Uu]nknown (?:or invalid )?runtime (?:specified|name:?) ?(\S+)",
        "the engine has no runtime called {0}",
        "`sudo nvidia-ctk runtime configure --runtime=docker` adds NVIDIA's; then restart Docker",
    ),
    (
        r"[Nn]o space left on device",
        "the engine's disk is full",
        "`docker system df` shows what takes the space, `docker builder prune` empties the build cache",
    ),
    (r"network bridge not found", "this engine has no network of its own", "`--network host` uses this machine's"),
    (r"[Nn]o such image: (\S+)", "the engine has no image {0}", "`gpucheck build` makes it"),
    (
        r"(?:pull access denied for|manifest for) ([^\s,]+)",
        "the registry gave no image {0}",
        BASE,
    ),
    (
        r"https?://([^/\s\"]+)[^\n]*(?:no such host|dial tcp|connection refused|TLS handshake|x509:|i/o timeout|"
        r"Client\.Timeout|server misbehaving)",
        "the base image could not be fetched: no connection to the registry {0}",
        f"{PACK}; or {BASE}",
    ),
    (
        r"failed to do request|failed to resolve|no such host|dial tcp|TLS handshake|x509:|i/o timeout|"
        r"Client\.Timeout|toomanyrequests",
        "the base image could not be fetched from its registry",
        BASE,
    ),
)
# What a failed build step says -> our sentence where there is more to say than that it failed, and the tip.
STEP = (
    (r"[Nn]o space left on device", "", "the engine's disk is full: `docker system df` shows what takes the space"),
    (r"certificate verify failed", "", "give the build your proxy's CA: `--ca-bundle FILE`"),
    (
        r"ProxyError|Cannot connect to proxy",
        "",
        "is the proxy right, and reachable from a container? HTTPS_PROXY names "
        "it; one that listens on this machine alone needs `--network host`",
    ),
    (
        UNREACHED,
        "",
        "the step reached no network: `--network host` builds on this machine's own; HTTPS_PROXY and PIP_INDEX_URL are "
        "passed on",
    ),
    (
        r"DO NOT MATCH THE HASHES[^\n]*\n\s*[^\n]*? from [^\s#]*?([^/\s#]+)(?:#\S*)? \(from",
        "{0} is not the file that was locked",
        "nothing of it was installed: is the package index, or the pack, to be trusted?",
    ),
    (r"DO NOT MATCH THE HASHES", "", "a package is not the one that was locked: is the package index to be trusted?"),
    (r"not a trusted or secure host", "", "pip takes no index by http unless PIP_TRUSTED_HOST names its host"),
    (r"No matching distribution", "", "the base's Python has no wheel in the lock: take a base with another"),
    (r"ensurepip|No module named venv", "", "the base has no venv: on Debian, install python3-venv in it"),
)


class BuildFailed(Failure):
    """A step of a Dockerfile failed: its name, its lines and the last of them."""

    def __init__(self, step: str, lines: tuple[str, ...], tip: str, sentence: str = "") -> None:
        self.step = step
        self.lines = lines
        self.last_lines = lines[-LAST_LINES:]
        first = ": ".join(filter(None, (sentence, "the build failed in this step", step)))
        super().__init__("\n    ".join((first, *self.last_lines)), tip, 1)

    @property
    def is_without_wheel(self) -> bool:
        """Whether an index answered pip and had no such wheel."""
        text = "\n".join(self.lines)
        return "No matching distribution" in text and not re.search("connection broken|not a trusted or secure", text)


def sentence(text: str) -> tuple[str, str]:
    """(sentence, tip) for an error text of the engine; its own first line where the text is new to us."""
    first = (text.strip().splitlines() or ["without a word"])[0]
    return known(text) or (f"the Docker Engine refused: {first}", HEALTH)


def known(text: str) -> tuple[str, str] | None:
    """(sentence, tip) for an error text that ENGINE has; None where it is new to us."""
    for pattern, told, tip in ENGINE:
        if match := re.search(pattern, text, re.MULTILINE):
            return told.format(*match.groups()), tip
    return None


def step_failed(step: str, message: str, lines: tuple[str, ...]) -> Failure:
    """The failure of a build: one of the engine's own, or that of a step with the words it left."""
    for pattern, told, tip in ENGINE:
        if match := re.search(pattern, message):
            return Failure(told.format(*match.groups()), tip, 1)
    lines = lines or (message,)
    for pattern, told, tip in STEP:
        if match := re.search(pattern, "\n".join(lines)):
            return BuildFailed(step, lines, tip, told.format(*match.groups()))
    return BuildFailed(step, lines, "the lines above are the step's own last words")


def without_index(failed: BuildFailed, *indexes: str | None) -> BuildFailed | None:
    """The failure of a step in which pip reached none of its indexes, with the host; None where it was something else.

    Old versions of pip do not name the host, so that it is what pip was told to use.
    """
    text = "\n".join(failed.lines)
    if "pip" not in failed.step or re.search("ProxyError|Cannot connect to proxy", text):
        return None
    if not re.search(UNREACHED, text):
        return None
    named = re.search(r"host='([^']+)'", text)
    known = (urlsplit(index).hostname for index in (indexes[0] or PYPI, *indexes[1:]) if index)
    hosts = named[1] if named else " or ".join(filter(None, known))
    return BuildFailed(
        failed.step, failed.lines, f"{failed.tip}; {PACK}", f"no connection to the package index {hosts}"
    )


def unreachable(error: Exception) -> Failure:
    """Why no engine answered, from the exception that connecting raised."""
    text = str(error)
    if "PermissionError" in text or "ermission denied" in text:
        return Failure(
            "this user may not use the Docker Engine's socket",
            "`sudo usermod -aG docker $USER`, then log in again; or run without Docker: `--on host`",
            1,
        )
    if re.search(
        r"FileNotFoundError|Connection ?[Rr]efused|Connection ?[Rr]eset|RemoteDisconnected|Name or service|timed out",
        text,
    ):
        start = "start it (`sudo systemctl start docker`), or run without Docker: `--on host`"
        return Failure("no Docker Engine answers", start, 1)
    return Failure(f"no Docker Engine can be used: {text.splitlines()[0]}", "is DOCKER_HOST what you meant?", 1)


@contextmanager
def told(doing: str) -> Iterator[None]:
    """Turn what docker-py raises while `doing` ("the run") into a Failure."""
    import docker.errors
    import requests
    import urllib3

    try:
        yield
    except docker.errors.APIError as error:
        raise Failure(*sentence(str(error.explanation or error)), 1) from error
    except (requests.RequestException, urllib3.exceptions.HTTPError, ConnectionError, TimeoutError) as error:
        raise Failure(
            f"the Docker Engine went away during {doing}",
            "its log says why: `journalctl -u docker`; a full disk or memory is the usual reason",
            1,
        ) from error
    except docker.errors.DockerException as error:
        raise Failure(*sentence(str(error)), 1) from error
