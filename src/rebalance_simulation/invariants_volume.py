"""Invariant of average volumes: an order has the one of the broker's daily bars, or none."""

from __future__ import annotations

from paper_broker.exchange import Exchange
from rebalance_executor.domain.orders import ParentOrder
from rebalance_simulation.violation import Violation

_MAX_AGE_DAYS = 7
"""Age of the latest daily bar above which a volume is stale."""


def check_volume(exchange: Exchange, parent: ParentOrder) -> None:
    """Check that the parent's average volume is that of readable, recent bars.

    The bars of a symbol have one volume, on every day or on every second one, so that this is their average too.
    """
    if parent.average_volume is None:
        return
    quote = exchange._market.quotes[parent.symbol]  # noqa: SLF001 - read only
    shares = quote.volume[0] if isinstance(quote.volume, list) else quote.volume
    if shares != parent.average_volume or not shares or quote.volume_age_days > _MAX_AGE_DAYS:
        age = f"the latest of them {quote.volume_age_days} days ago"
        raise Violation(f"{parent.symbol} has the average volume {parent.average_volume}; its bars {shares}, {age}")
