"""What a region of Azure offers to this subscription: sizes of VMs, their zones, and images."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from gpucheck.clouds import azure_bodies, azure_errors
from gpucheck.clouds.azure_api import Api
from gpucheck.clouds.orders import Order, Refused


def zones(api: Api, order: Order) -> Sequence[str]:
    """[""] where the region has no zones, or none that this subscription may name."""
    what = f"what {order.region} offers"
    listed = api.listed(what, "resource_skus.list", filter=f"location eq '{order.region}'")
    sizes = {each.name.lower(): each for each in listed if each.resource_type == "virtualMachines"}
    if not sizes:
        places = api.get(what, f"/subscriptions/{api.subscription}/locations")
        tip = _nearest(order.region, (each["name"] for each in places), azure_errors.LOCATION)
        raise Refused("region", f"Azure has no region {order.region!r}", tip)
    size = sizes.get(order.instance_type.lower())
    if size is None:
        tip = _nearest(order.instance_type, (each.name for each in sizes.values()), azure_errors.OFFERS)
        raise Refused("type", f"{order.region} has no {order.instance_type}", tip)
    closed: set[str] = set()
    for each in size.restrictions or ():
        if each.type == "Location":
            raise _closed(order, getattr(each.reason_code, "value", str(each.reason_code)))
        closed.update((each.restriction_info and each.restriction_info.zones) or ())
    named = {zone for place in size.location_info or () for zone in place.zones or ()}
    return sorted(named - closed) or [""]


def check_image(api: Api, order: Order) -> None:
    """Raises Refused for an image that the region does not have."""
    parts = azure_bodies.image(order)
    if parts is None:
        raise Refused("image", f"{order.image!r} is no image's name", azure_errors.IMAGE)
    publisher, offer, sku, version = parts.values()
    what, names = f"for {order.image}", (order.region, publisher, offer, sku)
    if version == "latest":
        there = bool(api.found(what, "virtual_machine_images.list", *names, top=1))
    else:
        there = api.found(what, "virtual_machine_images.get", *names, version) is not None
    if not there:
        raise Refused("image", f"{order.region} has no image {order.image}", azure_errors.IMAGE)


def _closed(order: Order, reason: str) -> Refused:
    sentence = f"this subscription may not have {order.instance_type} in {order.region} ({reason})"
    if reason == "QuotaId":
        return Refused(
            "quota", sentence, "an offer of this kind (free, student) has no GPUs: a pay-as-you-go subscription"
        )
    return Refused(
        "type", sentence, "another --region or --type; or ask for access: https://aka.ms/azureskunotavailable"
    )


def _nearest(wanted: str, names: Iterable[str], otherwise: str) -> str:
    near = difflib.get_close_matches(wanted, sorted(names), n=3, cutoff=0.6)
    return f"{' or '.join(near)}?" if near else otherwise
