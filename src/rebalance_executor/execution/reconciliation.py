"""Reconciliation after the trade: reads the broker until its orders, fills and positions agree with the journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.errors import PlanYielded
from rebalance_executor.domain.market import BrokerOrder
from rebalance_executor.domain.order_ids import child_order_prefix
from rebalance_executor.domain.orders import ORDER_LOOKBACK
from rebalance_executor.domain.reconciliation import Difference, agrees, differences, was_sent, with_late_fills
from rebalance_executor.domain.values import seconds
from rebalance_executor.execution.account_access import AccountAccess
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.order_events import child_fields, log_outcome
from rebalance_executor.execution.ports import Broker
from rebalance_executor.execution.run import DEADLINE_REASON, Run


def reconcile(run: Run, access: AccountAccess) -> list[Difference]:
    """Return the differences that remain after a bounded wait; mark the parents they belong to as UNRESOLVED.

    Every order is read again, also one that is final in the journal: late fills are counted and are no difference.

    Raises:
        BrokerUnavailable: the broker could not be read; the next run compares again.
        PlanYielded: the run had to stop before the wait was over.
    """
    broker, clock, config = access.broker, access.clock, access.config
    parents = sorted((p for p in run.parents.values() if was_sent(p)), key=lambda parent: parent.symbol)
    if not parents:
        return []
    symbols = [parent.symbol for parent in parents]
    prefix = child_order_prefix(run.state.account, run.state.plan_id)
    confirmed: dict[str, BrokerOrder] = {}
    while True:
        orders = _read_orders(run, broker, symbols, confirmed)
        for symbol in symbols:
            if count_late_fills(run, access, symbol, orders):
                log_outcome(access.log, run.parents[symbol])
        parents = [run.parents[symbol] for symbol in symbols]
        remaining = differences(parents, list(orders.values()), broker.positions(symbols), prefix)
        now = clock.now()
        settled_at = max(parent.settled_at or run.state.started_at for parent in parents)  # again after a late fill
        until = settled_at + seconds(config.reconcile_wait_seconds)
        if not remaining or now >= until:
            break
        if now >= run.deadline.stop_at:
            raise PlanYielded(f"{DEADLINE_REASON}; the next delivery compares with the broker again")
        clock.sleep(min(seconds(config.tick_seconds), until - now, run.deadline.stop_at - now))
    for symbol in {difference.symbol for difference in remaining} & run.parents.keys():
        text = "; ".join(difference.problem for difference in remaining if difference.symbol == symbol)
        unresolved = run.parents[symbol].mark_unresolved(Code.RECONCILIATION_MISMATCH, text, clock.now())
        run.work.update_parent(unresolved)
        access.log.emit(LogEvent.RECONCILIATION_MISMATCH, symbol=symbol, reason=text)
    return remaining


def _read_orders(
    run: Run, broker: Broker, symbols: Sequence[str], confirmed: dict[str, BrokerOrder]
) -> dict[str, BrokerOrder]:
    """Return the broker's orders by client order ID: those of the list, and by ID each that differs from the journal.

    A list can be late or incomplete. ``confirmed`` keeps the answers by ID that agree, so that each is read once.
    """
    orders = {order.client_order_id: order for order in broker.orders(symbols, run.state.started_at - ORDER_LOOKBACK)}
    for parent in [run.parents[symbol] for symbol in symbols]:
        for child in parent.children:
            key = child.client_order_id
            listed, known = orders.get(key), confirmed.get(key)
            if agrees(parent, child, listed):
                continue
            order = known if known is not None and agrees(parent, child, known) else broker.order_by_client_id(key)
            if order is None or (listed is not None and listed.filled_qty > order.filled_qty):
                continue  # of two reports the larger fill is right
            orders[key] = order
            if agrees(parent, child, order):
                confirmed[key] = order
    return orders


def count_late_fills(run: Run, access: AccountAccess, symbol: str, orders: Mapping[str, BrokerOrder]) -> bool:
    """Count the shares that the broker filled after an order of this parent was final; return whether there are any."""
    before = run.parents[symbol]
    after = with_late_fills(before, orders, access.clock.now())
    if after is before:
        return False
    run.work.update_parent(after)
    for old, new in zip(before.children, after.children, strict=True):
        if new is not old:
            access.log.emit(LogEvent.ORDER_LATE_FILL, symbol=symbol, **child_fields(new))
    return True
