"""rentals.toml row by row, against clouds.toml and the tables of drivers; and the questions that are asked of it."""

from __future__ import annotations

import re
from datetime import date
from fnmatch import fnmatchcase
from itertools import pairwise

import pytest

from gpucheck import compat, rentals, targets
from gpucheck.compat import Compat
from gpucheck.facts import Version
from gpucheck.model import Failure
from gpucheck.rentals import PROVIDERS, Offer
from gpucheck.tables import Price, RentalFamily, StockImage
from gpucheck.userdata import DISTRIBUTIONS

ROWS = rentals.load()
TABLES: Compat = compat.load()
OFFERS = rentals.offers()
ASKED = {  # what there must be at least, by the issue that asked for it
    "aws": "g4dn g5 g6 g6e p4d p4de p5 p5e p5en p6-b200 p6-b300",
    "gcp": "n1 g2 a2-highgpu a2-megagpu a2-ultragpu a3-highgpu a3-megagpu a3-ultragpu a4-highgpu",
    "azure": "NCasT4_v3 NVads_A10_v5 NC_A100_v4 ND_A100_v4 NCads_H100_v5 ND_H100_v5 ND_H200_v5",
}

each_family = pytest.mark.parametrize("family", ROWS.families, ids=lambda row: f"{row.provider}-{row.family}")
each_image = pytest.mark.parametrize("image", ROWS.images, ids=lambda row: f"{row.provider}-{row.key}")
each_price = pytest.mark.parametrize("price", ROWS.prices, ids=lambda row: row.name)


def of(family: RentalFamily) -> list[Offer]:
    return [each for each in OFFERS if rentals.family_of(each.provider, each.instance_type) == family]


# --- the rows ---


def test_every_family_that_was_asked_for_is_there() -> None:
    for provider, names in ASKED.items():
        assert set(names.split()) <= {row.family for row in ROWS.families if row.provider == provider}


@each_family
def test_a_family_has_types_an_image_and_a_driver_that_serves_its_gpus(family: RentalFamily) -> None:
    found = of(family)
    assert found, "a family of no type"
    assert family.image in {row.key for row in rentals.images(family.provider)}
    for gpu in {each.gpu for each in found}:
        assert TABLES.capability_of(gpu) in (family.capability, None), gpu
    assert TABLES.driver_serves(Version(f"{family.branch}.0"), family.capability)
    assert TABLES.module_fits(family.capability, open_module=family.open_module)
    assert 16_000 <= family.memory_mib < 300_000


def test_a_type_is_of_one_family() -> None:
    for each in OFFERS:
        name = each.instance_type.lower()
        fits = [row for row in ROWS.families if fnmatchcase(name, row.types.lower()) and row.provider == each.provider]
        assert len(fits) == 1, each.name


@each_family
def test_a_quota_is_named_as_its_cloud_names_it(family: RentalFamily) -> None:
    form = {
        "aws": r"L-[0-9A-F]{8}",
        "gcp": r"[A-Z0-9_]+_GPUS|GPUS_PER_GPU_FAMILY \(gpu_family: \w+\)",
        "azure": r"[Ss]tandard.+Family",
    }
    assert re.fullmatch(form[family.provider], family.quota)
    spot = {**form, "azure": "lowPriorityCores"}
    assert family.quota_spot is None or re.fullmatch(spot[family.provider], family.quota_spot)


@each_image
def test_an_image_is_looked_up_as_its_cloud_does_and_boots_what_we_set_up(image: StockImage) -> None:
    pattern, _ = targets.IMAGES[image.provider]
    assert pattern.fullmatch(image.lookup)
    assert not re.search(r"ami-[0-9a-f]{8}|-v20\d{6}", image.lookup), "an id that rots"
    assert image.distribution in DISTRIBUTIONS
    assert image.login.islower()
    assert 8 <= image.disk_gib <= 100


def test_each_cloud_has_images_with_a_driver_and_plain_ones() -> None:
    for provider in PROVIDERS:
        found = rentals.images(provider)
        assert len({row.key for row in found}) == len(found)
        for driver in (True, False):
            assert {"ubuntu-22.04", "ubuntu-24.04"} <= {row.distribution for row in found if row.driver is driver}
    assert {row.distribution for row in ROWS.images} == set(DISTRIBUTIONS)


@each_price
def test_a_price_is_of_a_known_type_and_dated(price: Price) -> None:
    assert rentals.offer(price.provider, price.name).usd == price.usd
    assert 0 < price.usd < 200
    assert price.spot_usd is None or 0 < price.spot_usd < price.usd
    assert date(2024, 1, 1) <= price.asof <= date.today()
    assert (price.vcpus is not None) is (price.provider != "gcp"), "AWS and Azure count vCPUs"


def test_each_price_is_listed_once() -> None:
    assert len({(row.provider, row.name, row.region, row.asof) for row in ROWS.prices}) == len(ROWS.prices)


@each_family
def test_more_gpus_cost_more(family: RentalFamily) -> None:
    """The cheapest type with so many, within a family."""
    cheapest: dict[int, float] = {}
    for each in of(family):
        if each.usd is not None:
            cheapest[each.count] = min(each.usd, cheapest.get(each.count, each.usd))
    for fewer, more in pairwise(sorted(cheapest)):
        assert cheapest[fewer] < cheapest[more]


def test_attached_gpus_are_promised_by_no_instance_type() -> None:
    for row in ROWS.attached:
        assert TABLES.promised(row.provider, row.instance_type) is None


# --- the questions ---


