"""The package indexes that pip uses on this machine, and what files they have of a project."""

from __future__ import annotations

import ast
import html.parser
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import requests
from packaging.tags import Tag
from packaging.utils import BuildTag, InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version

from gpucheck.model import Failure
from refresh.ranges import SECONDS, unreached

PYPI = "https://pypi.org/simple"
ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.5, text/html;q=0.1"
UV = {"index-url": ("UV_DEFAULT_INDEX", "UV_INDEX_URL"), "extra-index-url": ("UV_INDEX", "UV_EXTRA_INDEX_URL")}


@dataclass(frozen=True, kw_only=True, slots=True)
class Wheel:
    name: str
    version: Version
    build: BuildTag
    tags: frozenset[Tag]
    url: str
    sha256: str | None  # where the index tells it


@dataclass(frozen=True, kw_only=True, slots=True)
class Index:
    pages: tuple[str, ...]  # of simple indexes
    folders: tuple[str, ...]  # pip's find-links
    session: requests.Session

    def wheels(self, name: str) -> list[Wheel]:
        """All wheels of a project. Raises Failure where an index is not reached, and where none has the project."""
        links = [link for page in self.pages for link in self._links(f"{page.rstrip('/')}/{canonicalize_name(name)}/")]
        links += [link for folder in self.folders for link in self._links(folder)]
        found = [
            wheel for url, sha256 in links if (wheel := _wheel(url, sha256)) and wheel.name == canonicalize_name(name)
        ]
        if not found:
            hosts = ", ".join(urlsplit(page).hostname or page for page in self.pages)
            raise Failure(
                f"{hosts or 'no index'} has no wheel of {name}", "is that its name, and PIP_INDEX_URL right?", 1
            )
        return found

    def _links(self, page: str) -> list[tuple[str, str | None]]:
        """Addresses and SHA-256 of the files that a page or a folder here lists; none where there is no such page."""
        local = Path(unquote(urlsplit(page).path)) if page.startswith("file:") else Path(page)
        if "://" not in page or page.startswith("file:"):
            if (listed := local / "index.html").is_file():
                return _anchors(listed.read_text(), listed.as_uri())
            return [(path.absolute().as_uri(), None) for path in sorted(local.glob("*.whl"))]
        try:
            answer = self.session.get(page, headers={"Accept": ACCEPT}, timeout=SECONDS)
            if answer.status_code == 404:
                return []
            answer.raise_for_status()
        except requests.RequestException as error:
            raise unreached(page, error) from error
        if "json" not in answer.headers.get("Content-Type", ""):
            return _anchors(answer.text, answer.url)
        return [(urljoin(answer.url, file["url"]), file["hashes"].get("sha256")) for file in answer.json()["files"]]


def of_this_machine() -> Index:
    """As pip's settings say; uv's variables where pip has none."""
    settings = _pip()
    for option, names in UV.items():
        if value := next(filter(None, map(os.environ.get, names)), None):
            settings.setdefault(option, value)
    session = requests.Session()
    session.verify = settings.get("cert") or True
    if proxy := settings.get("proxy"):
        session.proxies = {"http": proxy, "https": proxy}
    first = () if settings.get("no-index") in ("true", "1", "yes", "on") else (settings.get("index-url", PYPI),)
    return Index(
        pages=(*first, *(settings.get("extra-index-url", "").split() if first else ())),
        folders=tuple(settings.get("find-links", "").split()), session=session,
    )  # fmt: skip


def _pip() -> dict[str, str]:
    """pip's own settings, from its files and variables, in its own order: variables last."""
    listed = subprocess.run(
        (sys.executable, "-m", "pip", "config", "list"), capture_output=True, text=True, check=True
    ).stdout
    pairs = [line.split("=", 1) for line in listed.splitlines() if "=" in line]
    order = {"global": 0, "download": 1, ":env:": 2}
    kept = sorted((order[section], option, value) for name, value in pairs
                  for section, _, option in [name.partition(".")] if section in order)  # fmt: skip
    return {option: str(ast.literal_eval(value)) for _, option, value in kept}


class _Anchors(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if tag == "a" and name == "href" and value]


def _anchors(page: str, address: str) -> list[tuple[str, str | None]]:
    parser = _Anchors()
    parser.feed(page)
    split = [urldefrag(urljoin(address, link)) for link in parser.found]
    return [(url, part.removeprefix("sha256=") if part.startswith("sha256=") else None) for url, part in split]


def _wheel(url: str, sha256: str | None) -> Wheel | None:
    try:
        name, version, build, tags = parse_wheel_filename(unquote(urlsplit(url).path).rpartition("/")[2])
    except InvalidWheelFilename:
        return None
    return Wheel(name=name, version=version, build=build, tags=tags, url=url, sha256=sha256)
