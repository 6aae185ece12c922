"""Bars: ``GET /v2/stocks/bars``."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from paper_broker.corporate_actions import CorporateActions
from paper_broker.data_pages import DataQuery, Rows, invalid, page
from paper_broker.day_bars import DayBars, bar_time, volume_of
from paper_broker.formats import JsonObject, parse_instant, to_datetime
from paper_broker.market import Market
from paper_broker.minute_bars import MinuteBars
from paper_broker.timeframes import Timeframe

_DAYS = timedelta(days=90)
"""Age of the oldest bars."""
_WITH_SPLITS = ("split", "all")
_ADJUSTMENTS = ("raw", "split", "dividend", "spin-off", "all")


@dataclass(frozen=True, slots=True)
class BarQuery(DataQuery):
    """The parameters of a request for bars, as they are in the query."""

    timeframe: str = ""
    adjustment: str = "raw"


class Bars:
    """The bars of one exchange.

    Args:
        market: quotes, with the volume of their bars; a symbol without a volume has no bars.
        days: daily prices.
        minutes: bars of one minute.
        actions: splits, for which bars are adjusted.
    """

    def __init__(self, market: Market, days: DayBars, minutes: MinuteBars, actions: CorporateActions) -> None:
        self._market = market
        self._days = days
        self._minutes = minutes
        self._actions = actions

    def page(self, query: BarQuery, now: int) -> JsonObject:
        """Return one page of bars.

        Raises:
            BrokerError: 400 for an invalid parameter; 403 for SIP data of the last 15 minutes.
        """
        timeframe = Timeframe.parse(query.timeframe)
        if query.adjustment not in _ADJUSTMENTS:
            raise invalid(f"adjustment must be one of {_ADJUSTMENTS}")
        first, last = query.span(now)
        span = max(first, now - int(_DAYS.total_seconds()) * 1_000_000_000), last

        def rows(symbol: str, start: int, end: int) -> Rows:
            quote = self._market.quotes.get(symbol)
            if quote is None or quote.volume is None:
                return ()
            is_iex, until = query.feed == "iex", min(timeframe.end(timeframe.start(end)) - 1, now)
            if timeframe.is_of_minutes:
                found = self._minutes.bars(symbol, start, until, now, is_iex=is_iex)
            else:
                found = self._daily(symbol, (start, until), now, is_iex=is_iex)
            adjusted = self._adjusted(symbol, found, now) if query.adjustment in _WITH_SPLITS else found
            return ((at, bar) for at, bar in timeframe.add_up(adjusted) if start <= at <= end)

        return page(query, "bars", span, rows)

    def _adjusted(
        self, symbol: str, rows: Iterator[tuple[int, JsonObject]], now: int
    ) -> Iterator[tuple[int, JsonObject]]:
        """Make bars before a split comparable with those after it."""
        today = self._days.today(now)
        for at, row in rows:
            factor = float(self._actions.price_factor(symbol, self._days.today(at), today))
            if factor != 1:
                prices = {name: round(row[name] * factor, 4) for name in ("o", "h", "l", "c", "vw")}
                shares = {"v": int(row["v"] / factor)} if isinstance(row["v"], int) else {}
                row = row | prices | shares  # noqa: PLW2901 - the adjusted row
            yield at, row

    def _daily(self, symbol: str, span: tuple[int, int], now: int, *, is_iex: bool) -> Iterator[tuple[int, JsonObject]]:
        start, end = span
        quote = self._market.quotes[symbol]
        days, has_today = self._days.days(now, to_datetime(start).date())
        latest = self._days.today(now) - timedelta(days=quote.volume_age_days)
        every_day = self._days.prices(symbol, days, has_today=has_today)
        for number, (day, prices) in enumerate(zip(days, every_day, strict=True)):
            at = parse_instant(bar_time(day))
            if start <= at <= end and day <= latest:
                yield at, prices.to_json(bar_time(day), volume_of(quote, number, is_iex=is_iex))
