"""Historical market data: quotes, bars of a day and of a minute, and snapshots agree with each other."""

import json
from datetime import datetime
from typing import Any

import pytest

from paper_broker.bars import BarQuery
from paper_broker.data_pages import DataQuery
from paper_broker.exchange import Exchange
from paper_broker.formats import JsonObject
from tests.unit.paper_broker.exchange_harness import ExchangeHarness

DRIFT = {"step_seconds": 1, "basis_points": 3}
ABC = {"bid": "10.00", "ask": "10.02", "last": "10.01", "prev_close": "9.90", "volume": 390_000}
WIDE = {"bid": "9990", "ask": "10010", "prev_close": "10100", "volume": 390_000}


def new_york(text: str) -> datetime:
    """Return a winter time in New York, such as ``2026-01-26 15:50``."""
    return datetime.fromisoformat(f"{text}-05:00")


def at(text: str, **world: Any) -> ExchangeHarness:
    """Return a harness at a time of day in New York on a Monday; ABC and WIDE have bars."""
    return ExchangeHarness(at=new_york(f"2026-01-26 {text}"), **{"quotes": {"ABC": ABC, "WIDE": WIDE}} | world)


def quotes(exchange: Exchange, start: str, end: str, symbol: str = "ABC", **query: str) -> list[JsonObject]:
    span = {"start": new_york(start).isoformat(), "end": new_york(end).isoformat(), "feed": "iex", "limit": "10000"}
    rows: list[JsonObject] = exchange.quotes(DataQuery((symbol,), **span | query))["quotes"].get(symbol, [])
    return rows


def bars(exchange: Exchange, timeframe: str, start: str, end: str, symbol: str = "ABC") -> list[JsonObject]:
    span = {"start": new_york(start).isoformat(), "end": new_york(end).isoformat(), "limit": "10000", "feed": "iex"}
    rows: list[JsonObject] = exchange.bars(BarQuery((symbol,), timeframe=timeframe, **span))["bars"].get(symbol, [])
    return rows


def prices(row: JsonObject) -> tuple[float, float]:
    return row["bp"], row["ap"]


# Quotes


def test_quotes_are_the_changes_and_the_quote_of_every_second() -> None:
    harness = at("10:00:00")
    harness.now = new_york("2026-01-26 10:00:02.500")
    harness.exchange.merge({"quotes": {"ABC": {"bid": "11", "ask": "11.02"}}})
    harness.now = new_york("2026-01-26 10:01:00")

    rows = quotes(harness.exchange, "2026-01-26 10:00:01", "2026-01-26 10:00:04")

    assert [(row["t"][14:23], row["bp"]) for row in rows] == [
        ("00:01.000", 10),
        ("00:02.000", 10),
        ("00:02.500", 11),
        ("00:03.000", 11),
        ("00:04.000", 11),
    ]


def test_drifting_quotes_are_those_that_were_shown() -> None:
    harness = at("10:00", drift=DRIFT)
    shown = []
    for seconds in (1, 1, 7, 30, 1, 100, 20):
        harness.wait(seconds=seconds)
        shown.append((harness.now, prices(harness.exchange.latest_quotes(["ABC"])["quotes"]["ABC"])))
    harness.wait(hours=2)

    for moment, quote in shown:
        text = f"{moment:%Y-%m-%d %H:%M:%S}".replace(" 15:", " 10:")
        (row,) = quotes(harness.exchange, text, text)
        assert prices(row) == quote


def test_history_goes_on_after_a_pause_in_which_quotes_moved_less() -> None:
    harness = at("10:00", drift=DRIFT)
    harness.now = new_york("2026-01-26 12:00")
    latest = prices(harness.exchange.latest_quotes(["ABC"])["quotes"]["ABC"])

    rows = quotes(harness.exchange, "2026-01-26 11:40", "2026-01-26 12:00")

    assert {prices(row) for row in rows[:500]} == {(10, 10.02)}
    assert prices(rows[-1]) == latest


def test_unchanged_quotes_end_with_the_trading_hours() -> None:
    harness = at("19:59:58")
    harness.now = new_york("2026-01-27 04:00:01")

    rows = quotes(harness.exchange, "2026-01-26 19:59:58", "2026-01-27 04:00:01")

    assert [row["t"][8:19] for row in rows] == ["27T00:59:58", "27T00:59:59", "27T09:00:00", "27T09:00:01"]


@pytest.mark.parametrize("sort", ["asc", "desc"])
def test_pages_have_every_quote_once(sort: str) -> None:
    harness = at("10:00", drift=DRIFT)
    harness.wait(minutes=1)
    span = {"start": "2026-01-26T15:00:00Z", "end": "2026-01-26T15:00:20Z", "feed": "iex", "sort": sort}
    rows: list[tuple[str, str]] = []
    token: str | None = None
    while token is not None or not rows:
        page = harness.exchange.quotes(DataQuery(("WIDE", "ABC"), limit="16", page_token=token, **span))
        rows += [(symbol, row["t"]) for symbol, found in page["quotes"].items() for row in found]
        token = page["next_page_token"]

    assert len(rows) == len(set(rows)) == 42
    times = [moment for symbol, moment in rows if symbol == "ABC"]
    assert times == sorted(times, reverse=sort == "desc")
    assert rows[0][0] == "ABC"


