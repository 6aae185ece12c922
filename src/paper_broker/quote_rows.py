"""Historical quotes: ``GET /v2/stocks/quotes``. As in a live market, an unchanged quote is repeated every second."""

from collections.abc import Iterator

from paper_broker.formats import SECOND, JsonObject, timestamp
from paper_broker.history import Level
from paper_broker.market import Market
from paper_broker.sessions import Sessions


def quote_rows(
    market: Market, sessions: Sessions, symbol: str, span: tuple[int, int]
) -> Iterator[tuple[int, JsonObject]]:
    """Return the quotes of a symbol in a period with their times, oldest first.

    They are its changes, and between 04:00 and 20:00 of trading days the quote of every full second.
    """
    start, end = span
    asset = market.assets.get(symbol)
    if asset is None:
        return
    applies: Level | None = None
    tick = -(-start // SECOND) * SECOND
    for at, level in market.history.levels(symbol, start, end, asset.tick_size):
        if applies is not None:
            for second in _seconds(sessions, tick, at - 1):
                yield second, applies.to_json(timestamp(second))
        if at >= start:
            yield at, level.to_json(timestamp(at))
        tick = max(tick, (at // SECOND + 1) * SECOND)
        applies = level
    if applies is not None:
        for second in _seconds(sessions, tick, end):
            yield second, applies.to_json(timestamp(second))


def _seconds(sessions: Sessions, first: int, last: int) -> Iterator[int]:
    """Return the full seconds in trading hours, the extended ones included."""
    while first <= last:
        session = sessions.current_or_next(first, extended=True)
        if session is None:
            return
        first = max(first, session.open)
        until = min(last + 1, session.close)
        yield from range(first, until, SECOND)
        first = max(until + (-until % SECOND), first + SECOND)
