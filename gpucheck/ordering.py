"""From what a person asks for to an order that a cloud can carry out, with its price and its user-data."""

from __future__ import annotations

import getpass
import hashlib
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gpucheck import rentals, userdata
from gpucheck.clouds import Asked, Order
from gpucheck.model import Failure
from gpucheck.rentals import Offer
from gpucheck.targets import Target
from gpucheck.userdata import Setup

MINUTES = range(10, 23 * 60 + 1)  # less than a day: the end that Azure keeps is a time of the day, and no date
PACKAGE = "GPUCHECK_PACKAGE"
NAME = re.compile(r"[a-z][a-z0-9-]{0,29}[a-z0-9]")
REGIONS = {"aws": "us-east-1", "gcp": "us-central1", "azure": "eastus"}  # those that prices are listed for
LONGEST = 31  # characters of a name
POWERS_OFF = ("aws",)  # where an instance that powers itself off is ended by that; the others' own clock ends theirs


@dataclass(frozen=True, kw_only=True, slots=True)
class Ordered:
    order: Order
    offer: Offer
    login: str  # the image's own user

    @property
    def price(self) -> str:
        """What it costs until it ends itself, in a sentence."""
        offer, order = self.offer, self.order
        if offer.usd is None or offer.asof is None:
            return f"the price of {offer.name} is not known here"
        hours = (order.expires - datetime.now(UTC)).total_seconds() / 3600
        when = f"{offer.asof}{' or later' if offer.or_later else ''}"
        listed = f"{offer.usd:.2f} US dollars an hour on demand in {offer.region}, as listed on {when}"
        other = f"; {order.region} may differ" if order.region != offer.region else ""
        spot = "; spot costs less" if order.spot else ""
        return f"{offer.name}: {listed}{other}{spot}; at most {offer.usd * hours:.2f} until it ends itself"


def ordered(asked: Asked, timer: bool = False) -> Ordered:
    """Raises Failure for what does not go together, before anything is asked of a cloud.

    `timer`: the user-data itself ends the machine, on every cloud.
    """
    if asked.minutes not in MINUTES:
        raise Failure(f"{asked.minutes} minutes to live are too few or too many", f"{MINUTES[0]} to {MINUTES[-1]}")
    offer = _offer(asked)
    image = rentals.image(asked.provider, asked.image, offer.instance_type)
    family = rentals.family_of(asked.provider, offer.instance_type)
    name, owner = asked.name or _usual_name(offer.name, asked.framework), _slug(_user(), 63)
    if not NAME.fullmatch(name):
        raise Failure(f"{name!r} cannot be a name", "at most 31 of a-z, 0-9 and -, a letter first, no - at the end")
    setup = Setup(
        distribution=image.distribution,
        package=package(asked.package),
        driver=None if image.driver else str(family.branch),
        open_module=family.open_module,
        provider=asked.provider,
        minutes=asked.minutes if timer or asked.provider in POWERS_OFF else None,
        run=name,
        framework=asked.framework,
        ssh_key=asked.ssh_key,
    )
    return Ordered(
        order=Order(
            name=name,
            owner=owner,
            instance_type=offer.instance_type,
            gpu=offer.attached,
            region=asked.region or offer.region or REGIONS[asked.provider],
            image=image.lookup,
            user_data=userdata.render(setup),
            expires=datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=asked.minutes),
            disk_gib=max(100, image.disk_gib),
            spot=asked.spot,
            ssh_key=asked.ssh_key,
            ssh_from=asked.ssh_from,
        ),
        offer=offer,
        login=image.login,
    )


def package(given: str | None) -> str:
    """What pip is asked for on the instance. Raises Failure without: on PyPI another project has our name."""
    if given is None:
        raise Failure(
            "which gpucheck is to be installed there? On PyPI that name is another project's",
            f"--package or {PACKAGE}: the address of a wheel (`python -m build`), 'gpucheck[verify] @ https://…/gpucheck.whl'",
        )
    return given


def target(asked: Asked, what: Ordered) -> Target:
    """The same for another launcher."""
    order = what.order
    return Target(
        provider=asked.provider, name=order.name, owner=order.owner, instance_type=order.instance_type, gpu=order.gpu,
        region=order.region, image=order.image, disk_gib=order.disk_gib, user_data=order.user_data,
        framework=asked.framework, package=package(asked.package), spot=order.spot, minutes=asked.minutes,
    )  # fmt: skip


def _offer(asked: Asked) -> Offer:
    """The type that is asked for, or the cheapest that is. Raises Failure."""
    if asked.instance_type:
        offer = rentals.offer(asked.provider, asked.instance_type)
        if asked.gpu and offer not in rentals.offers(gpu=asked.gpu, provider=asked.provider):
            raise Failure(f"{offer.name} has {offer.gpu}, not {asked.gpu}", "give --type or --gpu alone")
        return offer
    found = rentals.offers(gpu=asked.gpu, provider=asked.provider)
    if not found:
        raise Failure(f"{asked.provider} has nothing with {asked.gpu}", "`gpucheck cloud offers` has what there is")
    return found[0]


def _usual_name(instance_type: str, framework: str) -> str:
    """The same for the same person, type and framework, so that a second run finds what the first one left; each run of
    GitHub's CI has its own.
    """
    other = "" if framework == "tensorflow" else f"-{framework}"
    name = _slug(f"{_slug(_user(), 12)}-{instance_type}{other}", 80)
    whole = name + os.environ.get("GITHUB_RUN_ID", "")
    if whole == name and len(name) <= LONGEST:
        return name
    return f"{name[: LONGEST - 7].strip('-')}-{hashlib.sha256(whole.encode()).hexdigest()[:6]}"


def _user() -> str:
    """A container's user may have no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid-{os.getuid()}"


def _slug(text: str, longest: int) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:longest].strip("-")
    return slug if slug[:1].isalpha() else f"u-{slug}"[:longest].strip("-")