def test_offers_are_sorted_and_those_without_a_price_come_last() -> None:
    known = [each.usd is not None for each in OFFERS]
    assert known == sorted(known, reverse=True)
    prices = [each.usd for each in OFFERS if each.usd is not None]
    assert prices == sorted(prices)
    assert not all(known), "no type without a price is left to test this with"
    assert all((each.usd is None) is (each.asof is None) is (each.region is None) for each in OFFERS)


def test_offers_are_those_that_fit() -> None:
    found = rentals.offers(gpu="H100", max_price=10)
    assert found
    assert all(each.usd is not None and each.usd <= 10 and each.gpu.startswith("H100") for each in found)
    assert {each.count for each in rentals.offers(count=8)} == {8}
    assert {each.provider for each in rentals.offers(provider="gcp")} == {"gcp"}
    assert rentals.offers(gpu="B300", max_price=1000) == (), "what has no price fits under none"
    assert rentals.offers(max_price=0.01) == ()


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("t4", {"T4"}),
        ("Tesla T4", {"T4"}),
        ("nvidia-tesla-t4", {"T4"}),
        ("A100", {"A100 40 GB", "A100 80 GB"}),
        ("a100-80gb", {"A100 80 GB"}),
        ("A100 80 GB", {"A100 80 GB"}),
        ("H100", {"H100", "H100 NVL"}),
        ("L4", {"L4"}),
        ("A10", {"A10"}),
    ],
)
def test_a_gpu_is_found_by_what_people_call_it(asked: str, meant: set[str]) -> None:
    assert {each.gpu for each in rentals.offers(gpu=asked)} == meant


@pytest.mark.parametrize("gpu", ["H10", "RTX 4090", "", "-", "a100-40tb"])
def test_an_unknown_gpu_is_refused_with_the_nearest_names(gpu: str) -> None:
    with pytest.raises(Failure) as caught:
        rentals.offers(gpu=gpu)
    assert "H100" in caught.value.tip or "A100" in caught.value.tip


def test_unknown_names_are_refused_with_the_nearest_one() -> None:
    for ask, near in (
        (lambda: rentals.offers(provider="gpc"), "gcp"),
        (lambda: rentals.offer("aws", "g5.xlrge"), "g5.xlarge"),
        (lambda: rentals.family_of("azure", "Standard_NC24ads_A100_v44"), "Standard_NC24ads_A100_v4"),
        (lambda: rentals.image("aws", "ubuntu-2404", "g5.xlarge"), "ubuntu-24.04"),
        (lambda: rentals.image("gcp", "debian-12", "g2-standard-4"), "ubuntu-22.04"),
    ):
        with pytest.raises(Failure) as caught:
            ask()
        assert near in caught.value.tip


def test_an_offer_is_found_by_its_name_and_by_its_machine() -> None:
    assert rentals.offer("azure", "standard_nc4as_t4_v3").name == "Standard_NC4as_T4_v3"
    plain = rentals.offer("gcp", "n1-standard-4")
    assert (plain.name, plain.instance_type, plain.attached) == (
        "n1-standard-4+t4",
        "n1-standard-4",
        ("nvidia-tesla-t4", 1),
    )
    assert rentals.offer("gcp", "n1-standard-32+4xt4").attached == ("nvidia-tesla-t4", 4)
    assert rentals.family_of("gcp", plain.name) == rentals.family_of("gcp", plain.instance_type)


def test_the_usual_image_has_a_driver_and_another_is_had_by_its_key() -> None:
    for each in OFFERS:
        family = rentals.family_of(each.provider, each.name)
        if not family.vgpu:
            usual = rentals.image(each.provider, None, each.name)
            assert usual.driver
            assert usual.login == rentals.login(each.provider)
    assert rentals.image("aws", "debian-12", "g5.xlarge").distribution == "debian-12"


def test_a_virtual_gpu_is_refused_before_it_costs() -> None:
    with pytest.raises(Failure, match="GRID"):
        rentals.image("azure", None, "Standard_NV36ads_A10_v5")


def test_a_price_is_of_its_region_or_not_known() -> None:
    found = rentals.price("aws", "g5.xlarge", "us-east-1")
    assert found == rentals.price("aws", "g5.xlarge")
    assert rentals.price("aws", "g5.xlarge", "eu-west-1") is None
    assert rentals.price("aws", "p5e.48xlarge") is None


def test_costs_are_of_the_cheapest_with_one_gpu_first_of_the_same() -> None:
    found = rentals.costs("NVIDIA A100-SXM4-80GB", 1800)
    same = [cost.same for cost in found]
    assert same == sorted(same, reverse=True)
    assert {cost.offer.gpu for cost in found if cost.same} == {"A100 80 GB"}
    assert len({(cost.offer.provider, cost.offer.gpu) for cost in found}) == len(found)
    for cost in found:
        hour = min(
            e.usd for e in OFFERS if e.usd and (e.provider, e.gpu, e.count) == (cost.offer.provider, cost.offer.gpu, 1)
        )
        assert cost.offer.count == 1
        assert cost.usd == pytest.approx(hour / 2)
    assert not any(cost.same for cost in rentals.costs("NVIDIA GeForce RTX 4090", 60))
    assert not any(cost.same for cost in rentals.costs(None, 60))


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("Tesla T4", "T4"),
        ("NVIDIA L4", "L4"),
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA A10G", "A10G"),
        ("NVIDIA A10", "A10"),
        ("NVIDIA A100-PCIE-40GB", "A100 40 GB"),
        ("NVIDIA A100 80GB PCIe", "A100 80 GB"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA H100 NVL", "H100 NVL"),
    ],
)
def test_the_gpu_of_a_run_is_known_by_its_name(name: str, model: str) -> None:
    assert {cost.offer.gpu for cost in rentals.costs(name, 60) if cost.same} == {model}
