"""The lifecycle of orders for auctions: they wait for one auction, execute in it at its price, and end with it."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from paper_broker.orders import WORKING, Order

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from paper_broker.auctions import Auctions
    from paper_broker.lifecycle import Lifecycle
    from paper_broker.sessions import Session


class AuctionOrders:
    """The events of orders for auctions, in the queue of the other events.

    Args:
        lifecycle: event queue, executions and ends of orders.
        auctions: times, prices and executed shares of the auctions.
    """

    def __init__(self, lifecycle: Lifecycle, auctions: Auctions) -> None:
        self._lifecycle = lifecycle
        self._auctions = auctions
        self.handlers: Mapping[str, Callable[[Order, int, str], None]] = {
            "auction": self._auction,
            "auction_report": self._report,
            "auction_end": self._end,
        }

    def schedule(self, order: Order, session: Session | None, now: int) -> None:
        """Schedule the auction of an order. It is ``new`` while the session is open, and ``accepted`` until then.

        Args:
            order: an open order; nothing changes if its auction has run.
            session: the session that is open, otherwise the next one.
            now: nanoseconds since the epoch.
        """
        if order.auctioned:
            return
        following = self._auctions.sessions.auctions(now, None)
        auction = next((auction for auction in following if auction.time_in_force == order.time_in_force), None)
        order.auction_at = None if auction is None else auction.at
        if order.status not in WORKING:
            opening = order.auction_at if session is None or order.time_in_force == "opg" else session.open
            self._lifecycle.schedule_start(order, opening if auction else None, now)
        if order.auction_at is not None:
            self._lifecycle.schedule(order.auction_at, "auction", order)

    def activate(self, order: Order, due: int) -> None:
        """Schedule what happens to an order in the book of the auction before the auction: the broker may reject it."""
        status, after = order.behaviour.end or ("", 0)
        if status == "rejected":
            self._lifecycle.schedule(due + after, "end", order, status)

    def _auction(self, order: Order, due: int, _: str) -> None:
        if order.auction_at != due or order.auctioned:
            return
        order.auctioned = True
        shares, price = Decimal(0), Decimal(0)
        if order.status in WORKING:  # an order that is still pending misses the auction
            shares, price = self._auctions.execution(order, due)
        delay = self._auctions.rule(order.symbol, order.time_in_force).delay
        self._lifecycle.schedule(due + delay, "auction_report", order, f"{shares} {price}")

    def _report(self, order: Order, due: int, execution: str) -> None:
        shares, price = map(Decimal, execution.split())
        shares = min(shares, (order.qty or shares) - order.filled_qty)
        if shares:
            self._lifecycle.record_execution(order, due, shares, price)
        if order.is_open:
            status, after = order.behaviour.end or self._auctions.rule(order.symbol, order.time_in_force).end(
                order.time_in_force
            )
            self._lifecycle.schedule(due + after, "auction_end", order, status)

    def _end(self, order: Order, due: int, status: str) -> None:
        self._lifecycle.end(order, due, "canceled" if order.status == "pending_cancel" else status)
