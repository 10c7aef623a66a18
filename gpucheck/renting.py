"""A rented instance, from its order to its end: made in the first zone that has one, waited for, and given back.

Whatever happens in between, it is given back: `rented` is a `with` block. Where this very process dies, the instance
ends itself at its expiry, and `gpucheck cloud destroy` finds what is left by its tags.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from gpucheck import consoles
from gpucheck.clouds import Cloud, Machine, Order, Refused, Resource, endpoint
from gpucheck.consoles import Console
from gpucheck.model import Failure, Say

NOT_KNOWN = 3
ANSWERS = "verify"  # the report that says whether training runs on the GPU
POLL = 10.0  # seconds between two looks at an instance; its console is posted about as often
STARTING = 900.0  # seconds that an instance may take to be running
GRACE = 180.0  # seconds after its end in which a cloud may still post the last of a console


@dataclass(frozen=True, kw_only=True, slots=True)
class Home:
    """What came home: the console as it was read last, and the instance as it was then."""

    machine: Machine
    console: Console


class Taken(Refused):
    """The name is another's: nothing that is there is ours to give back."""


@contextmanager
def rented(cloud: Cloud, order: Order, say: Say, told: Callable[[Sequence[Resource]], None]) -> Iterator[Machine]:
    """A running instance; at the end of the block, however that comes, nothing of it is left. Raises Failure."""
    say, ours = _heard_or_not(say), True
    before: BaseException | None = None
    try:
        yield running(cloud, placed(cloud, order, say), say)
    except Taken:
        ours = False
        raise
    except BaseException as error:
        before = error
        raise
    finally:
        if ours:
            say(f"giving {order.name} back", None)
            told(_returned(cloud, order.name, say, before))


def made(cloud: Cloud, order: Order, say: Say) -> Machine:
    """A running instance that stays; what was begun and did not come to that is given back."""
    there, say = living(cloud, order.name), _heard_or_not(say)
    try:
        return running(cloud, placed(cloud, order, say), say)
    except Taken:
        raise
    except BaseException as error:
        if there is None:
            _returned(cloud, order.name, say, error)
        raise


def _returned(cloud: Cloud, name: str, say: Say, before: BaseException | None) -> Sequence[Resource]:
    """What was given back. Raises Failure, which also tells what went wrong `before`, where it may be there still."""
    by_hand = f"`gpucheck cloud destroy {cloud.provider} {name}`"
    try:
        try:
            return cloud.remove(name, say)
        except Exception:
            raise
        except BaseException:  # the signal that ends this process, and the only one that comes through: once more
            cloud.remove(name, say)
            raise
    except Failure as no:
        first = f"{before}; and then " if isinstance(before, Failure) else ""
        raise Failure(f"{first}{name} may still be there, and cost: {no}", f"{by_hand}; {no.tip}", NOT_KNOWN) from no
    except Exception as bug:
        bug.add_note(f"{name} may still be there, and cost: {by_hand}")
        raise


def _heard_or_not(say: Say) -> Say:
    """A reader who went away (`| tee`, a closed terminal) keeps nothing from being given back."""

    def heard(line: str, share: float | None) -> None:
        with suppress(OSError):
            say(line, share)

    return heard


def placed(cloud: Cloud, order: Order, say: Say) -> Machine:
    """An instance in the first zone that has one, or the one of this name that is there. Raises Refused."""
    if there := living(cloud, order.name):
        return cloud.create(order, same(there, order).zone, say)  # what it was cut off at is made up for
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


def same(there: Machine, order: Order) -> Machine:
    """The one that an earlier run of the same order made. Raises Taken where it is another's or of another kind."""
    for what, has, wants in (
        ("owner", there.owner, order.owner), ("type", there.instance_type, order.instance_type),
        ("region", there.region, order.region),
    ):  # fmt: skip
        if has != wants:
            back = f", or give it back: `gpucheck cloud destroy {there.provider} {order.name}`"
            raise Taken(
                "name", f"there is a {order.name} already, and its {what} is {has}, not {wants}",
                "another --name" + (back if what != "owner" else ""),
            )  # fmt: skip
    return there


def running(cloud: Cloud, machine: Machine, say: Say, seconds: float = STARTING) -> Machine:
    """The same instance once it runs. Raises Refused where it ended before, Failure where it takes too long."""
    until = time.monotonic() + seconds
    while machine.state == "starting":
        say(f"{machine.id} is starting", None)
        if time.monotonic() > until:
            raise Failure(
                f"{machine.name} ({machine.id}) was not running after {seconds:.0f} s",
                "try again, or another --region",
                NOT_KNOWN,
            )
        pause()
        machine = _again(cloud, machine) or machine
    if machine.state != "running":
        raise Refused(
            "stock", f"{machine.name} ({machine.id}) ended before it ran{_why(machine)}", "try again, or without --spot"
        )
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
        machine = _again(cloud, machine) or replace(machine, state="gone")
        if console.done is not None or machine.state in ("stopping", "stopped", "gone"):
            quiet = quiet or time.monotonic()
            if machine.state == "gone" or time.monotonic() - quiet > pace(GRACE):
                return Home(machine=machine, console=console)
        elif machine.expires and datetime.now(UTC) > machine.expires:
            return Home(machine=machine, console=console)
        say(f"{machine.name}: {console.step or 'starting up'}", None)
        pause()


def _again(cloud: Cloud, machine: Machine) -> Machine | None:
    """As it is now; an earlier one of its name, of which a cloud tells for an hour, is another."""
    return next((each for each in cloud.machines(machine.name) if each.id.lower() == machine.id.lower()), None)


def complaint(home: Home) -> tuple[str, str] | None:
    """What went wrong between the boot and the report, in a sentence and a tip; None where all came home."""
    console, machine = home.console, home.machine
    if console.failed:
        return f"the first boot failed at {console.failed}", _tail(console) or "its console says no more"
    if console.done is not None and ANSWERS not in console.reports and ANSWERS not in console.torn:
        codes = ", ".join(f"{step} ended with {code}" for step, code in console.done.items())
        return f"{machine.name} made no report of {ANSWERS}: {codes or 'no step was run'}", _notes(console)
    if console.whole:
        return None
    if machine.ended and machine.spot:
        return f"{machine.name} was taken away{_why(machine)}", "run it again, or without --spot"
    if machine.state != "running":
        return f"{machine.name} ended before its report came{_why(machine)}", _tail(console) or "a longer --minutes"
    torn = f"the report came torn ({', '.join(console.torn)})" if console.torn else "no report came"
    return f"{torn} before {machine.name} reached its end of life", _tail(console) or "a longer --minutes"


def _notes(console: Console) -> str:
    return "; ".join(console.notes[-3:]) or _tail(console) or "its console says no more"


def _tail(console: Console) -> str:
    return "its console's last lines:\n" + "\n".join(f"  {line}" for line in console.rest[-8:]) if console.rest else ""


def _why(machine: Machine) -> str:
    return f": {consoles.clean(machine.ended)}" if machine.ended else ""


def pace(seconds: float) -> float:
    """A wait; an emulator makes nobody wait."""
    return min(seconds, 0.05) if endpoint() else seconds


def pause() -> None:
    time.sleep(pace(POLL))
