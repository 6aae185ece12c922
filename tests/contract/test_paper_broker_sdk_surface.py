"""Every method of Alpaca's own SDK for trading and for data of stocks works, and parses with the SDK's models."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import alpaca.data.models as data_models
import alpaca.data.requests as data_requests
import alpaca.trading.models as models
import alpaca.trading.requests as requests
import pytest
from alpaca.common.exceptions import APIError
from alpaca.data.timeframe import TimeFrame, TimeFrameUnit
from alpaca.trading.enums import CorporateActionType, OrderSide, QueryOrderStatus, TimeInForce

from paper_broker.server import PaperBroker
from tests.contract.sdk import Api, Sdk, StockHistoricalDataClient, TradingClient, broker_world

START, NOON = datetime(2026, 1, 26, 14, 30, tzinfo=UTC), datetime(2026, 1, 26, 17, tzinfo=UTC)
TODAY = date(2026, 1, 26)


@pytest.fixture
def broker() -> Iterator[PaperBroker]:
    """Start a broker at ten in the morning, with an execution, and move to noon."""
    split = {"symbol": "ABC", "new_rate": 2, "old_rate": 1, "ex_date": "2026-01-26"}
    world = broker_world(corporate_actions={"forward_splits": [split]})
    world["quotes"]["ABC"]["volume"] = 1_000_000
    with PaperBroker(world) as running:
        order = {"symbol": "ABC", "qty": "5", "side": "buy", "type": "market", "time_in_force": "day"}
        running.app.exchange.submit_order({**order, "client_order_id": "done"})
        running.change({"clock": {"now": NOON.isoformat()}})
        yield running


@dataclass(frozen=True)
class Known:
    """A client, and the IDs of what exists."""

    client: Sdk
    resting: str
    watchlist: str
    announcement: str


@pytest.fixture
def known(trading: Sdk) -> Known:
    """Submit an order that rests, and create a watchlist."""
    resting = trading.submit_order(
        requests.LimitOrderRequest(
            symbol="ABC", qty=2, side=OrderSide.BUY, time_in_force=TimeInForce.DAY, limit_price=9.5
        )
    )
    trading.get_order_by_id(resting.id)
    watchlist = trading.create_watchlist(requests.CreateWatchlistRequest(name="Tech", symbols=["ABC"]))
    query = {"ca_types": "split", "since": "2026-01-26", "until": "2026-01-26"}
    (announcement,) = trading.get("/corporate_actions/announcements", query)
    return Known(trading, str(resting.id), str(watchlist.id), announcement["id"])


def buy_at_the_close(known: Known) -> Any:
    return known.client.submit_order(
        requests.MarketOrderRequest(symbol="ABC", qty=1, side=OrderSide.BUY, time_in_force=TimeInForce.CLS)
    )


def close_half(known: Known) -> Any:
    known.client.cancel_orders()  # an open buy would make it a wash trade
    known.client.get_account()
    return known.client.close_position("ABC", requests.ClosePositionRequest(percentage="50"))


def announcements(known: Known) -> Any:
    asked = requests.GetCorporateAnnouncementsRequest(ca_types=[CorporateActionType.SPLIT], since=TODAY, until=TODAY)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the method, as its path at Alpaca
        return known.client.get_corporate_announcements(asked)


TRADING: Mapping[str, tuple[Callable[[Known], Any], type | None]] = {
    "submit_order": (buy_at_the_close, models.Order),
    "get_orders": (
        lambda k: k.client.get_orders(requests.GetOrdersRequest(status=QueryOrderStatus.ALL, symbols=["ABC"])),
        models.Order,
    ),
    "get_order_by_id": (
        lambda k: k.client.get_order_by_id(k.resting, requests.GetOrderByIdRequest(nested=True)),
        models.Order,
    ),
    "get_order_by_client_id": (lambda k: k.client.get_order_by_client_id("done"), models.Order),
    "replace_order_by_id": (
        lambda k: k.client.replace_order_by_id(k.resting, requests.ReplaceOrderRequest(limit_price=9.6)),
        models.Order,
    ),
    "cancel_orders": (lambda k: k.client.cancel_orders(), requests.CancelOrderResponse),
    "cancel_order_by_id": (lambda k: k.client.cancel_order_by_id(k.resting), None),
    "get_all_positions": (lambda k: k.client.get_all_positions(), models.Position),
    "get_open_position": (lambda k: k.client.get_open_position("ABC"), models.Position),
    "close_all_positions": (lambda k: k.client.close_all_positions(cancel_orders=True), models.ClosePositionResponse),
    "close_position": (close_half, models.Order),
    "get_portfolio_history": (
        lambda k: k.client.get_portfolio_history(requests.GetPortfolioHistoryRequest(period="1D", timeframe="5Min")),
        models.PortfolioHistory,
    ),
    "get_all_assets": (
        lambda k: k.client.get_all_assets(requests.GetAssetsRequest(exchange="NASDAQ")),
        models.Asset,
    ),
    "get_asset": (lambda k: k.client.get_asset("ABC"), models.Asset),
    "get_clock": (lambda k: k.client.get_clock(), models.Clock),
    "get_calendar": (
        lambda k: k.client.get_calendar(requests.GetCalendarRequest(start=TODAY, end=TODAY)),
        models.Calendar,
    ),
    "get_account": (lambda k: k.client.get_account(), models.TradeAccount),
    "get_account_configurations": (lambda k: k.client.get_account_configurations(), models.AccountConfiguration),
    "set_account_configurations": (
        lambda k: k.client.set_account_configurations(k.client.get_account_configurations()),
        models.AccountConfiguration,
    ),
    "get_watchlists": (lambda k: k.client.get_watchlists(), models.Watchlist),
    "get_watchlist_by_id": (lambda k: k.client.get_watchlist_by_id(k.watchlist), models.Watchlist),
    "create_watchlist": (
        lambda k: k.client.create_watchlist(requests.CreateWatchlistRequest(name="Other", symbols=[])),
        models.Watchlist,
    ),
    "update_watchlist_by_id": (
        lambda k: k.client.update_watchlist_by_id(k.watchlist, requests.UpdateWatchlistRequest(symbols=["XYZ"])),
        models.Watchlist,
    ),
    "add_asset_to_watchlist_by_id": (
        lambda k: k.client.add_asset_to_watchlist_by_id(k.watchlist, "XYZ"),
        models.Watchlist,
    ),
    "remove_asset_from_watchlist_by_id": (
        lambda k: k.client.remove_asset_from_watchlist_by_id(k.watchlist, "ABC"),
        models.Watchlist,
    ),
    "delete_watchlist_by_id": (lambda k: k.client.delete_watchlist_by_id(k.watchlist), None),
    "get_corporate_announcements": (announcements, models.CorporateActionAnnouncement),
    "get_corporate_announcement_by_id": (
        lambda k: k.client.get_corporate_announcement_by_id(k.announcement),
        models.CorporateActionAnnouncement,
    ),
}
"""Call and model of its result, of several in a list, by method; None is no result."""
OPTIONS: Mapping[str, Callable[[Known], Any]] = {
    "get_option_contracts": lambda k: k.client.get_option_contracts(
        requests.GetOptionContractsRequest(underlying_symbols=["ABC"])
    ),
    "get_option_contract": lambda k: k.client.get_option_contract("ABC260130C00010000"),
    "exercise_options_position": lambda k: k.client.exercise_options_position("ABC260130C00010000"),
}
_PERIOD = {"symbol_or_symbols": "ABC", "start": START, "end": NOON, "feed": "iex"}
DATA: Mapping[str, tuple[Callable[[Sdk], Any], type]] = {
    "get_stock_bars": (
        lambda client: client.get_stock_bars(
            data_requests.StockBarsRequest(timeframe=TimeFrame(15, TimeFrameUnit.Minute), **_PERIOD)
        ),
        data_models.Bar,
    ),
    "get_stock_quotes": (
        lambda client: client.get_stock_quotes(data_requests.StockQuotesRequest(**_PERIOD)),
        data_models.Quote,
    ),
    "get_stock_trades": (
        lambda client: client.get_stock_trades(data_requests.StockTradesRequest(**_PERIOD)),
        data_models.Trade,
    ),
    "get_stock_latest_trade": (
        lambda client: client.get_stock_latest_trade(data_requests.StockLatestTradeRequest(symbol_or_symbols="ABC")),
        data_models.Trade,
    ),
    "get_stock_latest_quote": (
        lambda client: client.get_stock_latest_quote(data_requests.StockLatestQuoteRequest(symbol_or_symbols="ABC")),
        data_models.Quote,
    ),
    "get_stock_latest_bar": (
        lambda client: client.get_stock_latest_bar(data_requests.StockLatestBarRequest(symbol_or_symbols="ABC")),
        data_models.Bar,
    ),
    "get_stock_snapshot": (
        lambda client: client.get_stock_snapshot(data_requests.StockSnapshotRequest(symbol_or_symbols="ABC")),
        data_models.Snapshot,
    ),
}
"""Call and model of the rows of its result, by method."""


def own_methods(client: type) -> set[str]:
    """Return the public methods that a client adds to the plain REST client."""
    return {name for name in vars(client) if not name.startswith("_")}


def test_every_method_of_the_sdk_is_called() -> None:
    assert own_methods(TradingClient) == TRADING.keys() | OPTIONS.keys()
    assert own_methods(StockHistoricalDataClient) == DATA.keys()


@pytest.mark.parametrize("method", TRADING)
def test_trading_call_returns_the_sdks_model(known: Known, method: str) -> None:
    call, model = TRADING[method]

    result = call(known)

    results = result if isinstance(result, list) else [result]
    assert results
    assert all(type(found) is model for found in results) if model else result is None


@pytest.mark.parametrize("method", OPTIONS)
def test_options_are_refused_by_name(known: Known, method: str) -> None:
    with pytest.raises(APIError, match="options") as refused:
        OPTIONS[method](known)

    assert (refused.value.status_code, refused.value.code) == (403, 40310000)


@pytest.mark.parametrize("method", DATA)
def test_data_call_returns_the_sdks_model(data: Sdk, method: str) -> None:
    call, model = DATA[method]

    result = call(data)

    found = (result if isinstance(result, dict) else result.data)["ABC"]
    rows = found if isinstance(found, list) else [found]
    assert rows
    assert all(type(row) is model for row in rows)


@pytest.mark.parametrize(
    ("frame", "first"),
    [
        (TimeFrame.Minute, datetime(2026, 1, 20, 14, 30, tzinfo=UTC)),
        (TimeFrame.Hour, datetime(2026, 1, 20, 14, tzinfo=UTC)),
        (TimeFrame.Day, datetime(2026, 1, 21, 5, tzinfo=UTC)),
        (TimeFrame.Week, datetime(2026, 1, 26, 5, tzinfo=UTC)),
        (TimeFrame.Month, None),
    ],
    ids=lambda value: getattr(value, "value", ""),
)
def test_sdk_reads_bars_of_each_of_its_timeframes(data: Sdk, frame: TimeFrame, first: datetime | None) -> None:
    asked = data_requests.StockBarsRequest(
        symbol_or_symbols="ABC", timeframe=frame, start=datetime(2026, 1, 20, 13, tzinfo=UTC), end=NOON, feed="iex"
    )

    bars = data.get_stock_bars(asked).data.get("ABC", [])

    assert [bar.timestamp for bar in bars][:1] == ([] if first is None else [first])


def test_trades_are_the_executions_of_the_account(data: Sdk, known: Known) -> None:
    known.client.post(
        "/orders", {"symbol": "ABC", "notional": "15", "side": "buy", "type": "market", "time_in_force": "day"}
    )
    known.client.get_account()

    trades = data.get_stock_trades(data_requests.StockTradesRequest(**_PERIOD)).data["ABC"]

    assert [(trade.price, trade.size) for trade in trades] == [(10.02, 5), (10.02, 1)]
    assert trades[0].timestamp == datetime(2026, 1, 26, 15, tzinfo=UTC)


@pytest.mark.parametrize("name", ["bars", "quotes", "trades"])
def test_data_of_one_symbol_is_that_of_several(api: Api, name: str) -> None:
    query = {"timeframe": "1Hour", "feed": "iex", "start": START.isoformat(), "limit": "2"}

    many = api("GET", f"/v2/stocks/{name}", params={**query, "symbols": "ABC"}).json()
    one = api("GET", f"/v2/stocks/ABC/{name}", params=query).json()
    latest = api("GET", f"/v2/stocks/{name}/latest", params={"symbols": "ABC"}).json()

    assert one == {name: many[name]["ABC"], "symbol": "ABC", "next_page_token": many["next_page_token"]}
    row = name.removesuffix("s")
    assert api("GET", f"/v2/stocks/abc/{name}/latest").json() == {row: latest[name]["ABC"], "symbol": "ABC"}
    assert api("GET", f"/v2/stocks/NONE/{name}", params=query).json()[name] == []
    unknown = api("GET", f"/v2/stocks/NONE/{name}/latest")
    assert (unknown.status_code, unknown.json()) == (404, {"message": f"no {row} found for NONE"})


def test_snapshot_of_one_symbol_is_that_of_several(api: Api) -> None:
    many = api("GET", "/v2/stocks/snapshots", params={"symbols": "ABC"}).json()

    assert api("GET", "/v2/stocks/ABC/snapshot").json() == {"symbol": "ABC", **many["ABC"]}
    assert api("GET", "/v2/stocks/NONE/snapshot").status_code == 404