def test_quotes_before_the_start_and_of_unknown_symbols_are_absent() -> None:
    harness = at("10:00")
    harness.wait(minutes=1)

    assert quotes(harness.exchange, "2026-01-26 09:00", "2026-01-26 09:59:59") == []
    assert quotes(harness.exchange, "2026-01-26 10:00", "2026-01-26 10:01", symbol="NONE") == []


def test_history_survives_a_restart() -> None:
    harness = at("10:00", drift=DRIFT)
    harness.wait(minutes=5)
    harness.exchange.merge({"quotes": {"ABC": {"bid": "12", "ask": "12.02"}}})
    harness.wait(minutes=5)
    harness.exchange.advance()
    state = json.loads(json.dumps(harness.exchange.dump()))
    harness.now = new_york("2026-01-27 10:00")

    restored = Exchange.load(state, lambda: harness.now)

    period = ("2026-01-26 10:04", "2026-01-26 10:10")
    assert quotes(restored, *period) == quotes(harness.exchange, *period)
    assert bars(restored, "1Day", "2026-01-01 00:00", "2026-01-27 00:00") == bars(
        harness.exchange, "1Day", "2026-01-01 00:00", "2026-01-27 00:00"
    )


# Bars of a minute


def test_minute_bar_has_the_mids_of_its_minute() -> None:
    harness = at("09:59")
    for moment, bid in ((10, "10.04"), (20, "9.94"), (40, "9.98")):
        harness.now = new_york(f"2026-01-26 10:00:{moment}")
        harness.exchange.merge({"quotes": {"ABC": {"bid": bid, "ask": str(float(bid) + 0.02)}}})
    harness.now = new_york("2026-01-26 10:02")

    first, second = bars(harness.exchange, "1Min", "2026-01-26 10:00", "2026-01-26 10:01")

    assert first["t"] == "2026-01-26T15:00:00Z"
    assert [first[name] for name in "ohlc"] == [10.01, 10.05, 9.95, 9.99]
    assert first["vw"] == 10.0
    assert [second[name] for name in "ohlc"] == [9.99] * 4


