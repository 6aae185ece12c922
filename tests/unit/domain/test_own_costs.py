"""The account's own history: what its orders paid beyond the forecast, and how much that counts."""

from __future__ import annotations

from decimal import Decimal

import pytest

from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.forecast import CostForecast
from rebalance_executor.domain.market import BrokerKind
from rebalance_executor.domain.orders import ParentOrder
from rebalance_executor.domain.own_costs import OwnCosts, own_costs
from tests.support.builders import SELL, a_filled_child, a_parent

LIVE, PAPER, SIMULATED = BrokerKind


def a_history(half_spreads: str = "0.5", orders: int = 70, broker: BrokerKind = LIVE) -> OwnCosts:
    return OwnCosts(half_spreads=Decimal(half_spreads), orders=orders, broker=broker)


def an_order(price: str = "10.01", bps: str | None = "4") -> ParentOrder:
    """Ten shares at 9.99 / 10.01, whose half spread is 10 bps."""
    forecast = CostForecast(reason="no bars") if bps is None else CostForecast(Decimal(bps))
    return a_parent(a_filled_child(price=price), forecast=forecast)


@pytest.mark.parametrize(
    ("orders", "broker", "shift"),
    [(70, LIVE, 0.25), (630, LIVE, 0.45), (1, LIVE, 0.5 / 71), (70, PAPER, 0), (70, SIMULATED, 0)],
)
def test_history_counts_by_its_orders_on_its_own_kind_of_broker(orders: int, broker: BrokerKind, shift: float) -> None:
    assert a_history(orders=orders).shift(broker) == pytest.approx(shift)


def test_simulated_history_never_counts() -> None:
    assert a_history(broker=SIMULATED).shift(SIMULATED) == 0
    assert own_costs([an_order()] * 50, SIMULATED, None) is None


def test_orders_at_the_far_touch_paid_what_the_forecast_saved() -> None:
    assert own_costs([an_order()] * 30, LIVE, None) == a_history("0.60", 30)


def test_measure_is_against_the_fitted_forecast_without_the_present_history() -> None:
    """The present history moved the forecasts by a quarter of a half spread already."""
    assert own_costs([an_order()] * 30, LIVE, a_history()) == a_history("0.85", 30)


def test_orders_without_a_forecast_or_fills_do_not_count() -> None:
    silent = [an_order(bps=None), a_parent(), a_parent(a_filled_child(), arrival=None), a_parent(side=SELL)]

    assert own_costs([an_order()] * 29 + silent, LIVE, None) is None
    assert own_costs([an_order()] * 30 + silent, LIVE, None) == a_history("0.60", 30)


def test_setting_is_the_text_that_is_printed() -> None:
    text = f'{{"own_costs": {a_history().model_dump_json()}}}'

    assert ExecutionConfig.from_json(text).own_costs == a_history()
