"""The market of an exchange as Alpaca shows it: hours, assets, quotes, trades, bars, snapshots, corporate actions."""

from abc import ABC, abstractmethod
from collections.abc import Iterable

from paper_broker.announcements import AnnouncementQuery, announcement, announcements
from paper_broker.auctions import Auctions
from paper_broker.bars import BarQuery, Bars
from paper_broker.corporate_actions import ActionQuery, CorporateActions
from paper_broker.data_pages import DataQuery, page
from paper_broker.day_bars import DayBars
from paper_broker.errors import malformed, not_found
from paper_broker.formats import JsonObject, parse_date
from paper_broker.market import Market
from paper_broker.market_hours import calendar, clocks
from paper_broker.minute_bars import MinuteBars
from paper_broker.quote_rows import quote_rows
from paper_broker.sessions import FIRST_DAY, LAST_DAY

_DATE_TYPES = ("TRADING", "SETTLEMENT")


class MarketData(ABC):
    """The part of an exchange that answers requests about the market, whatever account asks.

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

    # Hours and assets

    def clock(self) -> JsonObject:
        """Answer ``GET /v2/clock``."""
        return self._auctions.sessions.clock(self.advance())

    def market_clocks(self, markets: str | None = None, at: str | None = None) -> JsonObject:
        """Answer ``GET /v3/clock`` for comma-separated markets, at another time than now if ``at`` is given."""
        return clocks(self._auctions.sessions, markets, at, self.advance())

    def calendar(
        self, start: str | None = None, end: str | None = None, date_type: str = "TRADING"
    ) -> list[JsonObject]:
        """Answer ``GET /v2/calendar``; dates are in New York, both included."""
        if date_type not in _DATE_TYPES:
            raise malformed(f"date_type must be one of {', '.join(_DATE_TYPES)}")
        try:
            first = parse_date(start) if start else FIRST_DAY
            last = parse_date(end) if end else LAST_DAY
        except ValueError as error:
            raise malformed("start and end must be dates like 2026-01-26") from error
        return self._auctions.sessions.calendar(first, last, date_type)

    def market_calendar(
        self, market: str, start: str | None = None, end: str | None = None, zone: str | None = None
    ) -> JsonObject:
        """Answer ``GET /v3/calendar/{market}``, by default with a week from today."""
        return calendar(self._auctions.sessions, market, (start, end), zone, self.advance())

    def asset(self, symbol_or_id: str) -> JsonObject:
        """Answer ``GET /v2/assets/{symbol_or_asset_id}``."""
        if (asset := self._market.asset(symbol_or_id)) is None:
            raise not_found(f"asset not found for {symbol_or_id}")
        return asset.to_json()

    def assets(self, status: str | None = None, exchange: str | None = None) -> list[JsonObject]:
        """Answer ``GET /v2/assets``."""
        known = sorted(self._market.assets.values(), key=lambda asset: (asset.exchange, asset.symbol))
        return [a.to_json() for a in known if status in (None, a.status) and exchange in (None, a.exchange)]

    # Market data

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

    def latest_bars(self, symbols: Iterable[str]) -> JsonObject:
        """Answer ``GET /v2/stocks/bars/latest``; a symbol without a last price is absent."""
        now = self.advance()
        quotes = self._market.quotes
        known = (symbol for symbol in symbols if symbol in quotes and quotes[symbol].last)
        return {"bars": {symbol: quotes[symbol].minute_bar_json(now) for symbol in known}}

    def snapshots(self, symbols: Iterable[str]) -> JsonObject:
        """Answer ``GET /v2/stocks/snapshots``; a symbol without a quote is absent."""
        now = self.advance()
        quotes, (days, has_today) = self._market.quotes, self._day_bars.latest_days(now)
        known = [symbol for symbol in symbols if symbol in quotes]
        bars = {symbol: self._day_bars.snapshot(symbol, days, has_today=has_today) for symbol in known}
        return {symbol: quotes[symbol].snapshot_json(now) | bars[symbol] for symbol in known}

    def bars(self, query: BarQuery) -> JsonObject:
        """Answer ``GET /v2/stocks/bars``: bars of any timeframe from one minute to a year."""
        return self._bars.page(query, self.advance())

    def corporate_actions(self, query: ActionQuery) -> JsonObject:
        """Answer ``GET /v1/corporate-actions``, by default with those of today."""
        return self._corporate_actions.find(query, self._day_bars.today(self.advance()))

    def announcements(self, query: AnnouncementQuery) -> list[JsonObject]:
        """Answer ``GET /v2/corporate_actions/announcements``."""
        return announcements(self._corporate_actions, query)

    def announcement(self, action_id: str) -> JsonObject:
        """Answer ``GET /v2/corporate_actions/announcements/{id}``."""
        return announcement(self._corporate_actions, action_id)

    def quotes(self, query: DataQuery) -> JsonObject:
        """Answer ``GET /v2/stocks/quotes``: the quotes of a period."""
        market, sessions = self._market, self._auctions.sessions
        span = query.span(self.advance())
        return page(query, "quotes", span, lambda symbol, *period: quote_rows(market, sessions, symbol, period))