def test_minute_bars_cover_the_session_and_add_up_to_the_volume_of_the_day() -> None:
    harness = at("09:00", drift=DRIFT)
    harness.now = new_york("2026-01-26 17:00")

    found = bars(harness.exchange, "1Min", "2026-01-26 00:00", "2026-01-26 17:00", "WIDE")

    assert len(found) == 390
    assert (found[0]["t"], found[-1]["t"]) == ("2026-01-26T14:30:00Z", "2026-01-26T20:59:00Z")
    assert sum(row["v"] for row in found) == pytest.approx(390_000 // 50, abs=390)
    assert found[0]["v"] > 2 * found[195]["v"]


def test_minutes_before_the_history_lead_from_the_open_to_the_close_of_their_day() -> None:
    harness = at("10:00")
    (day,) = bars(harness.exchange, "1Day", "2026-01-23 00:00", "2026-01-23 23:00", "WIDE")

    minutes = bars(harness.exchange, "1Min", "2026-01-23 00:00", "2026-01-23 23:00", "WIDE")

    assert (len(minutes), minutes[0]["o"], minutes[-1]["c"]) == (390, day["o"], day["c"])
    assert all(day["l"] <= row["l"] <= row["vw"] <= row["h"] <= day["h"] for row in minutes)
    assert minutes == bars(at("10:00").exchange, "1Min", "2026-01-23 00:00", "2026-01-23 23:00", "WIDE")


def test_minute_bar_of_the_running_minute_is_absent() -> None:
    harness = at("10:00")
    harness.now = new_york("2026-01-26 10:01:59")

    assert len(bars(harness.exchange, "1Min", "2026-01-26 10:00", "2026-01-26 10:01")) == 1


# Bars of a day


def test_daily_bars_end_with_the_previous_close_and_today_so_far() -> None:
    harness = at("09:00", drift=DRIFT)
    harness.now = new_york("2026-01-26 11:00")

    *past, before, today = bars(harness.exchange, "1Day", "2025-12-01 00:00", "2026-01-26 11:00")

    assert (before["t"], before["c"], today["t"]) == ("2026-01-23T05:00:00Z", 9.9, "2026-01-26T05:00:00Z")
    assert today["c"] == harness.exchange.latest_trades(["ABC"])["trades"]["ABC"]["p"]
    assert all(row["l"] <= min(row["o"], row["c"]) <= max(row["o"], row["c"]) <= row["h"] for row in (*past, today))
    assert all(row["l"] <= row["vw"] <= row["h"] for row in past)
    assert len({row["c"] for row in past}) > 20


def test_day_opens_and_closes_at_the_prices_of_its_auctions() -> None:
    rules = [{"time_in_force": "opg", "price": "9.80"}, {"time_in_force": "cls", "price": "10.44"}]
    harness = at("08:00", auctions=rules)
    order = harness.order(time_in_force="cls", type="market")
    harness.now = new_york("2026-01-27 11:00")

    *_, monday, tuesday = bars(harness.exchange, "1Day", "2026-01-20 00:00", "2026-01-27 11:00")

    assert [monday[name] for name in "ohlc"] == [9.8, 10.44, 9.8, 10.44]
    assert harness.read(order)["filled_avg_price"] == "10.44"
    assert tuesday["o"] == 9.8


@pytest.mark.parametrize(
    ("now", "daily", "previous"),
    [
        ("2026-01-26 16:30", ("2026-01-26", 10.44), ("2026-01-23", 9.9)),
        ("2026-01-27 08:00", ("2026-01-26", 10.44), ("2026-01-23", 9.9)),
        ("2026-01-27 09:30", ("2026-01-27", 10.01), ("2026-01-26", 10.44)),
        ("2026-01-31 12:00", ("2026-01-30", 10.44), ("2026-01-29", 10.44)),
    ],
)
def test_snapshot_has_the_two_latest_sessions(now: str, daily: tuple[str, float], previous: tuple[str, float]) -> None:
    harness = at("10:00", auctions=[{"time_in_force": "cls", "price": "10.44"}])
    harness.now = new_york(now)

    snapshot = harness.exchange.snapshots(["ABC", "WIDE", "NONE"])

    found = [(snapshot["ABC"][name]["t"][:10], snapshot["ABC"][name]["c"]) for name in ("dailyBar", "prevDailyBar")]
    assert found == [daily, previous]
    assert snapshot.keys() == {"ABC", "WIDE"}
    rows = bars(harness.exchange, "1Day", "2026-01-20 00:00", now)
    assert [(row["t"][:10], row["c"]) for row in rows[-2:]] == [previous, daily]


def test_position_has_the_close_of_the_session_before_as_its_previous_close() -> None:
    harness = at("10:00", auctions=[{"time_in_force": "cls", "price": "10.44"}])
    harness.now = new_york("2026-01-26 23:59")
    assert harness.exchange.position("ABC")["lastday_price"] == "9.9"

    harness.now = new_york("2026-01-27 00:00")

    assert harness.exchange.position("ABC")["lastday_price"] == "10.44"


def test_past_bars_stay_the_same_when_days_pass() -> None:
    harness = at("10:00", drift=DRIFT)
    before = bars(harness.exchange, "1Day", "2025-12-01 00:00", "2026-01-25 00:00")

    harness.now = new_york("2026-01-29 12:00")

    assert bars(harness.exchange, "1Day", "2025-12-01 00:00", "2026-01-25 00:00") == before


@pytest.mark.parametrize(
    ("shown", "bars_shown"), [("all", (True, True)), ("today", (True, False)), ("none", (False, False))]
)
def test_snapshot_can_lack_bars(shown: str, bars_shown: tuple[bool, bool]) -> None:
    harness = at("10:00", quotes={"ABC": {**ABC, "snapshot_bars": shown}})

    snapshot = harness.exchange.snapshots(["ABC"])["ABC"]

    assert tuple(snapshot[name] is not None for name in ("dailyBar", "prevDailyBar")) == bars_shown


@pytest.mark.parametrize("kind", ["always_open", "always_closed"])
def test_market_without_sessions_has_bars_of_calendar_days(kind: str) -> None:
    harness = at("10:00", clock={"sessions": kind})

    snapshot = harness.exchange.snapshots(["ABC"])["ABC"]

    days = {"always_open": ["2026-01-26", "2026-01-25"], "always_closed": ["2026-01-25", "2026-01-24"]}[kind]
    assert [snapshot[name]["t"][:10] for name in ("dailyBar", "prevDailyBar")] == days
    assert (snapshot["prevDailyBar"]["c"] == 9.9) == (kind == "always_open")


# Trades


@pytest.mark.parametrize("sort", ["asc", "desc"])
def test_every_execution_is_one_trade_on_the_pages(sort: str) -> None:
    harness = at("10:00", default_fill={"behaviour": "parts", "parts": [{"fraction": 0.2}, {"fraction": 0.8}]})
    harness.order(qty="12.5")
    harness.wait(minutes=1)
    found, token = list[JsonObject](), None
    for _ in range(2):
        query = DataQuery(("ABC",), limit="1", feed="iex", sort=sort, page_token=token)
        page = harness.exchange.trades(query)
        found, token = found + page["trades"]["ABC"], page["next_page_token"]

    assert token is None
    assert [(row["t"][17:], row["s"], row["i"]) for row in found][:: 1 if sort == "asc" else -1] == [
        ("00.000000000Z", 2, 1),
        ("00.000000001Z", 10, 2),
    ]


def test_executions_below_one_share_and_of_other_symbols_are_no_trades() -> None:
    harness = at("10:00", account={"cash": "20000"})
    harness.order(qty="0.5")
    harness.order(qty="1", symbol="WIDE", type="market")
    harness.wait(minutes=1)

    assert harness.exchange.trades(DataQuery(("ABC",), feed="iex"))["trades"] == {}
