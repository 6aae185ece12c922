"""The forecast of one order: how it depends on the market, and when it says that it does not know."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.cost_model import Conditions, Parameters, forecast
from rebalance_executor.domain.forecast import CostForecast
from rebalance_executor.domain.ladder import WaveSchedule
from rebalance_executor.domain.market import Arrival, Auction, AuctionKind, BrokerKind, Quote, Side
from rebalance_executor.domain.orders import ParentOrder
from rebalance_executor.domain.plan import Urgency
from tests.support.builders import BUY, NOW, later

CONFIG = ExecutionConfig()
PARAMETERS = Parameters(flow=0.5, moves=1.0, gain=0.9, impact=0.2, step=1.2)
WIDE, ONE_TICK = "100.10", "100.01"
HALF_SPREAD = Decimal("4.998")
"""Basis points of the wide quote."""


def a_quote(ask: str = WIDE, **fields: Any) -> Quote:
    sizes = Decimal(400)
    return replace(Quote("ABC", Decimal(100), Decimal(ask), sizes, sizes, NOW), **fields)


def conditions(quote: Quote | None = None, **fields: Any) -> Conditions:
    known = Conditions(quote or a_quote(), later(7200), Decimal(4_000_000), Decimal("0.01"))
    return replace(known, **fields)


def a_forecast(
    qty: str = "100",
    urgency: Urgency = Urgency.NORMAL,
    market: Conditions | None = None,
    config: ExecutionConfig = CONFIG,
    side: Side = BUY,
) -> CostForecast:
    market = market or conditions()
    arrival = Arrival.of(side, market.quote)
    parent = ParentOrder("ABC", side, 1, Decimal(0), Decimal(qty), arrival=arrival)
    return forecast(parent, market, WaveSchedule(urgency), config, PARAMETERS)


def bps(one: CostForecast) -> Decimal:
    assert one.bps is not None, one.reason
    return one.bps


def widths(one: CostForecast) -> tuple[Decimal, Decimal]:
    assert one.low_bps is not None, one.reason
    assert one.high_bps is not None
    return bps(one) - one.low_bps, one.high_bps - bps(one)


def test_order_that_crosses_at_once_pays_half_the_spread() -> None:
    assert abs(bps(a_forecast(urgency=Urgency.URGENT)) - HALF_SPREAD) < Decimal("0.01")


def test_patience_costs_less_and_risks_more() -> None:
    by_urgency = [a_forecast(urgency=urgency) for urgency in reversed(Urgency)]

    assert [bps(one) for one in by_urgency] == sorted((bps(one) for one in by_urgency), reverse=True)
    above = [widths(one)[1] for one in by_urgency]
    assert above == sorted(above)


def test_order_in_one_piece_costs_no_less_than_its_first_rung() -> None:
    """NORMAL starts at a tenth of the spread: 0.8 half spreads below the mid, and what the quote moves meanwhile."""
    low = a_forecast().low_bps

    assert low is not None
    assert -HALF_SPREAD < low < Decimal("-0.8") * HALF_SPREAD


def test_spread_of_one_tick_is_joined() -> None:
    low = a_forecast(market=conditions(a_quote(ONE_TICK))).low_bps

    assert low is not None
    assert low < Decimal("-0.4999")


@pytest.mark.parametrize(
    "dearer",
    [
        {"quote": a_quote(bid_size=Decimal(4000))},
        {"volume": Decimal(400_000)},
        {"volatility": Decimal("0.05")},
    ],
    ids=["a longer queue", "less trading", "more volatility"],
)
def test_waiting_saves_less_with(dearer: dict[str, Any]) -> None:
    assert bps(a_forecast(market=conditions(**dearer))) > bps(a_forecast())


def test_sell_waits_in_the_queue_of_the_ask() -> None:
    quote = a_quote(bid_size=Decimal(4000))
    buy, sell = (a_forecast(market=conditions(quote), side=side) for side in Side)

    assert bps(sell) == bps(a_forecast())
    assert bps(buy) > bps(sell)


def test_order_beyond_five_displays_pays_the_square_root_of_it() -> None:
    costs = [bps(a_forecast(qty, Urgency.URGENT)) for qty in ("2000", "3000", "6000")]

    assert costs[0] == bps(a_forecast("100", Urgency.URGENT))
    assert abs((costs[2] - costs[0]) - 2 * (costs[1] - costs[0])) <= Decimal("0.02")


def test_slices_cost_what_one_slice_costs_and_carry_the_risk_of_their_horizon() -> None:
    slice_of_it, sliced = a_forecast("400"), a_forecast("8000")

    assert abs(bps(sliced) - bps(slice_of_it)) < Decimal("0.3")
    below, above = widths(sliced)
    # A third of the variance over ten minutes of a volatility of 1 % per day, at 0.85 of it by the time of day.
    horizon_risk = Decimal("1.86") * Decimal("0.85") * 100 / Decimal(39).sqrt() / Decimal(3).sqrt()
    assert abs(below - above) <= Decimal("0.01")
    assert abs(above / horizon_risk - Decimal("1.2")) < Decimal("0.2")


@pytest.mark.parametrize(("minutes", "is_wider"), [(5, True), (45, True), (300, False)])
def test_prices_move_more_after_the_open(minutes: int, *, is_wider: bool) -> None:
    opened = NOW - timedelta(minutes=30)
    usual, then = a_forecast(), a_forecast(market=conditions(at=opened + timedelta(minutes=minutes)))

    assert (widths(then)[1] > widths(usual)[1]) is is_wider


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"volume": None, "unknown_reason": "HTTP 503"}, "HTTP 503"),
        ({"volatility": None}, "volatility"),
        ({"volatility": Decimal(0)}, "volatility"),
        ({"volume": Decimal(1_000)}, "5% of the average daily volume"),
        ({"at": NOW - timedelta(hours=1)}, "session"),
        ({"at": later(7 * 3600)}, "session"),
        ({"quote": a_quote(bid_size=Decimal(0))}, "sizes"),
        ({"quote": a_quote(ask="99")}, "quote"),
        ({"quote": a_quote(is_trade=True)}, "quote"),
    ],
    ids=lambda value: "" if isinstance(value, dict) else str(value),
)
def test_unknown_cost_has_no_number_but_a_reason(changed: dict[str, Any], reason: str) -> None:
    one = a_forecast(market=conditions(**changed))

    assert (one.bps, one.low_bps, one.high_bps) == (None, None, None)
    assert one.reason is not None
    assert reason in one.reason


def test_auction_is_not_forecast() -> None:
    an_auction = Auction(AuctionKind.CLOSE, later(60), later(30), later(90))
    parent = ParentOrder("ABC", BUY, 1, Decimal(0), Decimal(100), auction=an_auction)

    assert forecast(parent, conditions(), WaveSchedule(), CONFIG).reason == "the price of an auction is not forecast"


def test_ladder_that_rests_longer_than_any_that_was_fitted_is_unknown() -> None:
    config = ExecutionConfig.from_json('{"ladder": {"LOW": {"aims": [0, 0.5, 1], "wait_seconds": 400}}}')

    assert a_forecast(urgency=Urgency.LOW, config=config).reason is not None
    assert a_forecast(config=config).reason is None


def test_order_below_one_share_and_other_styles_cross_at_once() -> None:
    urgent = bps(a_forecast(urgency=Urgency.URGENT))

    assert bps(a_forecast("0.5")) == urgent
    assert bps(a_forecast(config=ExecutionConfig.from_json('{"order_style": "market"}'))) == urgent


def test_own_history_moves_mean_and_interval() -> None:
    own = '{"own_costs": {"half_spreads": 0.5, "orders": 70, "broker": "live"}}'
    market = conditions(broker=BrokerKind.LIVE)
    fitted, moved = a_forecast(market=market), a_forecast(market=market, config=ExecutionConfig.from_json(own))

    assert abs(bps(moved) - bps(fitted) - HALF_SPREAD / 4) <= Decimal("0.01")
    assert abs(widths(moved)[1] - widths(fitted)[1]) <= Decimal("0.01")


@given(
    spread=st.decimals("0", "20", places=2),
    sizes=st.tuples(st.integers(1, 10**9), st.integers(1, 10**9)),
    volume=st.integers(1, 10**11),
    volatility=st.decimals("0.000001", "5", places=6),
    qty=st.decimals("0.000001", "1000000000", places=6),
    urgency=st.sampled_from(Urgency),
    side=st.sampled_from(Side),
)
def test_every_market_has_an_ordered_interval_or_a_reason(
    spread: Decimal,
    sizes: tuple[int, int],
    volume: int,
    volatility: Decimal,
    qty: Decimal,
    urgency: Urgency,
    side: Side,
) -> None:
    quote = a_quote(ask=str(100 + spread), bid_size=Decimal(sizes[0]), ask_size=Decimal(sizes[1]))

    one = a_forecast(str(qty), urgency, conditions(quote, volume=Decimal(volume), volatility=volatility), side=side)

    if one.bps is None or one.low_bps is None or one.high_bps is None:
        assert one.reason is not None
    else:
        assert one.reason is None
        assert one.low_bps <= one.bps <= one.high_bps
