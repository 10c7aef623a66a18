"""What every cloud does, by whichever SDK: gpucheck.clouds.orders says it, and this holds all three to it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gpucheck import clouds, renting
from gpucheck.clouds import Refused
from tests.clouds.rigs import Rig

LATER = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)


def quiet(*_: object) -> None:
    pass


def test_what_is_ordered_is_what_is_there(rig: Rig) -> None:
    account, order = rig.account(), rig.order(expires=LATER)
    made = renting.running(account, renting.placed(account, order, quiet), quiet)
    assert (made.provider, made.name, made.owner, made.expires) == (rig.provider, order.name, order.owner, LATER)
    assert (made.instance_type, made.region, made.spot) == (order.instance_type, order.region, False)
    assert made.state == "running"
    assert rig.user_data(order.name) == order.user_data
    assert [machine.id for machine in account.machines()] == [made.id]


def test_the_same_name_again_is_the_same_instance(rig: Rig) -> None:
    account, order = rig.account(), rig.order()
    zone = next(iter(account.zones(order)), None)
    first = account.create(order, zone or None, quiet)
    assert account.create(order, zone or None, quiet).id == first.id
    assert renting.placed(rig.account(), order, quiet).id == first.id
    assert len(account.machines()) == 1


def test_a_name_that_is_taken_for_another_type_is_refused(rig: Rig) -> None:
    account = rig.account()
    renting.placed(account, rig.order(), quiet)
    with pytest.raises(Refused, match="already") as refused:
        renting.placed(account, rig.order(instance_type=rig.other_type), quiet)
    assert refused.value.reason == "name"


def test_looking_makes_nothing(rig: Rig) -> None:
    account, order = rig.account(), rig.order()
    zone = next(iter(account.zones(order)), None)
    assert order.instance_type in str(account.request(order, zone or None))
    assert not account.machines()
    assert not account.resources()
    assert rig.left() == []


def test_all_of_it_is_found_and_nothing_stays(rig: Rig) -> None:
    account = rig.account()
    renting.placed(account, rig.order(), quiet)
    renting.placed(account, rig.order(name="ben-2", owner="ben"), quiet)
    assert {each.name for each in account.resources()} == {"ana-1", "ben-2"}
    assert {each.name for each in account.resources("ana-1")} == {"ana-1"}
    gone = account.remove("ana-1", quiet)
    assert gone
    assert {each.name for each in gone} == {"ana-1"}
    assert {each.name for each in account.resources()} == {"ben-2"}
    account.remove(None, quiet)
    assert not account.resources()
    assert rig.left() == []


def test_nothing_there_is_no_error(rig: Rig) -> None:
    account = rig.account()
    assert not account.remove("ana-1", quiet)
    assert not account.remove(None, quiet)
    assert not account.machines()


def test_a_spot_instance_that_is_taken_away_says_so(rig: Rig) -> None:
    account = rig.account()
    made = renting.running(account, renting.placed(account, rig.order(spot=True), quiet), quiet)
    assert made.spot
    rig.take_away(made.name)
    home = renting.proven(account, made, made.name, quiet)
    assert home.machine.state != "running"
    sentence, _ = renting.complaint(home) or ("", "")
    assert made.name in sentence
    account.remove(None, quiet)
    assert rig.left() == []


def test_the_next_zone_is_tried(rig: Rig) -> None:
    account, order = rig.account(), rig.order()
    first, *others = account.zones(order)
    rig.stock_out({first})
    assert renting.placed(account, order, quiet).zone == others[0]
    account.remove(None, quiet)
    assert rig.left() == []


def test_no_zone_has_one(rig: Rig) -> None:
    account, order = rig.account(), rig.order()
    zones = account.zones(order)
    rig.stock_out(set(zones))
    with pytest.raises(Refused, match="to be had now") as refused:
        renting.placed(account, order, quiet)
    assert refused.value.reason == "stock"
    assert all(zone in str(refused.value) for zone in zones)
    assert "region" in refused.value.tip
    account.remove(None, quiet)
    assert rig.left() == []


@pytest.mark.parametrize(("field", "value", "reason"), [
    ("instance_type", "no-such-type", "type"), ("region", "mars-north1", "region"), ("image", "wrong", "image"),
])  # fmt: skip
def test_what_is_not_there_is_named(rig: Rig, field: str, value: str, reason: str) -> None:
    order = rig.order(**{field: rig.wrong_image if field == "image" else value})
    with pytest.raises(Refused) as refused:
        renting.placed(clouds.cloud(rig.provider, order.region), order, quiet)
    assert refused.value.reason == reason
    assert refused.value.tip
    assert not rig.account().machines()


def test_quota(rig: Rig) -> None:
    rig.no_quota()
    with pytest.raises(Refused) as refused:
        renting.placed(rig.account(), rig.order(), quiet)
    assert refused.value.reason == "quota"
    assert "quota" in refused.value.tip


def test_the_console_is_text(rig: Rig) -> None:
    account = rig.account()
    made = renting.running(account, renting.placed(account, rig.order(), quiet), quiet)
    assert isinstance(account.console(made), str)
    rig.set_console(made.name, "hello\r\nthere\n")
    assert "there" in account.console(made)


def test_no_way_in_unless_asked(rig: Rig) -> None:
    account, order = rig.account(), rig.order()
    zone = next(iter(account.zones(order)), None)
    closed = str(account.request(order, zone or None))
    opened = str(account.request(rig.order(ssh_key="ssh-ed25519 AAAA ana", ssh_from="203.0.113.7/32"), zone or None))
    assert "203.0.113.7/32" in opened
    assert "203.0.113.7/32" not in closed
    assert "22" not in [word.strip("'\",[]{}:") for word in closed.split()]


def test_the_console_of_one_that_is_gone_is_not_the_next_ones(rig: Rig) -> None:
    account, order = rig.account(), rig.order()
    zone = next(iter(account.zones(order)), None) or None
    made = renting.running(account, account.create(order, zone, quiet), quiet)
    rig.set_console(made.name, "of the first\n")
    assert "of the first" in account.console(made)
    account.remove(made.name, quiet)
    rig.set_console(made.name, "")
    later = rig.order(expires=LATER + timedelta(minutes=1))
    again = renting.running(account, account.create(later, zone, quiet), quiet)
    assert account.console(again) == ""
    rig.set_console(made.name, "of the second\n")
    assert "of the second" in account.console(again)
