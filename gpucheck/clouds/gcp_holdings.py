"""What is ours on Google Cloud, and its end: found by label, or by name and description, and deleted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from gpucheck.clouds import gcp_bodies
from gpucheck.clouds.gcp_api import Api, last, region_of
from gpucheck.clouds.gcp_bodies import Mark, mark_of_labels, mark_of_sentence
from gpucheck.clouds.orders import TAG, Refused, Resource
from gpucheck.model import Say

KINDS = {"instances": "instance", "disks": "disk", "addresses": "address", "firewalls": "firewall"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Holding:
    """A resource, and how it is deleted."""

    resource: Resource
    service: str
    request: Mapping[str, str]


def ours(name: str | None) -> str:
    """A filter."""
    return f"labels.{TAG} = {name}" if name else f"labels.{TAG}:*"


def labelled(api: Api, name: str | None, *services: str) -> tuple[list[Holding], list[str]]:
    """And the zones and regions that did not answer."""
    found: list[Holding] = []
    silent: set[str] = set()
    for service in services:
        there, lost = api.everywhere(service, f"for our {service}", ours(name))
        found += [_holding(service, each, mark_of_labels(each.labels)) for each in there]
        silent.update(lost)
    return found, sorted(silent)


def everything(api: Api, name: str | None) -> tuple[list[Holding], list[str]]:
    found, silent = labelled(api, name, "instances", "disks", "addresses")
    return found + [_holding("firewalls", rule, mark) for rule, mark in rules(api, name) if mark], silent


def rules(api: Api, name: str | None) -> list[tuple[Any, Mark | None]]:
    """Rules have no labels: by their names, and with what their descriptions say; None: somebody else's."""
    named = f'name eq "{gcp_bodies.name(name or ".*")}-(deny|ssh)"'
    listed = api.listed("firewalls", "for our firewall rules", filter=named)
    marks = [(rule, mark_of_sentence(rule.description)) for rule in listed]
    return [(rule, mark if mark and name in (None, mark.run) else None) for rule, mark in marks]


def settle(api: Api, name: str | None) -> list[Refused]:
    """Waits for what was begun: a thing that is still being made may be in no list yet.

    Where that is not told, what is there can be deleted all the same: the refusal is for the end.
    """
    what = "what is still being made"
    try:
        begun, _ = api.everywhere("global_operations", what, "status != DONE")
    except Refused as refused:
        return [refused]
    of_us = re.compile(rf"{re.escape(gcp_bodies.name(name))}(-deny|-ssh)?" if name else rf"{TAG}-.*")
    for operation in begun:
        if of_us.fullmatch(last(operation.target_link)):
            with suppress(Refused):  # that it failed is no matter: it is looked for all the same
                api.finish(operation, what)
    return []


def delete(api: Api, holdings: Iterable[Holding], say: Say) -> list[Refused]:
    """All at once, and then waits; a refusal of one keeps no other. What is gone already is no refusal."""
    begun, refusals = [], []
    for each in holdings:
        what = f"to delete {each.resource.id}"
        say(f"deleting the {each.resource.kind} {each.resource.id}", None)
        try:
            begun.append((api.found(each.service, "delete_unary", what, **each.request), what))
        except Refused as refused:
            refusals.append(refused)
    for operation, what in begun:
        try:
            if operation:
                api.finish(operation, what)
        except Refused as refused:
            refusals.append(refused)
    return refusals


def _holding(service: str, thing: Any, mark: Mark) -> Holding:
    where = {field: last(getattr(thing, field)) for field in ("zone", "region") if getattr(thing, field, "")}
    zone = where.get("zone")
    return Holding(
        resource=Resource(
            kind=KINDS[service],
            id=f"{zone}/{thing.name}" if zone else thing.name,
            region=region_of(zone) if zone else where.get("region", "global"),
            name=mark.run,
            expires=mark.expires,
        ),
        service=service,
        request={**where, KINDS[service]: thing.name},
    )
