"""What Google Cloud offers: the zones that have a machine type, and the image that a family leads to."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from gpucheck.clouds import gcp_bodies
from gpucheck.clouds.gcp_api import Api, last, region_of
from gpucheck.clouds.orders import Order, Refused

IMAGE = re.compile(r"projects/([^/]+)/global/images/(family/)?([^/]+)")
IMAGES = "projects/PROJECT/global/images/family/FAMILY; `gcloud compute images list` has them"


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    path: str
    warning: str | None  # that it is deprecated, and by what it is replaced


def zones(api: Api, order: Order) -> list[str]:
    """Those of the region that have the type, and the GPU that is to be attached to it. Raises Refused."""
    what = f"what {order.region} offers"
    if api.found("networks", "get", what, network=last(gcp_bodies.NETWORK)) is None:
        raise Refused(
            "network", f"project {api.project} has no network named default",
            "`gcloud compute networks create default --subnet-mode=auto` makes one",
        )  # fmt: skip
    region = api.found("regions", "get", what, region=order.region)
    if region is None:
        names = [each.name for each in api.listed("regions", what)]
        raise Refused("region", f"Google Cloud has no region {order.region!r}", _nearest(order.region, names))
    here = {last(zone) for zone in region.zones}
    with_type = _offering(api, "machine_types", order.instance_type, order.region, here)
    if order.gpu is None:
        return sorted(with_type)
    gpu = order.gpu[0]
    with_both = with_type & _offering(api, "accelerator_types", gpu, order.region, here)
    if not with_both:
        both = f"both {order.instance_type} and {gpu}"
        raise Refused("type", f"no zone of {order.region} has {both}", "another --region")
    return sorted(with_both)


def _offering(api: Api, service: str, wanted: str, region: str, here: set[str]) -> set[str]:
    what = f"where {wanted} is"
    found, silent = api.everywhere(service, what, f'name = "{wanted}"')
    zones = {last(each.zone) for each in found}
    if zones & here:
        return zones & here
    if silent:
        raise Refused("busy", f"{', '.join(silent)} did not answer when asked {what}", "try again")
    if zones:
        others = ", ".join(sorted({region_of(zone) for zone in zones}))
        raise Refused("type", f"{region} has no {wanted}", f"regions that have it: {others}")
    names = {each.name for each in api.listed(service, what, zone=min(here))} if here else set()
    raise Refused("type", f"Google Cloud has no {wanted}", _nearest(wanted, names))


def image(api: Api, order: Order) -> Image:
    """A family's newest image that is not deprecated, or the one that was asked for. Raises Refused."""
    parts = IMAGE.fullmatch(order.image)
    if not parts:
        raise Refused("image", f"{order.image!r} is no image's path", IMAGES)
    project, family, name = parts.groups()
    method, field = ("get_from_family", "family") if family else ("get", "image")
    what = f"for {order.image}"
    found = api.found("images", method, what, project=project, **{field: name})
    if found is None:
        if family and api.listed("images", what, project=project, filter=f'family = "{name}"'):
            raise Refused("image", f"every image of {order.image} is deprecated", IMAGES)
        raise Refused("image", f"there is no {order.image}", IMAGES)
    state, instead = found.deprecated.state, last(found.deprecated.replacement)
    if state in ("OBSOLETE", "DELETED"):
        tip = f"its replacement is {instead}" if instead else IMAGES
        raise Refused("image", f"{order.image} is {state.lower()}", tip)
    if found.disk_size_gb > order.disk_gib:
        raise Refused("image", f"{order.image} needs a disk of {found.disk_size_gb} GB, not {order.disk_gib}", IMAGES)
    warning = f"{order.image} is deprecated{f': {instead} replaces it' if instead else ''}"
    return Image(
        path=f"projects/{project}/global/images/{found.name}", warning=warning if state == "DEPRECATED" else None
    )


def _nearest(wanted: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(wanted, sorted(names), n=3, cutoff=0.4)
    return f"{' or '.join(near)}?" if near else "`gpucheck cloud offers --cloud gcp` has what there is"
