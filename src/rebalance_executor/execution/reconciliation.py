"""After the trade: the broker's orders, fills and positions are read once more and compared with the journal."""

from __future__ import annotations

from datetime import timedelta

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.errors import PlanYielded
from rebalance_executor.domain.orders import child_order_prefix
from rebalance_executor.domain.reconciliation import Difference, differences, was_sent
from rebalance_executor.domain.values import seconds
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.ports import Broker, Ports
from rebalance_executor.execution.run import Run

_CLOCK_DIFFERENCE = timedelta(minutes=10)
"""How far the broker's clock may be behind ours; orders are listed by the broker's submission time."""


def reconcile(run: Run, ports: Ports, broker: Broker, config: ExecutionConfig) -> list[Difference]:
    """The differences that stay after a bounded wait; the parents they belong to become UNRESOLVED.

    Raises:
        BrokerUnavailable: the broker cannot be read; the next run compares again.
        PlanYielded: the deadline came before the wait was over.
    """
    parents = [parent for parent in run.parents.values() if was_sent(parent)]
    if not parents:
        return []
    symbols = sorted(parent.symbol for parent in parents)
    prefix = child_order_prefix(run.state.account, run.state.plan_id)
    settled_at = max(parent.settled_at or run.state.started_at for parent in parents)
    until = settled_at + seconds(config.reconcile_wait_seconds)
    while True:
        orders = broker.orders(symbols, run.state.started_at - _CLOCK_DIFFERENCE)
        found = differences(parents, orders, broker.positions(symbols), prefix)
        now = ports.clock.now()
        if not found or now >= until:
            break
        if now >= run.deadline.stop_at:
            raise PlanYielded("stopped safely before the deadline; the next delivery compares with the broker again")
        ports.clock.sleep(min(seconds(config.tick_seconds), until - now, run.deadline.stop_at - now))
    for symbol in {difference.symbol for difference in found} & run.parents.keys():
        text = "; ".join(difference.problem for difference in found if difference.symbol == symbol)
        run.update_parent(run.parents[symbol].mark_unresolved(Code.RECONCILIATION_MISMATCH, text, ports.clock.now()))
        ports.log.emit(LogEvent.RECONCILIATION_MISMATCH, symbol=symbol, reason=text)
    return found
