"""The judgement of the forecast on replayed parents: on invented ones, and where data is given on real ones."""

from __future__ import annotations

import os
import random
import zipfile
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from benchmarks.replay.cases import Case, Sample, cases_of, read_bars, replay
from benchmarks.replay.fills import FillModel
from benchmarks.replay.forecast import as_markdown, fit, judge
from benchmarks.replay.sizes import Size
from benchmarks.replay.ticks import TickDataError, find
from rebalance_executor.domain.cost_model import FITTED, Parameters, WorkedOrder
from rebalance_executor.domain.plan import Urgency

TRUE = Parameters(flow=0.4, moves=1.5, gain=0.7, impact=0.3, step=0.7)
RUNGS = ((0.0, 6.0), (0.3, 6.0), (0.6, 6.0))


def a_case(rng: random.Random, parameters: Parameters, urgency: Urgency) -> Case:
    """Return an order of an invented market that costs what the parameters say, and noise."""
    size = "20x" if urgency is Urgency.URGENT else "100"
    order = WorkedOrder(
        rungs=()
        if urgency is Urgency.URGENT
        else tuple((p, s * (10 if urgency is Urgency.PATIENT else 1)) for p, s in RUNGS),
        half_spread=rng.choice((1.0, 2.0, 4.0)),
        volatility=rng.uniform(0.4, 1.0),
        traded=rng.choice((50.0, 500.0)),
        ahead=rng.uniform(100, 2000),
        displayed=500.0,
        shares=10_000.0 if urgency is Urgency.URGENT else 100.0,
        horizon=None,
    )
    cost = order.mean(parameters) + rng.gauss(0, 0.5)
    return Case(f"S{order.half_spread:.0f}", date(2026, 1, 26), size, urgency, order, cost, f"{rng.randrange(13)}")


@pytest.fixture(scope="module")
def invented() -> list[Case]:
    rng = random.Random(1)  # noqa: S311 (repeatable by its seed)
    urgencies = (Urgency.PATIENT, Urgency.NORMAL, Urgency.URGENT)
    return [a_case(rng, TRUE, urgencies[number % 3]) for number in range(3000)]


def test_fit_finds_parameters_without_a_mean_error(invented: list[Case]) -> None:
    verdicts = judge(invented, fit(invented))

    assert len(verdicts) == 9
    assert max(abs(one.error) for one in verdicts) < 0.1


def test_verdict_names_what_is_not_met(invented: list[Case]) -> None:
    shifted = [replace(case, cost=case.cost + 5) for case in invented]

    verdicts = judge(shifted, TRUE)
    table = as_markdown("Shifted", verdicts)

    assert not any(one.is_mean_met for one in verdicts)
    assert all(one.covered == pytest.approx(1 - one.below - one.above) for one in verdicts)
    assert "+5.0" in table
    assert "error below 0.3 bps in 0," in table


def test_daily_bars_are_read_in_leans_format(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "ibm.zip", "w") as archive:
        archive.writestr("ibm.csv", "20131004 00:00,1841700,1849600,1837600,1841000,2465600\n")

    (bar,) = read_bars(tmp_path, "IBM")

    assert (bar.day, bar.shares, bar.high, bar.low) == (
        date(2013, 10, 4),
        Decimal(2_465_600),
        Decimal("184.96"),
        Decimal("183.76"),
    )
    with pytest.raises(TickDataError, match=r"aig\.zip"):
        read_bars(tmp_path, "AIG")


def test_forecast_holds_on_a_day_that_was_not_used_to_fit_it() -> None:
    """A small part of the table in the documentation: 100 shares of IBM on 2013-10-08."""
    folder = os.environ.get("REPLAY_DATA")
    if not folder:
        pytest.skip("REPLAY_DATA names no folder with tick data")
    sources = find(Path(folder), ["IBM"], ["20131007", "20131008"])
    sample = Sample((Size.parse("100"),), 150, 30, 1, FillModel.QUEUE)
    cases = cases_of([parent for source in sources for parent in replay(source, sample)])

    verdicts = judge([case for case in cases if case.day == date(2013, 10, 8)], FITTED)

    assert all(one.is_mean_met for one in verdicts)
    assert 0.85 < sum(one.covered for one in verdicts) / len(verdicts) < 0.97
