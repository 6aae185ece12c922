"""Reconciliation after the trade: reads the broker until its orders, fills and positions agree with the journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.errors import PlanYielded
from rebalance_executor.domain.market import BrokerOrder, Position
from rebalance_executor.domain.order_ids import child_order_prefix
from rebalance_executor.domain.orders import ORDER_LOOKBACK, ChildState, ParentOrder
from rebalance_executor.domain.reconciliation import Difference, agrees, differences, was_sent, with_late_fills
from rebalance_executor.domain.values import seconds
from rebalance_executor.execution.account_access import AccountAccess
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.order_events import child_fields, log_outcome
from rebalance_executor.execution.ports import Broker, ReadSet
from rebalance_executor.execution.run import DEADLINE_REASON, Run


def reconcile(run: Run, access: AccountAccess, look: Mapping[str, BrokerOrder]) -> list[Difference]:
    """Return the differences that remain after a bounded wait; mark the parents they belong to as UNRESOLVED.

    Every order is read again, also one that is final in the journal: late fills are counted and are no difference. Only
    if the latest look shows that each one filled completely, which nothing can change, the positions suffice.

    Args:
        run: the run, whose parents are settled.
        access: its account.
        look: the orders that the latest look listed, by client order ID.

    Raises:
        BrokerUnavailable: the broker could not be read; the next run compares again.
        PlanYielded: the run had to stop before the wait was over.
    """
    clock, config = access.clock, access.config
    parents = sorted((p for p in run.parents.values() if was_sent(p)), key=lambda parent: parent.symbol)
    if not parents:
        return []
    symbols = [parent.symbol for parent in parents]
    prefix = child_order_prefix(run.state.account, run.state.plan_id, access.ports.deployment)
    confirmed: dict[str, BrokerOrder] = {}
    listed = look if _is_filled(parents, look) else None
    while True:
        orders, positions = _read(run, access, symbols, listed)
        listed = None
        _confirm(run, access.broker, symbols, orders, confirmed)
        for symbol in symbols:
            if count_late_fills(run, access, symbol, orders):
                log_outcome(access.log, run.parents[symbol])
        parents = [run.parents[symbol] for symbol in symbols]
        remaining = differences(parents, list(orders.values()), positions, prefix)
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


def _is_filled(parents: Sequence[ParentOrder], orders: Mapping[str, BrokerOrder]) -> bool:
    """Return whether these orders contain every child that was sent, each filled completely."""
    children = [child for parent in parents for child in parent.children if child.state is not ChildState.NOT_SENT]
    listed = [orders.get(child.client_order_id) for child in children]
    return all(order is not None and order.filled_qty == order.qty for order in listed)


def _read(
    run: Run, access: AccountAccess, symbols: Sequence[str], listed: Mapping[str, BrokerOrder] | None
) -> tuple[dict[str, BrokerOrder], Mapping[str, Position]]:
    """Return the broker's orders by client order ID, unless they are ``listed``, and the positions."""
    if listed is not None:
        return dict(listed), access.broker.positions(symbols)
    after = run.state.started_at - ORDER_LOOKBACK
    early = access.broker.ask(ReadSet(positions=True, orders_of=symbols, orders_after=after))
    orders = {order.client_order_id: order for order in early.reads.orders(symbols, after)}
    return orders, early.reads.positions(symbols)


def _confirm(
    run: Run,
    broker: Broker,
    symbols: Sequence[str],
    orders: dict[str, BrokerOrder],
    confirmed: dict[str, BrokerOrder],
) -> None:
    """Read each order that differs from the journal by its ID, and replace it in ``orders``.

    A list can be late or incomplete. ``confirmed`` keeps the answers by ID that agree, so that each is read once.
    """
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
