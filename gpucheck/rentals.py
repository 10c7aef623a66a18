"""What can be rented on which cloud, with which image, and for how much: rentals.toml and clouds.toml, as questions."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from fnmatch import fnmatchcase
from functools import cache

from gpucheck import compat, tables
from gpucheck.facts import fact
from gpucheck.model import Failure
from gpucheck.tables import Attached, Price, RentalFamily, StockImage

PROVIDERS = ("aws", "gcp", "azure")


@fact
class Rentals:
    families: tuple[RentalFamily, ...]
    attached: tuple[Attached, ...]
    images: tuple[StockImage, ...]
    prices: tuple[Price, ...]


@fact
class Offer:
    """An instance type, and what an hour of it costs on demand; usd is None where no price is known."""

    provider: str
    name: str  # ours: the instance type, and what is attached to it
    instance_type: str
    gpu: str
    count: int
    memory_mib: int  # of one GPU
    attached: tuple[str, int] | None = None  # the cloud's name of the accelerator
    vcpus: int | None = None
    usd: float | None = None
    spot_usd: float | None = None
    region: str | None = None  # of the price
    asof: date | None = None  # of the price
    or_later: bool = False  # it is of that day or a later one


@fact
class Cost:
    """What a time costs on an instance."""

    offer: Offer
    usd: float
    same: bool  # the GPU is of the model that took that time


@cache
def load() -> Rentals:
    """Raises ValueError, naming the row, where one is wrong."""
    return Rentals(**tables.read(tables=tables.RENTALS))


def offers(
    gpu: str | None = None, max_price: float | None = None, provider: str | None = None, count: int | None = None
) -> tuple[Offer, ...]:
    """What fits, the cheapest first, and last what has no price; under `max_price` that does not fit.

    Raises Failure for a GPU that none has, and a cloud that there is none of.
    """
    found = [offer for offer in _all() if provider is None or offer.provider == _provider(provider)]
    if gpu is not None:
        models = _models(gpu)
        found = [offer for offer in found if offer.gpu in models]
    if count is not None:
        found = [offer for offer in found if offer.count == count]
    if max_price is not None:
        found = [offer for offer in found if offer.usd is not None and offer.usd <= max_price]
    return tuple(found)


def offer(provider: str, name: str) -> Offer:
    """One by its name, or by its instance type: then with the fewest GPUs. Raises Failure where there is none."""
    known = [offer for offer in _all() if offer.provider == _provider(provider)]
    low = name.lower()
    fits = [each for each in known if low in (each.name.lower(), each.instance_type.lower())]
    if not fits:
        raise Failure(
            f"{provider} has no instance type {name!r} with GPUs, as far as is known here",
            _nearest(name, [each.name for each in known], f"`gpucheck cloud offers --cloud {provider}` has them"),
        )
    return min(fits, key=lambda each: each.count)


def family_of(provider: str, name: str) -> RentalFamily:
    """Raises Failure where there is none."""
    family = _family(_provider(provider), name)
    if family is None:
        known = [each.instance_type for each in _all() if each.provider == provider]
        raise Failure(
            f"{name!r} is of no family of {provider}'s with GPUs, as far as is known here",
            _nearest(name, known, f"`gpucheck cloud offers --cloud {provider}` has what there is"),
        )
    return family


def images(provider: str | None = None) -> tuple[StockImage, ...]:
    """Raises Failure for a cloud that there is none of."""
    return tuple(row for row in load().images if provider is None or row.provider == _provider(provider))


def image(provider: str, key: str | None, name: str) -> StockImage:
    """The image of that key, or the usual one for an instance type.

    Raises Failure where there is none, and for a type whose driver is neither in one nor ours to install.
    """
    family = family_of(provider, name)
    known = {row.key: row for row in images(provider)}
    wanted = key or family.image
    if wanted not in known:
        raise Failure(f"{provider} has no image {wanted!r}", _nearest(wanted, known, f"one of {', '.join(known)}"))
    if family.vgpu:
        raise Failure(
            f"{name} has virtual GPUs, whose GRID driver is in no stock image and not ours to install",
            f"another type: `gpucheck cloud offers --cloud {provider}`",
        )
    return known[wanted]


def login(provider: str) -> str:
    """The user of the cloud's usual image."""
    usual = next(row.image for row in load().families if row.provider == _provider(provider))
    return next(row.login for row in images(provider) if row.key == usual)


