"""The market data of an exchange: quotes, trades, bars and snapshots as Alpaca's data API returns them."""

from abc import ABC, abstractmethod
from collections.abc import Iterable

from paper_broker.auctions import Auctions
from paper_broker.bars import BarQuery, Bars
from paper_broker.corporate_actions import ActionQuery, CorporateActions
from paper_broker.data_pages import DataQuery, page
from paper_broker.day_bars import DayBars
from paper_broker.formats import JsonObject
from paper_broker.market import Market
from paper_broker.minute_bars import MinuteBars
from paper_broker.quote_rows import quote_rows


class MarketData(ABC):
    """The part of an exchange that answers requests for market data.

    Args:
        seed: seed of invented prices.
        market: assets and quotes.
        auctions: trading days and auctions.
    """

    def __init__(self, seed: int, market: Market, auctions: Auctions) -> None:
        self._market = market
        self._auctions = auctions
        self._day_bars = DayBars(seed, market, auctions)
        self._corporate_actions = CorporateActions()
        minutes = MinuteBars(seed, market, auctions, self._day_bars)
        self._bars = Bars(market, self._day_bars, minutes, self._corporate_actions)

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
        quotes, (days, has_today) = self._market.quotes, self._day_bars.latest_days(now)
        known = [symbol for symbol in symbols if symbol in quotes]
        bars = {symbol: self._day_bars.snapshot(symbol, days, has_today=has_today) for symbol in known}
        return {symbol: quotes[symbol].snapshot_json(now) | bars[symbol] for symbol in known}

    def bars(self, query: BarQuery) -> JsonObject:
        """Answer ``GET /v2/stocks/bars``: daily bars, and bars of one minute."""
        return self._bars.page(query, self.advance())

    def corporate_actions(self, query: ActionQuery) -> JsonObject:
        """Answer ``GET /v1/corporate-actions``, by default with those of today."""
        return self._corporate_actions.find(query, self._day_bars.today(self.advance()))

    def quotes(self, query: DataQuery) -> JsonObject:
        """Answer ``GET /v2/stocks/quotes``: the quotes of a period."""
        market, sessions = self._market, self._auctions.sessions
        span = query.span(self.advance())
        return page(query, "quotes", span, lambda symbol, *period: quote_rows(market, sessions, symbol, period))
