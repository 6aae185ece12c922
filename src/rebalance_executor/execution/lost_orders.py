"""Lost orders: orders without a definite answer that the broker does not know.

Such an order is sent again unchanged, with the same client order ID, if the account and the collar still cover it.
Otherwise the run waits until it can no longer arrive.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from rebalance_executor.domain.auction import is_sendable, send_by
from rebalance_executor.domain.decisions import RunMode, Working, Yielding
from rebalance_executor.domain.market import OrderType, Side
from rebalance_executor.domain.orders import ChildOrder, ChildPhase, ChildState, ParentOrder
from rebalance_executor.domain.pricing import collar, far_touch, is_inside
from rebalance_executor.domain.values import seconds
from rebalance_executor.execution.account_access import AccountAccess
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.run import Run


class LostOrders:
    """The lost orders of one run."""

    def __init__(self, run: Run, access: AccountAccess) -> None:
        self._run = run
        self._quotes = access.quotes
        self._holdings = access.holdings
        self._log = access.log
        self._config = access.config

    def handle(self, absent: Mapping[str, datetime], modes: Mapping[Side, RunMode]) -> None:
        """Send children that the broker does not know again, or wait until they can no longer arrive.

        Args:
            absent: symbols whose child the broker does not know, with the time of that answer.
            modes: the mode of each side in this tick.
        """
        work = self._run.work
        lost = [self._run.parents[symbol] for symbol in absent]
        self._read_holdings([parent for parent in lost if isinstance(modes[parent.side], Working)])
        for symbol, answered_at in absent.items():
            parent = self._run.parents[symbol]
            child, mode = parent.open_child, modes[parent.side]
            if child is None:
                continue
            may_still_arrive = answered_at - child.latest_send < seconds(self._config.arrival_horizon_seconds)
            if child.phase is ChildPhase.RESEND_REJECTED:
                if not may_still_arrive:
                    work.update_child(symbol, replace(child, state=ChildState.REJECTED, closed_at=answered_at))
            elif isinstance(mode, Working) and self._is_covered(parent, child, answered_at):
                work.update_child(symbol, child.to_resend(answered_at))
                covered_until = self._holdings.covers_until(parent)
                self._run.outbox.unsent[child.client_order_id] = send_by(parent, child, covered_until)
                self._log.emit(LogEvent.ORDER_RESENT, symbol=symbol, client_order_id=child.client_order_id)
            elif not isinstance(mode, Yielding) and not may_still_arrive:
                work.update_child(symbol, replace(child, state=ChildState.NOT_SENT))

    def _read_holdings(self, lost: list[ParentOrder]) -> None:
        """Read cash or positions before orders are sent again unchanged: their own checks were made long ago."""
        sells = [parent for parent in lost if parent.side is Side.SELL]
        if sells:
            self._holdings.read_positions([parent.symbol for parent in sells], sells)
        if len(sells) < len(lost):
            self._holdings.read_account(self._run.parents.values())

    def _is_covered(self, parent: ParentOrder, child: ChildOrder, now: datetime) -> bool:
        """Return whether the account still has the cash or the shares for a child that must be sent again unchanged."""
        if parent.exposure > parent.qty or not is_sendable(parent, child, now):  # a late fill, or the cut-off
            return False
        if child.type is OrderType.MARKET and not self._is_inside_collar(parent):
            return False  # nothing else bounds its price
        if parent.side is Side.SELL:
            return self._holdings.shares(parent).amount >= child.qty
        return self._holdings.covers(self._run.parents.values())

    def _is_inside_collar(self, parent: ParentOrder) -> bool:
        """Return whether the market is inside the parent's collar now, by a usable quote."""
        self._quotes.refresh([parent.symbol])
        quote = self._quotes.latest.get(parent.symbol)
        if quote is None or parent.arrival is None or self._quotes.problem(parent.symbol) is not None:
            return False
        worst = collar(parent.side, parent.arrival, self._config.for_symbol(parent.symbol).price_collar)
        return is_inside(parent.side, far_touch(parent.side, quote), worst)