def price(provider: str, name: str, region: str | None = None) -> Price | None:
    """The newest listed price of an instance type, as an offer names it; None where none is listed."""
    low = name.lower()
    for row in load().prices:
        if row.provider == provider and row.name.lower() == low and region in (None, row.region):
            return row
    return None


def costs(gpu_name: str | None, seconds: float) -> tuple[Cost, ...]:
    """That time on the cheapest instance with one GPU, of each model at each cloud: first those with the GPU that the
    time was measured on (by NVML's name), where there are some. On another GPU the same work takes another time.
    """
    own = _model_of(gpu_name or "")
    cheapest: dict[tuple[str, str], Cost] = {}
    for each in offers(count=1):
        if each.usd is not None:
            cost = Cost(offer=each, usd=each.usd * seconds / 3600, same=each.gpu == own)
            cheapest.setdefault((each.provider, each.gpu), cost)
    return tuple(sorted(cheapest.values(), key=lambda cost: not cost.same))


@cache
def _all() -> tuple[Offer, ...]:
    rentals, found = load(), []
    for row in compat.load().instances:
        found += [_offer(row.provider, name, name, row.gpu, row.count) for name in row.names]
    for extra in rentals.attached:
        pair = (extra.accelerator, extra.count)
        found.append(_offer(extra.provider, extra.name, extra.instance_type, extra.gpu, extra.count, pair))
    known = [each for each in found if each]
    return tuple(sorted(known, key=lambda each: (each.usd is None, each.usd or 0.0, each.provider, each.name)))


def _offer(
    provider: str, name: str, instance_type: str, gpu: str, count: int, attached: tuple[str, int] | None = None
) -> Offer | None:
    """None where no family is known: nothing is known then of its driver, its image and its quota."""
    family = _family(provider, instance_type)
    if family is None:
        return None
    offer = Offer(
        provider=provider, name=name, instance_type=instance_type, gpu=gpu, count=count, memory_mib=family.memory_mib,
        attached=attached,
    )  # fmt: skip
    row = price(provider, name)
    if row is None:
        return offer
    return replace(
        offer, vcpus=row.vcpus, usd=row.usd, spot_usd=row.spot_usd, region=row.region, asof=row.asof,
        or_later=row.or_later,
    )  # fmt: skip


def _family(provider: str, name: str) -> RentalFamily | None:
    """Azure's names are told in any case of letters."""
    rows = [row for row in load().families if row.provider == provider]
    return next((row for row in rows if fnmatchcase(name.lower(), row.types.lower())), None)


def _provider(provider: str) -> str:
    if provider not in PROVIDERS:
        raise Failure(
            f"there is no cloud {provider!r}", _nearest(provider, PROVIDERS, f"one of {', '.join(PROVIDERS)}")
        )
    return provider


def _models(gpu: str) -> frozenset[str]:
    """The GPUs that a person means: "A100" is both, "a100-80gb" one. Raises Failure where none is meant."""
    known = sorted({offer.gpu for offer in _all()})
    asked = _words(gpu)
    fits = [model for model in known if asked and asked <= _words(model)]
    if not fits and (own := _model_of(gpu)):
        fits = [own]
    if not fits:
        raise Failure(
            f"no instance type with a GPU {gpu!r} is known here", _nearest(gpu, known, f"there are {', '.join(known)}")
        )
    return frozenset(fits)


def _model_of(name: str) -> str | None:
    """The model in a GPU's name as NVML tells it: "A100 80 GB" in "NVIDIA A100-SXM4-80GB"; the one of most words."""
    told = _words(name)
    fits = [model for model in {offer.gpu for offer in _all()} if _words(model) <= told]
    return max(fits, key=lambda model: len(_words(model)), default=None)


def _words(name: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z0-9]+", re.sub(r"(\d) gb\b", r"\1gb", name.lower())))


def _nearest(asked: str, known: Iterable[str], otherwise: str) -> str:
    low = {name.lower(): name for name in known}
    near = [low[each] for each in difflib.get_close_matches(asked.lower(), low, n=3)]
    return f"did you mean {' or '.join(near)}?" if near else otherwise
