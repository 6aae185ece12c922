"""The value of the account over time: ``GET /v2/account/portfolio/history``.

It covers what the broker saw: nothing before the start of the scenario, and of earlier sessions those that it saw
close. Values within a day are known for as long as quotes are.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from paper_broker.auctions import Auctions
from paper_broker.day_bars import DayBars, midnight
from paper_broker.errors import malformed
from paper_broker.formats import (
    MINUTE,
    NEW_YORK,
    SECOND,
    ZERO,
    JsonObject,
    json_number,
    parse_date,
    parse_instant,
    to_datetime,
)
from paper_broker.history import on_tick
from paper_broker.holdings import Holdings, HoldingsHistory
from paper_broker.market import Market
from paper_broker.sessions import Sessions

_DAY = 24 * 60 * MINUTE
_TIMEFRAMES = {"1Min": MINUTE, "5Min": 5 * MINUTE, "15Min": 15 * MINUTE, "1H": 60 * MINUTE, "1D": _DAY}
_PERIOD = re.compile(r"(\d{1,4})([DWMA])$")
_PERIOD_DAYS = {"D": 1, "W": 7, "M": 30, "A": 365}
_REPORTING = ("market_hours", "extended_hours", "continuous")
_RESETS = ("per_day", "no_reset")
_LONGEST_INTRADAY = 30 * _DAY
_FINEST = ((7 * _DAY, "1Min"), (30 * _DAY, "15Min"))
"""Default timeframes of periods shorter than these."""
_KNOWN_INTRADAY = 5 * _DAY
"""Age of the oldest known quotes."""


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """The parameters of a request, as they are in the query."""

    period: str | None = None
    timeframe: str | None = None
    start: str | None = None
    end: str | None = None
    date_end: str | None = None
    intraday_reporting: str = "market_hours"
    extended_hours: str = "false"
    pnl_reset: str = "per_day"

    def span(self, now: int) -> tuple[int, int]:
        """Check the query and return its first and last time, in nanoseconds since the epoch.

        Raises:
            BrokerError: 422 for an invalid parameter.
        """
        for name, value, known in (
            ("intraday_reporting", self.intraday_reporting, _REPORTING),
            ("pnl_reset", self.pnl_reset, _RESETS),
            ("timeframe", self.timeframe or "1D", tuple(_TIMEFRAMES)),
        ):
            if value not in known:
                raise malformed(f"{name} must be one of {', '.join(known)}")
        until = self.end or self.date_end
        if self.start and until and self.period:
            raise malformed("only two of start, end and period can be specified")
        length = _length(self.period or "1M")
        last = min(_instant("end", until, _DAY - 1), now) if until else now
        if not self.start:
            return max(last - length, 0), last
        first = _instant("start", self.start)
        return first, min(first + length, now) if self.period else last

    def frame(self, span: tuple[int, int]) -> str:
        """Return the timeframe; by default the finest one that Alpaca sends for the length of the span.

        Raises:
            BrokerError: 422 for a timeframe of less than a day in more than 30 days.
        """
        length = span[1] - span[0]
        if self.timeframe is None:
            return next((name for shorter, name in _FINEST if length < shorter), "1D")
        if self.timeframe != "1D" and length > _LONGEST_INTRADAY:
            raise malformed("timeframes of less than 1D cover at most 30 days")
        return self.timeframe


@dataclass(frozen=True, slots=True)
class Point:
    """The value of the account at the end of a window."""

    start: int
    """Start of the window, in nanoseconds since the epoch."""
    day: date
    equity: Decimal


class PortfolioHistory:
    """The values of one account.

    Args:
        market: quotes and their history.
        auctions: trading days.
        day_bars: closing prices.
        holdings: what the account held.
    """

    def __init__(self, market: Market, auctions: Auctions, day_bars: DayBars, holdings: HoldingsHistory) -> None:
        self._market = market
        self._auctions = auctions
        self._day_bars = day_bars
        self._holdings = holdings

    def find(self, query: HistoryQuery, activities: Sequence[JsonObject], now: int) -> JsonObject:
        """Return the body of the response.

        Args:
            query: the parameters.
            activities: all executions, oldest first.
            now: nanoseconds since the epoch.

        Raises:
            BrokerError: 422 for an invalid parameter.
        """
        first, last = span = query.span(now)
        frame = query.frame(span)
        days = self._daily(activities, now)
        if frame == "1D":
            points = [point for point in days if midnight(_day_of(first)) <= point.start <= last]
            return _body(frame, points, [_value(points[:1])] * len(points))
        windows = list(_windows(self._auctions.sessions, query, _TIMEFRAMES[frame], span))
        points = self._intraday(windows, activities, now)
        closes = {point.day: point.equity for point in days}
        bases = [_base(closes, point.day, points[0].equity) for point in points]
        if query.pnl_reset == "no_reset":
            bases = bases[:1] * len(bases)
        return _body(frame, points, bases, max((day for day in closes if points and day < points[0].day), default=None))

    def _daily(self, activities: Sequence[JsonObject], now: int) -> list[Point]:
        """Return the value at the end of each session that the broker saw close, and the value now."""
        begins_at = self._holdings.begins_at
        days, has_today = self._day_bars.days(now, _day_of(begins_at))
        prices = {day: closes for day in days if (closes := self._day_bars.closes(day)) is not None}
        if has_today:
            prices[days[-1]] = {symbol: quote.last for symbol, quote in self._market.quotes.items()}
        ends = [min(midnight(day + timedelta(days=1)) - 1, now) for day in prices]
        held = self._holdings.at(ends, activities)
        return [
            Point(midnight(day), day, _equity(holdings, closes))
            for (day, closes), holdings in zip(prices.items(), held, strict=True)
        ]

    def _intraday(self, windows: Sequence[tuple[int, int]], activities: Sequence[JsonObject], now: int) -> list[Point]:
        """Return the value at the end of each window; windows whose prices are not known are left out."""
        known_from = max(self._holdings.begins_at, now - _KNOWN_INTRADAY)
        windows = [(start, min(end, now)) for start, end in windows if start <= now and end >= known_from]
        ends = [end for _, end in windows]
        held = list(self._holdings.at(ends, activities))
        symbols = {symbol for holdings in held for symbol, qty in holdings.shares.items() if qty}
        prices = {symbol: self._prices(symbol, ends, now) for symbol in symbols & self._market.quotes.keys()}
        points = []
        for number, ((start, _), holdings) in enumerate(zip(windows, held, strict=True)):
            found = {symbol: prices[symbol][number] for symbol in prices if holdings.shares.get(symbol)}
            known = {symbol: price for symbol, price in found.items() if price is not None}
            if len(known) == len(found):
                points.append(Point(start, _day_of(start), _equity(holdings, known)))
        return points

    def _prices(self, symbol: str, times: Sequence[int], now: int) -> list[Decimal | None]:
        """Return the mid at each of several times, None where it is not known; the last price now."""
        tick = self._market.assets[symbol].tick_size
        levels = self._market.history.levels(symbol, times[0], times[-1], tick) if times else iter(())
        applies, following, found = None, next(levels, None), list[Decimal | None]()
        for at in times:
            while following is not None and following[0] <= at:
                applies, following = following[1], next(levels, None)
            is_known = applies is not None and applies.has_both_sides
            found.append(on_tick(applies.mid, tick) if applies is not None and is_known else None)
        if times and times[-1] == now:
            found[-1] = self._market.quotes[symbol].last
        return found


def _windows(sessions: Sessions, query: HistoryQuery, length: int, span: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Return start and end of each window of a query; they begin with the session that its start is in."""
    at, last = span
    if query.intraday_reporting == "continuous":
        first = at - (at - midnight(_day_of(at))) % length
        yield from ((start, start + length) for start in range(first, last + 1, length))
        return
    is_extended = query.intraday_reporting == "extended_hours" or query.extended_hours.lower() == "true"
    while at <= last:
        session = sessions.current_or_next(at, extended=is_extended)
        if session is None:
            return
        for start in range(session.open, min(session.close, last + 1), length):
            yield start, min(start + length, session.close)
        at = session.close


