"""The rows of frameworks.toml that the wheels on the index would add, as text; rows that are there stay as they are."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import date

from packaging.version import Version

from gpucheck import facts
from gpucheck.model import Failure
from gpucheck.tables import FrameworkBuild
from refresh import builds, ranges
from refresh.builds import Build
from refresh.index import Index, Wheel

PLATFORM = "Linux x86_64"


def proposed(name: str, rows: Iterable[FrameworkBuild], index: Index, *, confirm: bool = False) -> Iterator[str]:
    """The rows to add for a project, "name" or "name==version"; comments where a row that is there says otherwise.

    Without a version: the newest release of each minor that is no older than the table's oldest and, unless `confirm`,
    has no row. Raises Failure where the index or a wheel cannot be read.
    """
    project, _, version = name.partition("==")
    there = [row for row in rows if row.name == project]
    wheels = [wheel for wheel in index.wheels(project) if _here(wheel)]
    releases = {wheel.version for wheel in wheels if version or not wheel.version.is_prerelease}
    if version:
        chosen = [release for release in releases if str(release) == version]
        if not chosen:
            raise Failure(f"the index has no wheel of {name} for {PLATFORM}", "look at its releases", 1)
    else:
        first = min((row.version.series for row in there), default=(0, 0))
        newest = {(release.major, release.minor, release.local): release for release in sorted(releases)}
        known = set() if confirm else {row.version.series for row in there}
        chosen = [release for part, release in newest.items() if part[:2] >= first and part[:2] not in known]
    for release in chosen:
        of_release = [wheel for wheel in wheels if wheel.version == release]
        with ranges.wheel(of_release[-1].url, index.session) as opened:
            build = builds.read(project, opened)
        yield _said(project, release, build, _pythons(of_release), there)


def _here(wheel: Wheel) -> bool:
    of_cpu = (wheel.version.local or "").startswith("cpu")
    return not of_cpu and any("linux" in tag.platform and "x86_64" in tag.platform for tag in wheel.tags)


def _pythons(wheels: Iterable[Wheel]) -> tuple[str, ...] | None:
    """Of the interpreters' own ABI, not free-threaded; None where one wheel serves them all."""
    tags = {tag.interpreter for wheel in wheels for tag in wheel.tags if tag.interpreter == tag.abi}
    found = sorted(int(tag[3:]) for tag in tags if tag.startswith("cp3"))
    return tuple(f"3.{minor}" for minor in found) or None


def _said(
    project: str, release: Version, build: Build, pythons: tuple[str, ...] | None, there: Iterable[FrameworkBuild]
) -> str:
    if build.cuda is None:
        return f"# {project} {release}: the wheel does not tell its CUDA, so there is no row\n"
    same = (release.major, release.minor), facts.Version(build.cuda).series
    row = next((row for row in there if (row.version.series, row.cuda.series) == same), None)
    if row is None:
        return text(project, release, build, pythons)
    wrong = [f"#   {what}" for what in differences(row, build, pythons)]
    return "\n".join([f"# {project} {release}: {'the row differs' if wrong else 'as its row says'}", *wrong]) + "\n"


def text(project: str, release: Version, build: Build, pythons: tuple[str, ...] | None) -> str:
    columns = {
        "name": project, "version": f"{release.major}.{release.minor}", "cuda": build.cuda, "cudnn": build.cudnn,
        "pythons": pythons, "sass": build.sass, "ptx": build.ptx, "source": f"the wheel {project} {release}",
        "how": f"read out of the wheel: {build.how}",
    }  # fmt: skip
    lines = [f"{key} = {json.dumps(value)}" for key, value in columns.items() if value is not None]
    return "\n".join(["[[build]]", *lines, f"checked = {date.today()}"]) + "\n"


def differences(row: FrameworkBuild, build: Build, pythons: tuple[str, ...] | None) -> list[str]:
    """What a row does not say, or says otherwise; what the wheel does not tell, or tells less exactly, is neither."""
    in_row = {"cuda": row.cuda, "cudnn": row.cudnn, "pythons": row.pythons, "sass": row.sass, "ptx": row.ptx}
    in_wheel = {"cuda": build.cuda, "cudnn": build.cudnn, "pythons": pythons, "sass": build.sass, "ptx": build.ptx}
    found = []
    for key, told in in_wheel.items():
        said, wanted = _plain(in_row[key]), _plain(told)
        if wanted is None or said == wanted:
            continue
        if said is None:
            found.append(f"{key}: not in the row, {json.dumps(wanted)} in the wheel")
        elif not (isinstance(said, str) and _is_prefix(said, wanted)):
            found.append(f"{key}: {json.dumps(said)} in the row, {json.dumps(wanted)} in the wheel")
    return found


def _plain(value: object) -> str | list[str] | None:
    if isinstance(value, tuple):
        return [str(part) for part in value]
    return None if value is None else str(value)


def _is_prefix(one: str, other: object) -> bool:
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")
