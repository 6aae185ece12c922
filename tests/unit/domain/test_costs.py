"""Realised cost of one order: computed by hand, and its sums on generated journals."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from rebalance_executor.domain.benchmarks import Benchmarks, FillMids, Horizon
from rebalance_executor.domain.costs import Benchmark, bps, is_due, order_costs, style_of, trading_day
from rebalance_executor.domain.forecast import CostForecast
from rebalance_executor.domain.market import Auction, AuctionKind, OrderType, TimeInForce
from rebalance_executor.domain.orders import ChildState, ParentOrder
from rebalance_executor.domain.plan import ExecutionStyle, Urgency
from rebalance_executor.domain.styles import OrderStyle
from tests.support.builders import BUY, NOW, SELL, a_child, a_filled_child, a_parent, a_plan, a_state, an_item, later
from tests.support.cost_journals import finished, generated

QUOTE = {"bid": Decimal("9.99"), "ask": Decimal("10.01")}


def rung(fraction: str, price: str, attempt: int, qty: str = "10") -> Any:
    """Return a filled child of a ladder, priced from a quote of 9.99 to 10.01."""
    return a_filled_child(qty, price, attempt=attempt, spread_fraction=Decimal(fraction), filled_at=later(3), **QUOTE)


def cost_of(parent: ParentOrder, read: Benchmarks | None = None) -> Any:
    item = an_item("ABC", parent.side.name, "1" if parent.side is BUY else "-1")
    plan = a_plan(item, execution_urgency="LOW")
    (cost,) = order_costs(finished(plan, {"ABC": parent}, {"ABC": read} if read is not None else {}))
    return cost


def read(**fields: Any) -> Benchmarks:
    return Benchmarks("ABC", NOW, **fields)


def test_cost_against_each_benchmark_is_positive_if_the_fills_were_worse() -> None:
    """Ten shares at 10.01."""
    prices = {"vwap": Decimal("10.00"), "close": Decimal("10.05"), "previous_close": Decimal("9.50")}
    bought = cost_of(a_parent(rung("1", "10.01", 1)), read(**prices))
    sold = cost_of(a_parent(rung("1", "10.01", 1), side=SELL), read(**prices))

    expected = {Benchmark.VWAP: "0.1", Benchmark.CLOSE: "-0.4", Benchmark.PREVIOUS_CLOSE: "5.1"}
    assert bought.benchmarks == {name: Decimal(amount) for name, amount in expected.items()}
    assert sold.benchmarks == {name: -amount for name, amount in bought.benchmarks.items()}
    assert (bought.dollars, bps(bought.benchmarks[Benchmark.VWAP], bought.dollars)) == (
        Decimal("100.1"),
        Decimal("9.99"),
    )


def test_price_that_the_market_data_does_not_have_is_absent_and_not_zero() -> None:
    cost = cost_of(a_parent(rung("1", "10.01", 1)), read(vwap=Decimal(10), missing=("close: no bar",)))

    assert set(cost.benchmarks) == {Benchmark.VWAP}
    assert cost.markouts == {}
    assert (cost.is_read, cost.missing) == (True, ("close: no bar",))
    assert not cost_of(a_parent(rung("1", "10.01", 1))).is_read


def test_markouts_of_an_order_are_the_sums_of_its_childrens_if_all_are_known() -> None:
    """Two buys of ten shares: at 10.00, then the mid is 9.98 and 10.02; at 10.01, then it is 10.00 and unknown."""
    one = FillMids(1, later(3), {Horizon.ONE_SECOND: Decimal("9.98"), Horizon.THIRTY_SECONDS: Decimal("10.02")})
    two = FillMids(2, later(9), {Horizon.ONE_SECOND: Decimal("10.00")})
    parent = a_parent(rung("0.5", "10.00", 1), rung("1", "10.01", 2), qty="20")
    cost = cost_of(parent, read(close=Decimal("10.10"), fills=(one, two)))

    assert [dict(child.markouts) for child in cost.children] == [
        {Horizon.ONE_SECOND: Decimal("-0.2"), Horizon.THIRTY_SECONDS: Decimal("0.2"), Horizon.CLOSE: Decimal(1)},
        {Horizon.ONE_SECOND: Decimal("-0.1"), Horizon.CLOSE: Decimal("0.9")},
    ]
    assert cost.markouts == {Horizon.ONE_SECOND: Decimal("-0.3"), Horizon.CLOSE: Decimal("1.9")}


def test_rung_shows_what_it_saved_of_the_half_spread() -> None:
    """Half the spread is 0.01: at the mid all of it is saved, at the ask none, below the mid more than all."""
    children = (rung("0.1", "9.992", 1), rung("0.5", "10.00", 2, "5"), rung("1", "10.01", 3), rung("0.5", "10.00", 4))
    unpriced = a_filled_child("10", "10.01", attempt=5)
    cost = cost_of(a_parent(*children, unpriced, qty="45"))

    assert [(r.spread_fraction, r.shares, r.half_spread, r.paid, r.saved) for r in cost.rungs] == [
        tuple(map(Decimal, row))
        for row in (
            ("0.1", "10", "0.1", "-0.08", "0.18"),
            ("0.5", "15", "0.15", "0", "0.15"),
            ("1", "10", "0.1", "0.1", "0"),
        )
    ]


def test_forecast_is_of_the_shares_that_were_filled() -> None:
    """Ten shares at an arrival mid of 10: one basis point is one cent."""
    forecast = CostForecast(Decimal(4), Decimal(-2), Decimal(10))
    cost = cost_of(a_parent(rung("1", "10.01", 1), qty="30", forecast=forecast))

    assert (cost.forecast.expected, cost.forecast.low, cost.forecast.high) == tuple(
        map(Decimal, ("0.04", "-0.02", "0.1"))
    )
    assert cost.forecast.contains(cost.shortfall.total)
    assert not cost.forecast.contains(Decimal("0.1001"))


@pytest.mark.parametrize("forecast", [None, CostForecast(None, None, None, "no spread")], ids=["none", "unknown"])
def test_order_without_a_known_forecast_has_none(forecast: CostForecast | None) -> None:
    assert cost_of(a_parent(rung("1", "10.01", 1), forecast=forecast)).forecast is None


def test_order_without_arrival_has_benchmarks_and_no_shortfall() -> None:
    cost = cost_of(a_parent(rung("1", "10.01", 1), arrival=None), read(vwap=Decimal(10)))

    assert (cost.shortfall, cost.forecast) == (None, None)
    assert cost.benchmarks == {Benchmark.VWAP: Decimal("0.1")}


def test_order_without_fills_has_no_cost() -> None:
    plan = a_plan(an_item())
    assert order_costs(finished(plan, {"ABC": a_parent(a_child(ChildState.CANCELED))}, {})) == []


def test_fill_without_a_price_is_listed_without_figures() -> None:
    cost = cost_of(a_parent(a_child(ChildState.LIVE, filled="10")), read(vwap=Decimal(10), close=Decimal(10)))
    assert (cost.shares, cost.benchmarks, cost.markouts, cost.rungs) == (10, {}, {}, ())


def test_style_is_what_the_children_show() -> None:
    market = a_filled_child(limit=None)
    assert style_of(a_parent(market)) is OrderStyle.MARKET
    assert market.type is OrderType.MARKET
    assert style_of(a_parent(rung("0.5", "10", 1), a_filled_child(attempt=2, limit=None))) is OrderStyle.LADDER
    assert style_of(a_parent(a_filled_child())) is OrderStyle.MARKETABLE_LIMIT


@pytest.mark.parametrize(
    ("kind", "is_limited", "style"),
    [
        (AuctionKind.CLOSE, False, ExecutionStyle.MARKET_ON_CLOSE),
        (AuctionKind.OPEN, True, ExecutionStyle.LIMIT_ON_OPEN),
    ],
)
def test_style_of_an_order_for_an_auction_is_that_of_the_plan(
    kind: AuctionKind, is_limited: bool, style: ExecutionStyle
) -> None:
    auction = Auction(kind, NOW, NOW, NOW, is_limited=is_limited)
    assert style_of(a_parent(a_filled_child(), auction=auction)) is style


def test_fill_in_an_auction_has_no_spread_and_everything_after_the_first_pricing_is_timing() -> None:
    """Arrival mid 10.00, first priced at mid 10.02; ten shares fill in the auction at 10.05."""
    worked = a_child(ChildState.CANCELED, bid=Decimal("10.01"), ask=Decimal("10.03"))
    closing = a_filled_child(price="10.05", attempt=2, time_in_force=TimeInForce.CLS)
    cost = cost_of(a_parent(worked, closing))

    parts = cost.shortfall.parts
    assert (parts.pop("delay"), parts.pop("timing")) == (Decimal("0.20"), Decimal("0.30"))
    assert set(parts.values()) == {0}
    assert cost.rungs == ()


def test_cost_carries_urgency_side_and_trading_day() -> None:
    cost = cost_of(a_parent(rung("1", "10.01", 1), side=SELL))
    assert (cost.urgency, cost.side, cost.day) == (Urgency.LOW, SELL, date(2026, 1, 26))
    evening = datetime(2026, 1, 27, 1, tzinfo=UTC)  # 20:00 in New York, the day before
    plan = a_state(a_plan())
    assert trading_day(plan) == date(2026, 1, 26)
    assert is_due(plan, evening)


@pytest.mark.parametrize(
    ("after_open", "due"), [(timedelta(hours=6, minutes=19), False), (timedelta(hours=6, minutes=20), True)]
)
def test_market_data_is_due_twenty_minutes_after_the_close(after_open: timedelta, due: bool) -> None:
    assert is_due(a_state(a_plan()), NOW + after_open) is due


@pytest.mark.parametrize("seed", range(20))
def test_parts_and_rungs_explain_the_same_dollars(seed: int) -> None:
    """The half-spreads less what the rungs saved are spread, waiting and impact of the shortfall."""
    for journal in generated(seed):
        for cost in order_costs(journal):
            if cost.shortfall is None:
                continue
            parts = cost.shortfall.parts
            assert sum(parts.values()) == cost.shortfall.total
            assert sum(r.half_spread for r in cost.rungs) == parts["spread"]
            assert sum(r.saved for r in cost.rungs) == -(parts["waiting"] + parts["impact"])