def _body(frame: str, points: Sequence[Point], bases: Sequence[Decimal], as_of: date | None = None) -> JsonObject:
    gains = [point.equity - base for point, base in zip(points, bases, strict=True)]
    base_value = {"base_value": _cents(bases[0]) if bases else None}
    return {
        "timestamp": [point.start // SECOND for point in points],
        "equity": [_cents(point.equity) for point in points],
        "profit_loss": [_cents(gain) for gain in gains],
        "profit_loss_pct": [
            float(round(gain / base, 6)) if base else None for gain, base in zip(gains, bases, strict=True)
        ],
        **base_value,
        **({"base_value_asof": as_of.isoformat()} if as_of else {}),
        "timeframe": frame,
    }


def _base(closes: Mapping[date, Decimal], day: date, default: Decimal) -> Decimal:
    """Return the value at the close before a day."""
    earlier = [known for known in closes if known < day]
    return closes[max(earlier)] if earlier else default


def _equity(holdings: Holdings, prices: Mapping[str, Decimal]) -> Decimal:
    """Return the value at these prices; without a price shares are worth their cost, as in the account."""
    shares = holdings.shares.items()
    return holdings.cash + sum((qty * (prices.get(name) or holdings.costs[name]) for name, qty in shares if qty), ZERO)


def _value(points: Sequence[Point]) -> Decimal:
    return points[0].equity if points else ZERO


def _cents(value: Decimal) -> int | float:
    return json_number(round(value, 2))


def _day_of(at: int) -> date:
    return to_datetime(at).astimezone(NEW_YORK).date()


def _length(period: str) -> int:
    match = _PERIOD.match(period)
    if match is None:
        raise malformed("period must be a number and D, W, M or A")
    return int(match[1]) * _PERIOD_DAYS[match[2]] * _DAY


def _instant(name: str, text: str, later: int = 0) -> int:
    """Parse a timestamp, or a date in New York to its start or ``later``."""
    try:
        is_date = len(text) == len("2026-01-26")
        return max(midnight(parse_date(text)) + later if is_date else parse_instant(text), 0)
    except (ValueError, OverflowError) as error:
        raise malformed(f"{name} is not a timestamp") from error
