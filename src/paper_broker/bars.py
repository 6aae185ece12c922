"""Daily bars: ``GET /v2/stocks/bars`` with its feeds, its limits and its pages."""

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from paper_broker.errors import BrokerError
from paper_broker.formats import NEW_YORK, SECOND, JsonObject, parse_instant, to_datetime
from paper_broker.market import Quote
from paper_broker.sessions import Sessions

MAX_BARS = 10_000
"""Most bars per page; the default is a tenth."""
_DAYS = timedelta(days=90)
"""How far back the bars go."""
_DELAY = 15 * 60 * SECOND
"""Age of SIP data from which it is available without a subscription, in nanoseconds."""
_FEEDS = ("sip", "iex")
_ADJUSTMENTS = ("raw", "split", "dividend", "spin-off", "all")


@dataclass(frozen=True, slots=True)
class BarQuery:
    """The parameters of a request for bars, as they are in the query. Adjustments change nothing here."""

    symbols: tuple[str, ...]
    timeframe: str = ""
    start: str | None = None
    end: str | None = None
    limit: str = "1000"
    page_token: str | None = None
    feed: str = "sip"
    adjustment: str = "raw"
    sort: str = "asc"


def daily_bars(quotes: Mapping[str, Quote], sessions: Sessions, query: BarQuery, now: int) -> JsonObject:
    """Return one page of daily bars, sorted by symbol and time; a symbol without a volume is absent.

    Raises:
        BrokerError: 400 for an invalid parameter; 403 for SIP data of the last 15 minutes.
    """
    _check(query, now)
    start = _instant("start", query.start, now - 86_400 * SECOND)
    end = _instant("end", query.end, now - _DELAY)
    first = max(_day(start), _day(now) - _DAYS)
    days = [day["date"] for day in sessions.calendar(first, _day(min(end, now)))] if end >= start else []
    bars = (
        (symbol, at, bar)
        for symbol in sorted(query.symbols)
        if symbol in quotes
        for at, bar in _of_symbol(quotes[symbol], days, _day(now), query.feed)
        if start <= parse_instant(at) <= end
    )
    after = _position(query.page_token)
    rest = [bar for bar in bars if (bar[0], bar[1]) > after]
    page = rest[: int(query.limit)]
    grouped: dict[str, list[JsonObject]] = {}
    for symbol, _, bar in page:
        grouped.setdefault(symbol, []).append(bar)
    return {"bars": grouped, "next_page_token": _token(*page[-1][:2]) if len(rest) > len(page) else None}


def _of_symbol(quote: Quote, days: list[str], today: date, feed: str) -> Iterator[tuple[str, JsonObject]]:
    latest = (today - timedelta(days=quote.volume_age_days)).isoformat()
    for number, day in enumerate(days):
        if quote.volume is not None and day <= latest:
            at = f"{day}T{_midnight_hour(day):02d}:00:00Z"
            yield at, quote.bar_json(at, number, is_iex=feed == "iex")


def _midnight_hour(day: str) -> int:
    """Return the hour in UTC at which the day begins in New York: 4 or 5."""
    noon = to_datetime(parse_instant(f"{day}T12:00:00Z")).astimezone(NEW_YORK)
    return -int((noon.utcoffset() or timedelta()).total_seconds()) // 3600


def _check(query: BarQuery, now: int) -> None:
    if query.timeframe not in ("1Day", "1D"):
        raise _invalid("timeframe: this broker has daily bars only, 1Day")
    if not query.limit.isdecimal() or not 1 <= int(query.limit) <= MAX_BARS:
        raise _invalid(f"limit must be from 1 to {MAX_BARS}")
    for name, value, known in (("feed", query.feed, _FEEDS), ("sort", query.sort, ("asc",))):
        if value not in known:
            raise _invalid(f"{name} must be one of {known}")
    if query.adjustment not in _ADJUSTMENTS:
        raise _invalid(f"adjustment must be one of {_ADJUSTMENTS}")
    if query.feed == "sip" and query.end is not None and _instant("end", query.end, now) > now - _DELAY:
        raise BrokerError(403, None, "subscription does not permit querying recent SIP data")


def _instant(name: str, text: str | None, default: int) -> int:
    try:
        return default if text is None else parse_instant(text)
    except ValueError as error:
        raise _invalid(f"{name} is not a time") from error


def _day(instant: int) -> date:
    return to_datetime(instant).date()


def _token(symbol: str, at: str) -> str:
    return base64.b64encode(f"{symbol}|D|{at}".encode()).decode()


def _position(token: str | None) -> tuple[str, str]:
    if token is None:
        return "", ""
    try:
        symbol, _, at = base64.b64decode(token, validate=True).decode().split("|")
    except (binascii.Error, ValueError) as error:
        raise _invalid("page_token is unknown") from error
    return symbol, at


def _invalid(message: str) -> BrokerError:
    return BrokerError(400, None, message)
