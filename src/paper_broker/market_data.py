"""The market data of an exchange: quotes, trades, bars and snapshots as Alpaca's data API returns them."""

from abc import ABC, abstractmethod
from collections.abc import Iterable

from paper_broker.auctions import Auctions
from paper_broker.bars import BarQuery, daily_bars
from paper_broker.formats import JsonObject
from paper_broker.market import Market


class MarketData(ABC):
    """The part of an exchange that answers requests for market data.

    Args:
        market: assets and quotes.
        auctions: trading days and auctions.
    """

    def __init__(self, market: Market, auctions: Auctions) -> None:
        self._market = market
        self._auctions = auctions

    @abstractmethod
    def advance(self) -> int:
        """Process the events that are due; return the current time in nanoseconds since the epoch."""

    def latest_quotes(self, symbols: Iterable[str]) -> JsonObject:
        """Answer ``GET /v2/stocks/quotes/latest``; a symbol without a quote is absent."""
        now = self.advance()
        quotes = self._market.quotes
        return {"quotes": {symbol: quotes[symbol].to_json(now) for symbol in symbols if symbol in quotes}}

    def latest_trades(self, symbols: Iterable[str]) -> JsonObject:
        """Answer ``GET /v2/stocks/trades/latest``; a symbol without a last price is absent."""
        now = self.advance()
        quotes = self._market.quotes
        known = (symbol for symbol in symbols if symbol in quotes and quotes[symbol].last)
        return {"trades": {symbol: quotes[symbol].trade_json(now) for symbol in known}}

    def snapshots(self, symbols: Iterable[str]) -> JsonObject:
        """Answer ``GET /v2/stocks/snapshots``; a symbol without a quote is absent."""
        now = self.advance()
        quotes = self._market.quotes
        return {symbol: quotes[symbol].snapshot_json(now) for symbol in symbols if symbol in quotes}

    def bars(self, query: BarQuery) -> JsonObject:
        """Answer ``GET /v2/stocks/bars``, with daily bars only."""
        now = self.advance()
        return daily_bars(self._market.quotes, self._auctions.sessions, query, now)
