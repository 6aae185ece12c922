"""Historical trades: ``GET /v2/stocks/trades``. The only trades of this market are the executions of its account."""

from collections.abc import Sequence
from decimal import Decimal

from paper_broker.data_pages import Rows
from paper_broker.formats import JsonObject, json_number, parse_instant, timestamp


def trade_rows(activities: Sequence[JsonObject], symbol: str, span: tuple[int, int]) -> Rows:
    """Return the trades of a symbol in a period with their times, oldest first.

    As on the tape, sizes are whole shares: of an execution the fraction is missing, below one share all of it. Of
    executions at the same time each is a nanosecond after the one before, so that times are unique.

    Args:
        activities: all executions, oldest first.
        symbol: the symbol.
        span: first and last time, both included, in nanoseconds since the epoch.
    """
    latest = 0
    for number, activity in enumerate(activities, start=1):
        size = int(Decimal(activity["qty"]))
        if activity["symbol"] != symbol or not size:
            continue
        latest = at = max(parse_instant(activity["transaction_time"]), latest + 1)
        if span[0] <= at <= span[1]:
            price = json_number(Decimal(activity["price"]))
            yield at, {"t": timestamp(at), "p": price, "s": size, "x": "V", "i": number, "c": ["@"], "z": "C"}
