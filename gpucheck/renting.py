"""A rented instance, from its order to its end: made in the first zone that has one, waited for, and given back.

Whatever happens in between, it is given back: `rented` is a `with` block. Where this very process dies, the instance
ends itself at its expiry, and `gpucheck cloud destroy` finds what is left by its tags.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from gpucheck import consoles
from gpucheck.clouds import Cloud, Machine, Order, Refused, Resource, endpoint
from gpucheck.consoles import Console
from gpucheck.model import Failure, Say

NOT_KNOWN = 3
POLL = 10.0  # seconds between two looks at an instance; its console is posted about as often
STARTING = 900.0  # seconds that an instance may take to be running
GRACE = 180.0  # seconds after its end in which a cloud may still post the last of a console


@dataclass(frozen=True, kw_only=True, slots=True)
class Home:
    """What came back: the console as it was read last, and what was given back."""

    machine: Machine
    console: Console


@contextmanager
def rented(cloud: Cloud, order: Order, say: Say, told: Callable[[Sequence[Resource]], None]) -> Iterator[Machine]:
    """A running instance; at the end of the block, however that comes, nothing of it is left. Raises Refused."""
    try:
        yield running(cloud, placed(cloud, order, say), say)
    finally:
        say(f"giving {order.name} back", None)
        told(cloud.remove(order.name, say))


def made(cloud: Cloud, order: Order, say: Say) -> Machine:
    """A running instance that stays; what was begun and did not come to that is given back."""
    there = living(cloud, order.name)
    try:
        return running(cloud, placed(cloud, order, say), say)
    except BaseException:
        if there is None:
            cloud.remove(order.name, say)
        raise


def placed(cloud: Cloud, order: Order, say: Say) -> Machine:
    """An instance in the first zone that has one, or the one of this name that is there. Raises Refused."""
    if there := living(cloud, order.name):
        return cloud.create(order, _same(there, order).zone, say)  # what it was cut off at is made up for
    refusals: dict[str, Refused] = {}
    zones = cloud.zones(order)
    for zone in zones:
        say(f"asking for {order.instance_type} in {zone or order.region}", None)
        try:
            return cloud.create(order, zone or None, say)
        except Refused as refused:
            if refused.reason != "stock":
                raise
            refusals[zone or order.region] = refused
    if not refusals:
        raise Refused(
            "type", f"no zone of {order.region} has {order.instance_type}",
            f"`gpucheck cloud offers --cloud {cloud.provider}` has others; or another --region",
        )  # fmt: skip
    told = "; ".join(f"{zone}: {refused}" for zone, refused in refusals.items())
    others = f"`gpucheck cloud offers --cloud {cloud.provider}` has other types; "
    raise Refused(
        "stock", f"there is no {order.instance_type} to be had now: {told}",
        others + ("another --region" if order.spot else "another --region, or --spot") + ", or later",
    )  # fmt: skip


def living(cloud: Cloud, name: str) -> Machine | None:
    """The instance of that name, unless it has ended."""
    return next((each for each in cloud.machines(name) if each.state not in ("stopping", "stopped", "gone")), None)


def _same(there: Machine, order: Order) -> Machine:
    """The one that an earlier run of the same order made. Raises Refused where it is another's or of another kind."""
    for what, has, wants in (
        ("type", there.instance_type, order.instance_type), ("region", there.region, order.region),
        ("owner", there.owner, order.owner),
    ):  # fmt: skip
        if has != wants:
            raise Refused(
                "name", f"there is a {order.name} already, and its {what} is {has}, not {wants}",
                f"another --name, or give it back: `gpucheck cloud destroy {there.provider} {order.name}`",
            )  # fmt: skip
    return there


def running(cloud: Cloud, machine: Machine, say: Say, seconds: float = STARTING) -> Machine:
    """The same instance once it runs. Raises Refused where it ended before, Failure where it takes too long."""
    until = time.monotonic() + seconds
    while machine.state == "starting":
        say(f"{machine.id} is starting", None)
        if time.monotonic() > until:
            raise Failure(
                f"{machine.id} was not running after {seconds:.0f} s", "try again, or another --region", NOT_KNOWN
            )
        pause()
        machine = next(iter(cloud.machines(machine.name)), machine)
    if machine.state != "running":
        raise Refused("stock", f"{machine.id} ended before it ran{_why(machine)}", "try again, or without --spot")
    return machine


def proven(cloud: Cloud, machine: Machine, run: str, say: Say) -> Home:
    """The reports that the first boot prints, read from its console until all are there and whole.

    Ends without them where the instance does: what there is comes back, and complaint() says what is missing.
    """
    quiet: float | None = None  # since when nothing more is to be expected of it
    while True:
        console = consoles.read(cloud.console(machine), run)
        if console.whole:
            return Home(machine=machine, console=console)
        now = next(iter(cloud.machines(machine.name)), None)
        machine = now or replace(machine, state="gone")
        if console.done is not None or machine.state in ("stopping", "stopped", "gone"):
            quiet = quiet or time.monotonic()
            if machine.state == "gone" or time.monotonic() - quiet > pace(GRACE):
                return Home(machine=machine, console=console)
        elif machine.expires and datetime.now(UTC) > machine.expires:
            return Home(machine=machine, console=console)
        say(f"{machine.name}: {console.step or 'starting up'}", None)
        pause()


def complaint(home: Home) -> tuple[str, str] | None:
    """What went wrong between the boot and the report, in a sentence and a tip; None where all came home."""
    console, machine = home.console, home.machine
    if console.failed:
        return f"the first boot failed at {console.failed}", _tail(console) or "its console says no more"
    if console.whole:
        return None
    if machine.ended:
        return f"{machine.name} was taken away{_why(machine)}", "run it again, or without --spot"
    if machine.state != "running":
        return f"{machine.name} ended before its report came{_why(machine)}", _tail(console) or "a longer --minutes"
    torn = f"the report came torn ({', '.join(console.torn)})" if console.torn else "no report came"
    return f"{torn} before {machine.name} reached its end of life", _tail(console) or "a longer --minutes"


def _tail(console: Console) -> str:
    return "its console's last lines:\n" + "\n".join(f"  {line}" for line in console.rest[-8:]) if console.rest else ""


def _why(machine: Machine) -> str:
    return f": {machine.ended}" if machine.ended else ""


def pace(seconds: float) -> float:
    """A wait; an emulator makes nobody wait."""
    return min(seconds, 0.05) if endpoint() else seconds


def pause() -> None:
    time.sleep(pace(POLL))
