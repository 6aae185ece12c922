"""Invariants of orders for auctions: their times, their shares, and what is worked beside them.

The times are computed here from the exchange's trading days, not from those that the program journals.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, time, timedelta

from paper_broker.formats import NEW_YORK, nanoseconds, to_datetime
from paper_broker.orders import Order
from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.market import AuctionKind
from rebalance_executor.domain.orders import ChildState, ParentOrder
from rebalance_simulation.calls import Submission
from rebalance_simulation.violation import Violation
from rebalance_simulation.world_view import WorldView

_EVENING = time(19)
"""New York time from which orders for the next auction are accepted."""
_TWO_CLOCKS = timedelta(seconds=25)
"""Largest difference between the program's clock, or its reading of the broker's, and the real time."""


class AuctionInvariants:
    """Checks of orders for auctions.

    Args:
        world: the world to check. Every check raises ``Violation`` if an invariant is broken.
    """

    def __init__(self, world: WorldView) -> None:
        self._world = world
        self._cancels: dict[str, int] = {}

    def check_submission(self, parent: ParentOrder, order: Submission, orders: Iterable[Order]) -> None:
        """Check an order before it is sent: for an auction, or beside one."""
        now, name = self._world.clock.world(), order["client_order_id"]
        others = [other for other in orders if other.client_order_id != name]
        if order["time_in_force"] == "day":
            self._check_beside(parent, order, others, now)
            return
        if parent.auction is None or order.get("extended_hours") or "." in str(order["qty"]):
            raise Violation(f"{name} is for an auction: {order}, its item for {parent.auction}")
        if any(other.time_in_force != "day" for other in others):
            raise Violation(f"{name} is a second order for the auction")
        if self._is_late(order["time_in_force"], now):
            raise Violation(f"{name} is sent to the auction ({order['time_in_force']}) at {now}, after its cut-off")

    def check_cancels(self, orders: Iterable[Order]) -> None:
        """Check a cancel before it is sent: it is not for an order whose auction is due and not yet reported."""
        now, record = self._world.clock.world(), self._world.broker.record
        for order in orders:
            count = record.cancel_requests[order.id]
            if count == self._cancels.get(order.id, 0) or order.time_in_force == "day":
                continue
            self._cancels[order.id] = count
            if self._is_late(order.time_in_force, now - _TWO_CLOCKS) and self._is_late(order.time_in_force, now):
                raise Violation(f"{order.client_order_id} ({order.time_in_force}) is canceled at {now}")

    def check_end(self, parent: ParentOrder, orders: Iterable[Order]) -> None:
        """Check the reason for which an item ends beside its auction, as it is journalled."""
        in_auction = [order for order in orders if order.time_in_force != "day"]
        if parent.code == Code.AUCTION_EXPIRED and not any(order.status == "expired" for order in in_auction):
            raise Violation(f"{parent.symbol} ends as {parent.code}, no order for the auction expired")
        if parent.code == Code.AUCTION_CLOSED and not self._was_too_late(parent):
            raise Violation(f"{parent.symbol} ends as {parent.code} at {self._world.clock.world()}")

    def _check_beside(self, parent: ParentOrder, order: Submission, others: list[Order], now: datetime) -> None:
        """Check an order in continuous trading: before the auction, only the fraction of an item for the close."""
        auction = parent.auction
        was_sent = any(other.time_in_force != "day" for other in others) or any(
            child.is_for_auction and child.state is not ChildState.NOT_SENT for child in parent.children
        )
        if auction is None or was_sent:
            return
        kind = "opg" if auction.kind is AuctionKind.OPEN else "cls"
        is_early = not self._is_late(kind, now + _TWO_CLOCKS)
        if is_early and (kind == "opg" or float(order["qty"]) >= 1):
            raise Violation(
                f"{order['client_order_id']} is worked for {order['qty']} before its auction at {auction.at}"
            )

    def _was_too_late(self, parent: ParentOrder) -> bool:
        now = self._world.clock.world() + _TWO_CLOCKS
        if parent.auction is None or parent.auction.at.date() < now.date():  # of an earlier day
            return True
        return self._is_late("opg" if parent.auction.kind is AuctionKind.OPEN else "cls", now)

    def _is_late(self, time_in_force: str, now: datetime) -> bool:
        """Return whether orders of this kind are between a cut-off and 19:00, or not accepted for another reason."""
        sessions, config = self._world.exchange._lifecycle.sessions, self._world.config  # noqa: SLF001 - read only
        session = sessions.current_or_next(nanoseconds(now))
        if session is None:
            return True
        local = now.astimezone(NEW_YORK)
        opens, closes = to_datetime(session.open), to_datetime(session.close)
        is_trading_day_over = session.day != local.date()
        if is_trading_day_over:  # after the close, or a day without a session
            return local.time() < _EVENING
        if time_in_force == "opg":
            return now >= opens - timedelta(minutes=float(config.open_cutoff_minutes))
        return now >= closes - timedelta(minutes=float(config.close_cutoff_minutes))
