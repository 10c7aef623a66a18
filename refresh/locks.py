"""What a lock takes: the MB of its wheels for a Python on Linux x86_64, and of what they unpack to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from packaging import tags
from packaging.tags import Tag

from gpucheck import locks, recipes
from gpucheck.model import Failure
from refresh import ranges
from refresh.index import Index, Wheel

MB = 1_000_000
GLIBC = 36  # 2.36: Debian 12, the images' base


def sizes(paths: Sequence[Path], python: str | None, index: Index) -> Iterator[str]:
    """The columns `download` and `installed` of each lock; of all locks of the recipes where none is named.

    Raises Failure, after all of them, where one of them could not be measured.
    """
    pythons = {recipe.lock_path.resolve(): recipe.python for recipe in recipes.load().values()}
    measured: dict[locks.Pin, tuple[int, int]] = {}
    failures: dict[str, Failure] = {}
    for path in paths or pythons:
        version = python or pythons.get(path.resolve(), "3.12")
        try:
            pins = pinned(path, version)
            for pin in pins.values():
                if pin not in measured:
                    measured[pin] = size(pin, version, index)
        except Failure as failed:
            failures.setdefault(str(failed), failed)
            continue
        download, installed = (sum(measured[pin][i] for pin in pins.values()) for i in (0, 1))
        yield f"# {path.name}: {len(pins)} wheels for Python {version}\n"
        yield f"download = {round(download / MB)}\ninstalled = {round(installed / MB)}\n\n"
    if failures:
        last = list(failures.values())[-1]
        raise Failure("; ".join(failures), last.tip, last.exit_code)


def pinned(path: Path, python: str) -> dict[str, locks.Pin]:
    """What a lock installs on Linux x86_64, by name. Raises Failure."""
    try:
        return locks.installs_on_linux(locks.read(path.read_text()), python)
    except OSError as error:
        raise Failure(f"{path} was not read: {error.strerror}", "images/locks has the locks") from error
    except ValueError as error:
        raise Failure(f"{path} is no lock: {error}", "`uv pip compile --generate-hashes` makes one") from error


def size(pin: locks.Pin, python: str, index: Index) -> tuple[int, int]:
    """Bytes of the wheel that pip would take, and of what it unpacks to."""
    order = {tag: place for place, tag in enumerate(_supported(python))}
    fitting = [
        (min(places), wheel)
        for wheel in index.wheels(pin.name)
        if str(wheel.version) == pin.version
        and (wheel.sha256 is None or wheel.sha256 in pin.hashes)
        and (places := [order[tag] for tag in wheel.tags if tag in order])
    ]
    if not fitting:
        raise Failure(
            f"the index has no wheel of {pin.name}=={pin.version} for Python {python} on Linux x86_64",
            "name the index that has it: PIP_EXTRA_INDEX_URL", 1,
        )  # fmt: skip
    best: Wheel = min(fitting, key=lambda pair: pair[0])[1]
    with ranges.wheel(best.url, index.session) as archive:
        return ranges.length(archive), sum(member.file_size for member in archive.infolist())


def _supported(python: str) -> Iterable[Tag]:
    major, minor = map(int, python.split("."))
    platforms = [f"manylinux_2_{minor}_x86_64" for minor in range(GLIBC, 4, -1)]
    platforms += ["manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64", "linux_x86_64"]
    yield from tags.cpython_tags((major, minor), platforms=platforms)
    yield from tags.compatible_tags((major, minor), f"cp{major}{minor}", platforms)
