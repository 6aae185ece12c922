"""Deliberate bugs in orders for auctions: their cut-off, their number, and what is worked beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from rebalance_executor.domain import auction, auction_strategy
from rebalance_executor.domain.market import Auction, TimeInForce
from rebalance_executor.domain.orders import ParentOrder
from rebalance_executor.execution import pretrade
from rebalance_simulation.bug_tools import Replacement


def _without_cutoff() -> Callable[..., Any]:
    auction_of = auction.auction_of

    def without(*args: Any) -> Auction | None:
        found = auction_of(*args)
        return None if found is None else replace(found, cutoff=found.at)

    return without


def _never(*_: Any) -> bool:
    return False


def _everything(parent: ParentOrder, *_: Any) -> Any:
    return parent.remaining


def _day(*_: Any) -> TimeInForce:
    return TimeInForce.DAY


AUCTION_BUGS: dict[str, list[Replacement]] = {
    "orders for an auction are sent after its cut-off": [(pretrade, "auction_of", _without_cutoff)],
    "orders for an auction are canceled after its cut-off": [
        (auction, "is_past_cutoff", lambda: _never),
        (auction_strategy, "is_past_cutoff", lambda: _never),
    ],
    "an item is worked before its auction": [(auction_strategy, "fraction_to_work", lambda: _everything)],
    "orders for an auction are day orders": [(auction_strategy, "time_in_force", lambda: _day)],
}
"""By name: what each bug replaces."""
