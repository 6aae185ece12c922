"""Reconciliation after the trade: reads the broker until its orders, fills and positions agree with the journal."""

from __future__ import annotations

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.errors import PlanYielded
from rebalance_executor.domain.orders import ORDER_LOOKBACK, child_order_prefix
from rebalance_executor.domain.reconciliation import Difference, differences, was_sent
from rebalance_executor.domain.values import seconds
from rebalance_executor.execution.account_access import AccountAccess
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.run import DEADLINE_REASON, Run


def reconcile(run: Run, access: AccountAccess) -> list[Difference]:
    """Return the differences that remain after a bounded wait; mark the parents they belong to as UNRESOLVED.

    Raises:
        BrokerUnavailable: the broker could not be read; the next run compares again.
        PlanYielded: the run had to stop before the wait was over.
    """
    broker, clock, config = access.broker, access.clock, access.config
    parents = [parent for parent in run.parents.values() if was_sent(parent)]
    if not parents:
        return []
    symbols = sorted(parent.symbol for parent in parents)
    prefix = child_order_prefix(run.state.account, run.state.plan_id)
    settled_at = max(parent.settled_at or run.state.started_at for parent in parents)
    until = settled_at + seconds(config.reconcile_wait_seconds)
    while True:
        orders = broker.orders(symbols, run.state.started_at - ORDER_LOOKBACK)
        remaining = differences(parents, orders, broker.positions(symbols), prefix)
        now = clock.now()
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
