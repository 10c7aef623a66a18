"""What a run costs: of the same GPU where the run was proven to be on one, and of no report without a run."""

from __future__ import annotations

import pytest

from gpucheck.render import costs, html
from tests.clouds import player


def dollars(row: costs.Row) -> tuple[float, float]:
    return float(row.hour), float(row.run)


def test_a_run_on_a_gpu_is_priced_on_the_same() -> None:
    found = costs.costs(player.verified("derived-tensorflow-gpu"))
    assert found
    assert {row.gpu for row in found.rows} == {"T4"}  # of that machine
    assert "the same GPU" in found.lead


@pytest.mark.parametrize("run", ["tensorflow-cpu", "tensorflow-cpu-asked-gpu"])
def test_a_run_on_the_cpu_was_on_nobodys_gpu(run: str) -> None:
    report = player.verified(run)
    found = costs.costs(report)
    assert found
    assert len({row.gpu for row in found.rows}) > 3
    assert "the same GPU" not in found.lead
    seconds = float(found.lead.partition("took ")[2].partition(" s")[0])
    for row in found.rows:
        hour, run_costs = dollars(row)
        assert run_costs == pytest.approx(hour * seconds / 3600, abs=0.01)


def test_a_price_has_its_date() -> None:
    found = costs.costs(player.verified("tensorflow-cpu"))
    assert found
    assert all("20" in row.listed for row in found.rows)
    assert found.rows[0].listed in html.render([player.verified("tensorflow-cpu")])


def test_a_report_of_a_host_has_no_costs() -> None:
    assert costs.costs(player.doctor("no-driver")) is None
