"""Requests for historical market data: parameters, feeds and pages, which bars and quotes have in common."""

import base64
import binascii
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from paper_broker.errors import BrokerError
from paper_broker.formats import MINUTE, JsonObject, parse_instant, timestamp

MAX_ROWS = 10_000
"""Most rows per page; the default is a tenth."""
_DELAY = 15 * MINUTE
"""Age of SIP data from which it is available without a subscription, in nanoseconds."""
_FEEDS = ("sip", "iex")
_SORTS = ("asc", "desc")

type Rows = Iterable[tuple[int, JsonObject]]
"""Rows with their times, oldest first."""


@dataclass(frozen=True, slots=True)
class DataQuery:
    """The parameters of a request for historical data, as they are in the query."""

    symbols: tuple[str, ...]
    start: str | None = None
    end: str | None = None
    limit: str = "1000"
    page_token: str | None = None
    feed: str = "sip"
    sort: str = "asc"

    def span(self, now: int) -> tuple[int, int]:
        """Check the query and return its first and last time, in nanoseconds since the epoch, from 1970 on.

        Raises:
            BrokerError: 400 for an invalid parameter; 403 for SIP data of the last 15 minutes.
        """
        if not self.limit.isdecimal() or not 1 <= int(self.limit) <= MAX_ROWS:
            raise invalid(f"limit must be from 1 to {MAX_ROWS}")
        for name, value, known in (("feed", self.feed, _FEEDS), ("sort", self.sort, _SORTS)):
            if value not in known:
                raise invalid(f"{name} must be one of {known}")
        latest = now - _DELAY if self.feed == "sip" else now
        start = _instant("start", self.start, now - 24 * 60 * MINUTE)
        end = _instant("end", self.end, latest)
        if end > latest and self.feed == "sip":
            raise BrokerError(403, None, "subscription does not permit querying recent SIP data")
        return max(start, 0), min(max(end, 0), now)


def page(query: DataQuery, name: str, span: tuple[int, int], rows_of: Callable[[str, int, int], Rows]) -> JsonObject:
    """Return one page of rows, by symbol and then by time.

    Args:
        query: a valid query.
        name: name of the rows in the response.
        span: first and last time.
        rows_of: returns the rows of a symbol between two times, both included, oldest first.
    """
    limit, found = int(query.limit), list[tuple[str, int, JsonObject]]()
    for symbol, at, row in _all_rows(query, span, rows_of):
        if len(found) == limit:
            return _body(name, found, _token(*found[-1][:2]))
        found.append((symbol, at, row))
    return _body(name, found, None)


def _all_rows(
    query: DataQuery, span: tuple[int, int], rows_of: Callable[[str, int, int], Rows]
) -> Iterator[tuple[str, int, JsonObject]]:
    seen_symbol, seen_at = _position(query.page_token)
    is_descending = query.sort == "desc"
    for symbol in sorted(query.symbols):
        first, last = span
        if symbol < seen_symbol:
            continue
        if symbol == seen_symbol:
            first, last = (first, min(last, seen_at - 1)) if is_descending else (max(first, seen_at + 1), last)
        if first > last:
            continue
        rows = rows_of(symbol, first, last)
        for at, row in reversed(list(rows)) if is_descending else rows:
            yield symbol, at, row


def _body(name: str, found: list[tuple[str, int, JsonObject]], token: str | None) -> JsonObject:
    grouped: dict[str, list[JsonObject]] = {}
    for symbol, _, row in found:
        grouped.setdefault(symbol, []).append(row)
    return {name: grouped, "next_page_token": token}


def _instant(name: str, text: str | None, default: int) -> int:
    try:
        return default if text is None else parse_instant(text)
    except ValueError as error:
        raise invalid(f"{name} is not a time") from error


def _token(symbol: str, at: int) -> str:
    return base64.b64encode(f"{symbol}|{timestamp(at)}".encode()).decode()


def _position(token: str | None) -> tuple[str, int]:
    if token is None:
        return "", 0
    try:
        symbol, at = base64.b64decode(token, validate=True).decode().split("|")
        return symbol, parse_instant(at)
    except (binascii.Error, ValueError) as error:
        raise invalid("page_token is unknown") from error


def invalid(message: str) -> BrokerError:
    """Return a 400 for an invalid parameter."""
    return BrokerError(400, None, message)
