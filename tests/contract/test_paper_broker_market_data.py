"""Historical quotes, bars of a minute and snapshots, read by Alpaca's own SDK."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from paper_broker.server import PaperBroker
from tests.contract.sdk import (
    Api,
    APIError,
    CorporateActionsClient,
    CorporateActionsRequest,
    Sdk,
    StockBarsRequest,
    StockQuotesRequest,
    StockSnapshotRequest,
    TimeFrame,
    broker_world,
)

NINE = datetime(2026, 1, 26, 14, tzinfo=UTC)


@pytest.fixture
def broker() -> Iterator[PaperBroker]:
    """Start a broker before the open, and move to noon; the quote of ABC drifts."""
    world = broker_world(clock={"now": "2026-01-26T14:00:00Z"}, drift={"basis_points": 5})
    world["quotes"]["ABC"]["volume"] = world["quotes"]["XYZ"]["volume"] = 1_000_000
    with PaperBroker(world) as running:
        running.change({"clock": {"now": "2026-01-26T17:00:00Z"}})
        yield running


def test_sdk_reads_the_quotes_of_a_period(data: Sdk) -> None:
    request = StockQuotesRequest(
        symbol_or_symbols=["ABC", "XYZ", "NONE"],
        start=NINE.replace(hour=16, minute=0),
        end=NINE.replace(hour=16, minute=1),
        feed="sip",
    )

    quotes = data.get_stock_quotes(request).data

    assert {symbol: len(found) for symbol, found in quotes.items()} == {"ABC": 61, "XYZ": 61}
    first = quotes["ABC"][0]
    assert (first.timestamp, first.bid_size) == (NINE.replace(hour=16), 100)
    assert 0 < first.bid_price < first.ask_price


def test_latest_quote_before_a_time_is_first_in_descending_order(data: Sdk) -> None:
    at = NINE.replace(hour=15, minute=30)
    request = StockQuotesRequest(symbol_or_symbols="ABC", start=NINE, end=at, sort="desc", limit=1)

    (quote,) = data.get_stock_quotes(request).data["ABC"]

    assert quote.timestamp == at


def test_sdk_reads_bars_of_a_minute(data: Sdk) -> None:
    request = StockBarsRequest(
        symbol_or_symbols=["ABC", "XYZ"],
        timeframe=TimeFrame.Minute,
        start=NINE,
        end=NINE.replace(hour=15),
        adjustment="raw",
        asof="2026-01-26",
    )

    bars = data.get_stock_bars(request).data

    assert {symbol: len(found) for symbol, found in bars.items()} == {"ABC": 31, "XYZ": 31}
    assert all(bar.low <= bar.vwap <= bar.high and bar.volume > 0 for bar in bars["ABC"])
    assert bars["ABC"][0].timestamp == NINE.replace(minute=30)


def test_sdk_reads_both_daily_bars_of_a_snapshot(api: Api, data: Sdk) -> None:
    order = api.order(type="market", time_in_force="cls").json()
    api.admin("POST", "clock", {"now": "2026-01-27T15:00:00Z"})
    price = float(api("GET", f"/v2/orders/{order['id']}").json()["filled_avg_price"])

    snapshot = data.get_stock_snapshot(StockSnapshotRequest(symbol_or_symbols=["ABC", "XYZ"]))

    assert snapshot["ABC"].previous_daily_bar.close == price
    assert snapshot["ABC"].daily_bar.timestamp == datetime(2026, 1, 27, 5, tzinfo=UTC)
    assert snapshot["XYZ"].previous_daily_bar.timestamp == datetime(2026, 1, 26, 5, tzinfo=UTC)


@pytest.mark.parametrize("path", ["quotes", "bars"])
def test_recent_sip_data_needs_a_subscription(data: Sdk, path: str) -> None:
    query = {"symbols": "ABC", "timeframe": "1Min", "start": "2026-01-26T16:00:00Z", "end": "2026-01-26T16:46:00Z"}

    with pytest.raises(APIError, match="recent SIP data") as denied:
        data.get(f"/stocks/{path}", query)

    assert denied.value.status_code == 403
    assert data.get(f"/stocks/{path}", query | {"feed": "iex", "limit": "1"})["next_page_token"]


@pytest.mark.parametrize("change", [{"sort": "up"}, {"limit": "0"}, {"page_token": "???"}, {"start": "x"}], ids=str)
def test_invalid_parameter_of_quotes_is_a_400(data: Sdk, change: dict[str, str]) -> None:
    with pytest.raises(APIError) as invalid:
        data.get("/stocks/quotes", {"symbols": "ABC", "start": "2026-01-26T16:00:00Z"} | change)

    assert invalid.value.status_code == 400


@pytest.mark.parametrize("path", ["quotes", "bars", "snapshots"])
def test_faults_and_rate_limits_apply_to_market_data(api: Api, path: str) -> None:
    api.admin("POST", "faults", {"kind": "status", "status": 503, "path": f"^/v2/stocks/{path}$", "symbol": "ABC"})

    failed = api("GET", f"/v2/stocks/{path}", params={"symbols": "ABC", "timeframe": "1Min"})

    assert failed.status_code == 503
    assert api.admin("GET", "requests")["data"] == 1


def test_sdk_reads_the_corporate_actions_of_today(api: Api, broker: PaperBroker) -> None:
    split = {"symbol": "ABC", "new_rate": 3, "old_rate": 2, "ex_date": "2026-01-26"}
    change = {"old_symbol": "OLD", "new_symbol": "XYZ", "process_date": "2026-01-26"}
    api.admin("POST", "world", {"corporate_actions": {"forward_splits": [split], "name_changes": [change]}})
    client: Sdk = CorporateActionsClient("key", "secret", url_override=broker.url)
    client._retry = 0
    client._session.trust_env = False

    actions = client.get_corporate_actions(CorporateActionsRequest(symbols=["ABC", "OLD"])).data
    client._session.close()

    (forward,), (renamed,) = actions["forward_splits"], actions["name_changes"]
    assert (forward.symbol, forward.new_rate, forward.old_rate) == ("ABC", 3, 2)
    assert forward.ex_date == forward.process_date == NINE.date()
    assert (renamed.old_symbol, renamed.new_symbol) == ("OLD", "XYZ")
    assert api.admin("GET", "requests")["data"] == 1
