"""The previous close of a symbol: chosen from daily bars by their dates. Prices are dollars per share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from rebalance_executor.domain.session import LONGEST_CLOSURE


@dataclass(frozen=True, slots=True)
class DailyClose:
    """Last price of one symbol in the session of one day."""

    day: date
    price: Decimal


@dataclass(frozen=True, slots=True)
class PreviousClose:
    """A definite answer about the close of the last session before the trading day."""

    price: Decimal | None
    """Dollars per share; None if the symbol has no earlier session, because it was listed on the trading day."""


NO_PREVIOUS_CLOSE = PreviousClose(None)
"""Answer for a symbol that was listed on the trading day."""


def previous_close(closes: Iterable[DailyClose], today: date) -> PreviousClose | None:
    """Return the close of the last session before this trading day.

    The date of a bar decides, not its name. Alpaca's ``prevDailyBar`` is that session only once the first bar of the
    trading day exists; before, ``dailyBar`` is that session and ``prevDailyBar`` the one before it.

    Args:
        closes: the latest daily bars of the symbol, in any order.
        today: the trading day.

    Returns:
        ``NO_PREVIOUS_CLOSE`` if the only bars are of the trading day. None if the close is unknown: there are no
        bars, or the latest earlier one is older than the longest closure of the market.
    """
    known = list(closes)
    earlier = [close for close in known if close.day < today]
    if earlier:
        last = max(earlier, key=lambda close: close.day)
        return PreviousClose(last.price) if today - last.day <= LONGEST_CLOSURE else None
    return NO_PREVIOUS_CLOSE if any(close.day == today for close in known) else None
