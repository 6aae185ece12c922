"""The order reader: reads a plan's open orders from the broker, and applies what it reports to the journalled values.

One list request per tick shows all orders. A list can be late or wrong, so that an order that it lacks or contradicts
is read again by its ID.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from rebalance_executor.domain.market import BrokerOrder
from rebalance_executor.domain.orders import ORDER_LOOKBACK, ChildOrder, ChildState, ParentOrder
from rebalance_executor.domain.values import seconds
from rebalance_executor.execution.account_access import AccountAccess
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.order_events import child_fields, log_closed
from rebalance_executor.execution.reconciliation import count_late_fills
from rebalance_executor.execution.run import Run
from rebalance_executor.execution.sender import Sender


class OrderReader:
    """The readings of one run's orders."""

    def __init__(self, run: Run, access: AccountAccess, sender: Sender) -> None:
        self._run = run
        self._access = access
        self._broker = access.broker
        self._clock = access.clock
        self._log = access.log
        self._config = access.config
        self._sender = sender
        self.started_at = self._clock.now()
        """Start of the latest reading: what it did not show may have happened since."""
        self.latest: Mapping[str, BrokerOrder] = {}
        """The orders of the latest list, by client order ID."""

    def read(self) -> dict[str, datetime]:
        """Apply the broker's reports to the open children of all unsettled parents.

        Returns:
            The symbols whose child the broker does not know, with the time of that answer.

        Raises:
            BrokerUnavailable: a read failed after its retries.
        """
        run, absent = self._run, dict[str, datetime]()
        self.started_at = self._clock.now()
        pairs = [(p, c) for p in run.unsettled() if (c := p.open_child) and not run.outbox.holds(c)]
        waiting = self._waiting()
        if not pairs and not waiting:
            return absent
        # An order that has ended is read by its ID for the second time: it needs no list.
        listed = [(parent, child) for parent, child in pairs if child.closed_since is None]
        by_client_id = self.latest = self._list(listed, waiting) if listed or waiting else {}
        for parent in waiting:
            if count_late_fills(run, self._access, parent.symbol, by_client_id):
                run.outbox.withdraw_overfilled(run.work, parent.symbol)
        for before, child in pairs:
            count_late_fills(run, self._access, before.symbol, by_client_id)  # of earlier orders of the parent
            parent = run.parents[before.symbol]
            order = by_client_id.get(child.client_order_id)
            if order is None or self._is_doubtful(parent, child, order):
                order = self._broker.order_by_client_id(child.client_order_id) or order
            if order is not None:
                self._report(parent, child, order)
            elif child.state is not ChildState.LIVE:
                absent[parent.symbol] = self._clock.now()
        return absent

    def _list(
        self, pairs: list[tuple[ParentOrder, ChildOrder]], waiting: list[ParentOrder]
    ) -> Mapping[str, BrokerOrder]:
        """Return the listed orders of these parents by client order ID."""
        started_at = self._run.state.started_at
        # A child without an answer may have been sent at any time since the plan started.
        sent = [child.latest_send if child.state is ChildState.LIVE else started_at for _, child in pairs]
        sent += [started_at for _ in waiting]
        symbols = [parent.symbol for parent in (*(parent for parent, _ in pairs), *waiting)]
        listed = self._broker.orders(symbols, min(sent) - ORDER_LOOKBACK)
        return {order.client_order_id: order for order in listed}

    def _waiting(self) -> list[ParentOrder]:
        """Return the parents whose next order is not sent yet: a fill may follow the end of their last one.

        A parent between two slices is not read before the last tick in which nothing of it is due.
        """
        if self._sender.is_paused:
            return []
        later = self._run.between_slices(self._clock.now() + seconds(self._config.tick_seconds), self._config)
        return [
            parent
            for parent in self._run.unsettled()
            if parent.remaining > 0
            and parent.symbol not in later
            and (parent.open_child is None or self._run.outbox.holds(parent.open_child))
            and any(child.order_id is not None for child in parent.children)
        ]

    def _is_doubtful(self, parent: ParentOrder, child: ChildOrder, listed: BrokerOrder) -> bool:
        """Return whether a row of the list must be confirmed by ID.

        It contradicts what was sent or reported before, or it is the second reading of an order that ended without
        all of its fills: a list that is late by more than a tick would confirm itself.
        """
        was_refused = self._run.outbox.take_refused_cancel(child)
        wait, since = seconds(self._config.cancel_wait_seconds), child.cancel_requested_at
        is_overdue = since is not None and self._clock.now() - since >= wait  # an operator would have to look
        if child.closed_since is not None or listed.filled_qty < child.filled_qty:
            return True
        if not listed.is_for(parent.symbol, parent.side, child.qty):
            return True
        return (was_refused or is_overdue) and not listed.is_terminal

    def _report(self, parent: ParentOrder, child: ChildOrder, order: BrokerOrder) -> None:
        """Apply the broker's report to the child."""
        if not order.is_for(parent.symbol, parent.side, child.qty):
            self._run.work.update_child(parent.symbol, child.with_other_content(order, self._clock.now()))
            return
        after = child.with_report(order, self._clock.now(), seconds(self._config.tick_seconds))
        if child.order_id is None:
            self._log.emit(LogEvent.ORDER_FOUND, symbol=parent.symbol, **child_fields(after))
        if after != child:
            self._run.work.update_child(parent.symbol, after)
        if not after.is_open:
            log_closed(self._log, parent.symbol, after)
        if after.status == "rejected":
            self._sender.count_reject(child)
