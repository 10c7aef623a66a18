"""What can be rented, as a table for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gpucheck.rentals import Offer
from gpucheck.tables import StockImage

if TYPE_CHECKING:
    from rich.table import Table

CLOUDS = {"aws": "AWS", "gcp": "GCP", "azure": "Azure"}


def offers(found: Sequence[Offer]) -> str:
    """In their order."""
    table = _table()
    for name, justify in (("$ an hour", "right"), ("type", "left"), ("GPUs", "left"), ("listed", "left")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for offer in found:
        dollars = "not known" if offer.usd is None else f"{offer.usd:.2f}"
        gpus = f"{offer.count} × {offer.gpu}, {offer.memory_mib / 1024:.0f} GiB each"
        table.add_row(dollars, f"{CLOUDS[offer.provider]} {offer.name}", gpus, listed(offer))
    return _text(table)


def listed(offer: Offer) -> str:
    """Where and when the price was so."""
    if offer.asof is None:
        return "-"
    return f"{offer.region}, {offer.asof}{' or later' if offer.or_later else ''}"


def images(found: Sequence[StockImage]) -> str:
    table = _table()
    for name in ("image", "of", "driver", "looked up as"):
        table.add_column(name, overflow="fold")
    for image in found:
        driver = "in it" if image.driver else "installed at the first boot"
        table.add_row(f"{CLOUDS[image.provider]} {image.key}", image.distribution, driver, image.lookup)
    return _text(table)


def _table() -> Table:
    from rich.table import Table

    return Table(box=None, pad_edge=False)


def _text(table: Table) -> str:
    from gpucheck.render.terminal import page

    return page([table])
