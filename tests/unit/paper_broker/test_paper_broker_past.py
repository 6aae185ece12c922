"""Cash, buying power and positions that are shown as they were a moment ago."""

import json
from typing import Any

import pytest

from paper_broker.exchange import Exchange
from paper_broker.formats import JsonObject
from tests.unit.paper_broker.exchange_harness import ExchangeHarness, rejected_order


def lagging(**account: Any) -> ExchangeHarness:
    """Return a harness whose account has these settings and 10,000 dollars."""
    return ExchangeHarness(account={"cash": "10000", **account})


def restart(harness: ExchangeHarness) -> None:
    """Replace the exchange by one with its dumped state."""
    state = json.loads(json.dumps(harness.exchange.dump()))
    harness.exchange = Exchange.load(state, lambda: harness.now)
    assert harness.exchange.dump() == state


def test_account_shows_cash_and_buying_power_as_they_were() -> None:
    harness = lagging(account_lag_seconds=3)
    harness.order()
    harness.wait(seconds=1)
    harness.order(limit_price="9.50")
    shown = []
    for _ in range(4):
        shown.append((harness.cash, harness.buying_power))
        restart(harness)
        harness.wait(seconds=1)

    assert shown == [("10000", "10000")] * 2 + [("9899.8", "9899.8"), ("9899.8", "9804.8")]


def test_equity_and_positions_of_a_lagging_account_are_current() -> None:
    harness = lagging(account_lag_seconds=3)
    harness.order()

    assert harness.shares() == "30"
    assert (harness.exchange.account()["equity"], harness.cash) == ("10200.1", "10000")


def test_fill_between_two_calls_lags_from_the_time_of_the_fill() -> None:
    harness = ExchangeHarness(
        account={"cash": "10000", "account_lag_seconds": 3}, default_fill={"behaviour": "later", "after_seconds": 10}
    )
    harness.order()
    harness.wait(seconds=12)
    early = harness.cash
    harness.wait(seconds=1)

    assert (early, harness.cash) == ("10000", "9899.8")


def test_proceeds_lag_and_account_lag_add_up() -> None:
    harness = lagging(account_lag_seconds=3, proceeds_lag_seconds=2)
    harness.order(side="sell")
    harness.wait(seconds=4)
    early = harness.cash
    harness.wait(seconds=1)

    assert (early, harness.cash) == ("10000", "10100")


def test_new_orders_are_checked_against_the_current_cash() -> None:
    harness = lagging(account_lag_seconds=3)
    harness.order(qty="990")
    assert harness.buying_power == "10000"

    assert rejected_order(harness)[2] == "insufficient buying power"


def test_buying_power_on_margin_lags_the_quotes() -> None:
    harness = lagging(account_lag_seconds=1, multiplier="2")
    before = harness.buying_power
    harness.wait(seconds=5)
    harness.exchange.merge({"quotes": {"ABC": {"last": "20"}}})
    early = harness.buying_power
    harness.wait(seconds=1)

    assert (before, early, harness.buying_power) == ("20200.2", "20200.2", "20400")


def test_buying_power_on_margin_lags_drifting_quotes() -> None:
    drift = {"step_seconds": 1, "basis_points": 200}
    exact, late = (
        ExchangeHarness(drift=drift, account={"cash": "100", "multiplier": "2", "account_lag_seconds": lag})
        for lag in (0, 1)
    )
    shown = []
    for _ in range(6):
        shown.append((exact.buying_power, late.buying_power))
        exact.wait(seconds=1)
        late.wait(seconds=1)

    assert len({power for power, _ in shown}) > 2
    assert [power for _, power in shown[1:]] == [power for power, _ in shown[:-1]]


def test_positions_are_shown_as_they_were() -> None:
    harness = lagging(positions_lag_seconds=2)
    harness.order(side="sell", qty="20")
    assert (harness.cash, harness.shares(), harness.exchange.position("ABC")["qty"]) == ("10200", "20", "20")
    restart(harness)
    harness.wait(seconds=2)

    assert harness.shares() == "0"


def test_positions_are_closed_as_they_are() -> None:
    harness = lagging(positions_lag_seconds=2)
    harness.order()

    order = harness.exchange.close_position("ABC")

    assert order["qty"] == "30"


def test_lag_can_be_set_while_orders_are_open_and_removed_again() -> None:
    harness = ExchangeHarness(default_fill={"behaviour": "later", "after_seconds": 1})
    harness.order()
    harness.exchange.merge({"account": {"account_lag_seconds": 5}})
    harness.wait(seconds=2)
    early = harness.cash

    harness.exchange.merge({"account": {"account_lag_seconds": 0}})

    assert (early, harness.cash) == ("10000", "9899.8")
    assert harness.exchange.dump()["snapshots"] == []


def test_the_recorded_past_is_bounded() -> None:
    harness = lagging(account_lag_seconds=2)
    for _ in range(20):
        harness.order(qty="1")
        harness.wait(seconds=1)

    assert len(harness.exchange.dump()["snapshots"]) <= 8


@pytest.mark.parametrize("world", [{}, {"lists": {"page_limit": 1}}])
def test_without_lags_nothing_is_recorded(world: JsonObject) -> None:
    harness = ExchangeHarness(**world)
    harness.order()
    harness.wait(seconds=1)

    state = harness.exchange.dump()

    assert (state["snapshots"], state["order_versions"]) == ([], {})
