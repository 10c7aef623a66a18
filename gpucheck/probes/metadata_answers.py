"""What each cloud's metadata service is asked, and what is taken from its answers: words, times and no names.

Each function yields what it knows as soon as it knows it, for the time may be over before the next answer.
"""

from __future__ import annotations

import contextlib
import email.utils
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,63}")
AWS, GCP = "/latest/meta-data", "/computeMetadata/v1/instance"
AZURE_COMPUTE = "/metadata/instance/compute?api-version=2021-08-01"
AZURE_EVENTS = "/metadata/scheduledevents?api-version=2020-07-01"
# What no one has heard of is taken for the worst, a stop.
AWS_KINDS = {"instance-reboot": "reboot", "system-reboot": "reboot", "system-maintenance": "reboot"}
AZURE_KINDS = {"Preempt": "reclaim", "Reboot": "reboot", "Freeze": "pause"}
NOT_ASKED = "Azure is asked for this on spot machines alone: to ask has every restart by its portal wait for 15 minutes"

Part = dict[str, Any]


class Service(Protocol):
    """Gives answers, or None: with `absent` that may mean that there is none, else the reason is kept in `untold`."""

    untold: list[str]
    hint: str | None

    def take_token(self) -> bool: ...
    def word(self, path: str, absent: bool = False) -> str | None: ...
    def json(self, path: str, kind: type, absent: bool = False) -> Any: ...
    def fail(self, path: str, why: str) -> None: ...


def aws_place(service: Service) -> Iterator[Part]:
    if service.take_token():
        yield {"instance_type": service.word(f"{AWS}/instance-type")}
        yield {"region": service.word(f"{AWS}/placement/region")}
        yield {"zone": service.word(f"{AWS}/placement/availability-zone")}
        cycle = service.word(f"{AWS}/instance-life-cycle")
        yield {"spot": cycle and cycle == "spot"}


def gcp_place(service: Service) -> Iterator[Part]:
    yield {"instance_type": service.word(f"{GCP}/machine-type")}
    zone = service.word(f"{GCP}/zone")
    yield {"zone": zone, "region": zone and zone.rpartition("-")[0]}
    preemptible = service.word(f"{GCP}/scheduling/preemptible")
    model = service.word(f"{GCP}/scheduling/provisioning-model", absent=True)
    yield {"spot": model == "SPOT" or (preemptible and preemptible == "TRUE")}


def azure_place(service: Service) -> Iterator[Part]:
    if compute := service.json(AZURE_COMPUTE, dict):
        names = {"instance_type": "vmSize", "region": "location", "zone": "zone"}
        yield {**{ours: word(compute.get(theirs)) for ours, theirs in names.items()}, "spot": _is_spot(compute)}


def aws_events(service: Service) -> Iterator[Part]:
    if not service.take_token():
        return
    if action := service.json(f"{AWS}/spot/instance-action", dict, absent=True):
        yield event("reclaim", action.get("time"), action.get("action"))
    for planned in _each(service.json(f"{AWS}/events/maintenance/scheduled", list, absent=True)):
        if planned.get("State", "active") == "active":
            code = word(planned.get("Code"))
            yield event(AWS_KINDS.get(code or "", "stop"), planned.get("NotBefore"), code)
    if service.json(f"{AWS}/events/recommendations/rebalance", dict, absent=True):
        yield event("risk", None, "rebalance recommendation")


def gcp_events(service: Service) -> Iterator[Part]:
    if service.word(f"{GCP}/preempted") == "TRUE":
        yield event("reclaim", None, "preempted")
    coming = service.word(f"{GCP}/maintenance-event") or "NONE"
    if coming != "NONE":
        yield event("pause" if coming.startswith("MIGRATE") else "stop", None, coming)
    # {} and "NONE" where there is none; its documentation has the window inside of another object.
    planned = service.json(f"{GCP}/upcoming-maintenance?alt=json", object, absent=True)
    for window in _each([planned, *planned.values()] if isinstance(planned, dict) else None):
        if "window_start_time" in window and window.get("maintenance_status") != "COMPLETE":
            yield event("stop", window["window_start_time"], f"{word(window.get('type')) or 'upcoming'} maintenance")


def azure_events(service: Service) -> Iterator[Part]:
    compute = service.json(AZURE_COMPUTE, dict)
    if compute is None:
        return
    if not _is_spot(compute):
        service.untold.append(NOT_ASKED)
        return
    service.hint = "Azure's first answer in a day takes up to two minutes: ask again then"
    told = service.json(AZURE_EVENTS, dict)
    if told is not None and not isinstance(told.get("Events"), list):
        service.fail(AZURE_EVENTS, "not of its form")
    for planned in _each(told and told.get("Events")):
        # In a scale set or an availability set each machine is told of all.
        names = planned.get("Resources") or [compute.get("name")]
        if str(compute.get("name")).lower() in str(names).lower():
            kind = word(planned.get("EventType"))
            yield event(AZURE_KINDS.get(kind or "", "stop"), planned.get("NotBefore"), kind)


def _each(values: Any) -> Iterator[Mapping[str, Any]]:
    return (value for value in (values if isinstance(values, list) else ()) if isinstance(value, dict))


def _is_spot(compute: Mapping[str, Any]) -> bool:
    return compute.get("priority") in ("Spot", "Low")


def event(kind: str, when: Any, says: Any) -> Part:
    return {"kind": kind, "when": moment(when), "says": word(says) or "no word for it"}


def word(value: Any) -> str | None:
    return value if isinstance(value, str) and WORD.fullmatch(value) else None


def moment(text: Any) -> str | None:
    """2026-11-26T12:02:00Z, of that or of "Thu, 26 Nov 2026 12:02:00 GMT", with or without the day."""
    for read in (datetime.fromisoformat, email.utils.parsedate_to_datetime):
        with contextlib.suppress(ValueError, TypeError, OverflowError, IndexError, AttributeError):
            found = read(text)
            found = found if found.tzinfo else found.replace(tzinfo=UTC)
            return found.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return None


ASKED: Mapping[str, Mapping[str, Callable[[Service], Iterator[Part]]]] = {
    "place": {"aws": aws_place, "gcp": gcp_place, "azure": azure_place},
    "events": {"aws": aws_events, "gcp": gcp_events, "azure": azure_events},
}
