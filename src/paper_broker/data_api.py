"""The market-data API: its routes, and the method of the exchange behind each of them.

Most data can be asked for several symbols, and for one that is part of the path: the response is then not grouped.
"""

from collections.abc import Callable, Iterator
from typing import Any

from paper_broker.bars import BarQuery
from paper_broker.corporate_actions import ActionQuery
from paper_broker.data_pages import DataQuery
from paper_broker.errors import BrokerError
from paper_broker.exchange import Exchange
from paper_broker.formats import JsonObject
from paper_broker.routing import Request, Route

type Answer = Callable[[Exchange, Request, list[str]], JsonObject]
"""Returns the response to a request for several symbols."""


def _symbols(request: Request) -> list[str]:
    symbols = request.symbols()
    if not symbols:
        raise BrokerError(400, 40010001, "symbols is required")
    return sorted(symbols)


def _symbol(request: Request) -> str:
    return request.arguments[0].upper()


def _corporate_actions(exchange: Exchange, request: Request) -> JsonObject:
    given = request.given("types", "start", "end", "limit", "page_token")
    return exchange.corporate_actions(ActionQuery(request.symbols(), **given))


def _query[Query: DataQuery](kind: type[Query], request: Request, symbols: list[str]) -> Query:
    names = [name for name in kind.__match_args__ if name != "symbols"]
    return kind(tuple(symbols), **request.given(*names))


def _historical(name: str, answer: Answer) -> Iterator[Route]:
    """Return the routes of the ``bars``, ``quotes`` or ``trades`` of a period."""

    def single(exchange: Exchange, request: Request) -> JsonObject:
        symbol = _symbol(request)
        found = answer(exchange, request, [symbol])
        return {name: found[name].get(symbol, []), "symbol": symbol, "next_page_token": found["next_page_token"]}

    yield Route("GET", f"/v2/stocks/{name}", lambda x, r: answer(x, r, _symbols(r)), budget="data")
    yield Route("GET", f"/v2/stocks/{{symbol}}/{name}", single, budget="data")


def _latest(name: str, answer: Answer) -> Iterator[Route]:
    """Return the routes of the latest ``bars``, ``quotes`` or ``trades``."""

    def single(exchange: Exchange, request: Request) -> JsonObject:
        symbol, row = _symbol(request), name.removesuffix("s")
        return {row: _only(row, symbol, answer(exchange, request, [symbol])[name]), "symbol": symbol}

    yield Route("GET", f"/v2/stocks/{name}/latest", lambda x, r: answer(x, r, _symbols(r)), budget="data")
    yield Route("GET", f"/v2/stocks/{{symbol}}/{name}/latest", single, budget="data")


def _snapshot(exchange: Exchange, request: Request) -> JsonObject:
    symbol = _symbol(request)
    return {"symbol": symbol, **_only("snapshot", symbol, exchange.snapshots([symbol]))}


def _only(name: str, symbol: str, rows: JsonObject) -> Any:
    if symbol not in rows:
        raise BrokerError(404, None, f"no {name} found for {symbol}")
    return rows[symbol]


DATA_ROUTES = (
    Route("GET", "/v1/corporate-actions", _corporate_actions, budget="data"),
    *_historical("bars", lambda x, r, symbols: x.bars(_query(BarQuery, r, symbols))),
    *_historical("quotes", lambda x, r, symbols: x.quotes(_query(DataQuery, r, symbols))),
    *_historical("trades", lambda x, r, symbols: x.trades(_query(DataQuery, r, symbols))),
    *_latest("bars", lambda x, _, symbols: x.latest_bars(symbols)),
    *_latest("quotes", lambda x, _, symbols: x.latest_quotes(symbols)),
    *_latest("trades", lambda x, _, symbols: x.latest_trades(symbols)),
    Route("GET", "/v2/stocks/snapshots", lambda x, r: x.snapshots(_symbols(r)), budget="data"),
    Route("GET", "/v2/stocks/{symbol}/snapshot", _snapshot, budget="data"),
)
