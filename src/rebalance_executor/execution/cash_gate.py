"""The cash gate: once all sells are settled and their proceeds have arrived, it fixes the dollars of the buys.

Before the gate, buys use cash and the proceeds so far. At the gate they are scaled to what there is in total.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from decimal import Decimal

from rebalance_executor.domain.cash import (
    buy_budget,
    buy_funds,
    committed,
    has_arrived,
    proceeds,
    scale_to_budget,
    spent,
)
from rebalance_executor.domain.journal import PlanPhase
from rebalance_executor.domain.market import Side
from rebalance_executor.domain.orders import ParentOrder
from rebalance_executor.domain.values import seconds
from rebalance_executor.execution.account_access import AccountAccess
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.order_events import log_outcome, log_scaled
from rebalance_executor.execution.run import Run


def pass_gate(run: Run, access: AccountAccess) -> None:
    """Fix funds and budget of the buys and scale them, unless sells are unsettled or their proceeds are awaited.

    Sells in the closing auction are not waited for: no buy of the day can use their proceeds.

    The plan's next phase is BUYS; the next write journals it together with the budget.

    Raises:
        BrokerUnavailable: the account or the quotes could not be read.
    """
    if run.state.phase is not PlanPhase.SELLS or run.sells_of_gate(access.clock.now()):
        return
    buys, parents = run.unsettled(Side.BUY), run.parents.values()
    if buys:
        received = proceeds(parents)
        expected = run.state.starting_funds + received
        has_sells = any(parent.side is Side.SELL for parent in parents)  # whose proceeds the account may show by now
        shown = access.holdings.read_total(parents) if has_sells else access.holdings.latest_total(parents)
        if not has_arrived(shown, expected) and access.clock.now() < _wait_ends(access, parents):
            access.log.emit(LogEvent.GATE_WAITING, shown=shown, expected=expected)
            return
        used = committed(parents, access.config.widest_collar)  # also if another user has spent the cash since
        _fix_budget(run, access, buys, buy_funds(max(used, shown), expected))
    run.work.update_state(phase=PlanPhase.BUYS)


def _wait_ends(access: AccountAccess, parents: Collection[ParentOrder]) -> datetime:
    """Return the time until which the account may show less: it counts from the last sell, over all runs.

    Proceeds arrive late, and an open buy may have fills that the account shows before the order does.
    """
    if not proceeds(parents) and not any(p.side is Side.BUY and p.open_child for p in parents):
        return access.clock.now()
    sold_at = max((p.settled_at for p in parents if p.side is Side.SELL and p.settled_at), default=access.clock.now())
    return sold_at + seconds(access.config.proceeds_wait_seconds)


def _fix_budget(run: Run, access: AccountAccess, buys: list[ParentOrder], available: Decimal) -> None:
    """Scale the buys to the dollars that are available for all buys of the plan, those of settled ones included."""
    parents = run.parents.values()
    budget = buy_budget(available, access.config)
    left = budget - spent(parent for parent in parents if parent.outcome is not None)
    usable = access.quotes.usable([parent.symbol for parent in buys])
    for parent in scale_to_budget(buys, usable, left, access.config, access.clock.now()):
        if parent.qty != run.parents[parent.symbol].qty:
            log_scaled(access.log, parent)
        run.work.update_parent(parent)
        log_outcome(access.log, parent)
    access.log.emit(
        LogEvent.GATE_PASSED,
        proceeds=proceeds(parents),
        expected_funds=run.state.starting_funds + proceeds(parents),
        buy_budget=budget,
        buy_funds=available,
    )
    # Journalled with the phase, in one write: a later run must not fix the budget again.
    run.work.update_state(buy_budget=budget, buy_funds=available)
