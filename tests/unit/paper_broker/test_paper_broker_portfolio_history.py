"""The value of the account over time: what the broker saw, and nothing else."""

from datetime import UTC, datetime
from typing import Any

import pytest

from paper_broker.exchange import Exchange
from paper_broker.formats import JsonObject
from paper_broker.portfolio_history import HistoryQuery
from tests.unit.paper_broker.exchange_harness import ExchangeHarness, rejection

TEN = int(datetime(2026, 1, 26, 15, tzinfo=UTC).timestamp())
"""Ten in the morning of the Monday on which the scenario starts."""
MIDNIGHT = int(datetime(2026, 1, 26, 5, tzinfo=UTC).timestamp())
DAY = 86_400


def history(harness: ExchangeHarness, **query: Any) -> JsonObject:
    """Return the history that a query asks for."""
    return harness.exchange.portfolio_history(HistoryQuery(**query))


def quote(harness: ExchangeHarness, price: float) -> None:
    """Change the quote of ABC so that this is its mid and last price."""
    prices = {"bid": f"{price - 0.01:.2f}", "ask": f"{price + 0.01:.2f}", "last": f"{price:.2f}"}
    harness.exchange.merge({"quotes": {"ABC": prices}})


def test_days_are_those_that_the_broker_saw() -> None:
    harness = ExchangeHarness()  # 10,000 dollars and 20 shares at 10.01
    harness.wait(hours=1)
    quote(harness, 11)
    harness.wait(days=1)
    quote(harness, 12)

    found = history(harness, period="1M", timeframe="1D")

    assert found["timestamp"] == [MIDNIGHT, MIDNIGHT + DAY]
    assert found["equity"] == [10_220, 10_240]
    assert (found["base_value"], found["profit_loss"]) == (10_220, [0, 20])
    assert found["profit_loss_pct"] == [0, pytest.approx(20 / 10_220, abs=1e-6)]
    assert found["timeframe"] == "1D"
    assert "base_value_asof" not in found


def test_value_now_is_the_equity_of_the_account() -> None:
    harness = ExchangeHarness()
    harness.order(qty="7.5", type="market")
    harness.wait(minutes=7)

    equity = float(harness.exchange.account()["equity"])

    assert history(harness, timeframe="1D")["equity"][-1] == pytest.approx(equity, abs=0.005)
    assert history(harness, period="1D", timeframe="5Min")["equity"][-1] == pytest.approx(equity, abs=0.005)


def test_windows_of_a_day_have_the_value_at_their_end() -> None:
    harness = ExchangeHarness()
    harness.wait(minutes=20)
    quote(harness, 11)
    harness.wait(minutes=1)
    harness.order(qty="10", limit_price="11.01")
    harness.wait(minutes=12)

    found = history(harness, period="1D", timeframe="15Min")

    assert found["timestamp"] == [TEN - 900, TEN, TEN + 900, TEN + 1800]
    assert found["equity"] == [10_200.2, 10_200.2, 10_219.9, 10_219.9]  # the spread of ten shares is paid
    assert (found["base_value"], found["timeframe"]) == (10_200.2, "15Min")


def test_gains_of_a_day_are_measured_from_the_close_before() -> None:
    harness = ExchangeHarness()
    harness.wait(hours=1)
    quote(harness, 11)
    harness.wait(days=1)
    quote(harness, 12)
    harness.wait(minutes=1)
    asked = {"timeframe": "1H", "start": "2026-01-26T14:30:00Z"}

    per_day, whole = history(harness, **asked), history(harness, **asked, pnl_reset="no_reset")

    assert (per_day["equity"][0], per_day["profit_loss"][0]) == (10_200.2, 0)
    assert (per_day["equity"][-1], per_day["profit_loss"][-1]) == (10_240, 20)
    assert whole["profit_loss"][-1] == pytest.approx(39.8)
    assert history(harness, timeframe="1H", start="2026-01-27")["base_value_asof"] == "2026-01-26"


@pytest.mark.parametrize(("reporting", "windows"), [("market_hours", 7), ("extended_hours", 11), ("continuous", 15)])
def test_reporting_selects_the_windows(reporting: str, windows: int) -> None:
    harness = ExchangeHarness()
    harness.wait(hours=13, minutes=30)  # half past eleven in the evening

    found = history(harness, start="2026-01-26", timeframe="1H", intraday_reporting=reporting)

    assert len(found["equity"]) == len(found["timestamp"]) == windows


def test_changes_by_scenario_count_from_their_time_on() -> None:
    harness = ExchangeHarness()
    harness.order(qty="10")
    harness.wait(minutes=10)
    harness.exchange.merge({"account": {"cash": "500"}, "positions": [{"symbol": "ABC", "qty": "0"}]})
    harness.wait(minutes=10)

    found = history(harness, period="1D", timeframe="5Min")

    assert [round(value) for value in found["equity"]] == [10_200, 10_200, 500, 500, 500, 500]


def test_nothing_is_known_before_the_start_of_the_scenario() -> None:
    harness = ExchangeHarness()

    found = history(harness, start="2026-01-01", end="2026-01-25", timeframe="1D")

    assert (found["timestamp"], found["equity"], found["base_value"]) == ([], [], None)


def test_history_survives_a_restart() -> None:
    harness = ExchangeHarness()
    harness.order(qty="10")
    harness.wait(days=2)
    before = history(harness, timeframe="1D")

    loaded = Exchange.load(harness.exchange.dump(), lambda: harness.now)

    assert loaded.portfolio_history(HistoryQuery(timeframe="1D")) == before


@pytest.mark.parametrize(
    ("period", "frame"), [("1D", "1Min"), ("6D", "1Min"), ("1W", "15Min"), ("1M", "1D"), ("1A", "1D")]
)
def test_default_timeframe_depends_on_the_period(period: str, frame: str) -> None:
    assert history(ExchangeHarness(), period=period)["timeframe"] == frame


@pytest.mark.parametrize(
    "query",
    [
        {"period": "1Y"},
        {"timeframe": "2H"},
        {"start": "noon"},
        {"start": "2026-13-01"},
        {"intraday_reporting": "night"},
        {"pnl_reset": "never"},
        {"period": "2M", "timeframe": "1H"},
        {"period": "1D", "start": "2026-01-20", "end": "2026-01-21"},
    ],
    ids=str,
)
def test_invalid_parameter_is_rejected(query: dict[str, str]) -> None:
    error = rejection(lambda: history(ExchangeHarness(), **query))

    assert (error.http_status, error.code) == (422, 40010001)


@pytest.mark.parametrize("sessions", ["always_open", "always_closed"])
def test_market_without_hours_has_no_days_that_closed(sessions: str) -> None:
    harness = ExchangeHarness(clock={"sessions": sessions})
    harness.wait(days=2)

    days, hours = history(harness, timeframe="1D"), history(harness, period="1D", timeframe="1H")

    assert len(days["equity"]) == len(hours["equity"][:1]) == (1 if sessions == "always_open" else 0)
