"""The cash gate between sells and buys: waits for the actual proceeds and fixes the buy budget."""

from __future__ import annotations

from decimal import Decimal

from rebalance_executor.domain.cash import buy_budget, buy_funds, has_arrived, proceeds, scale_to_budget
from rebalance_executor.domain.errors import PlanYielded
from rebalance_executor.domain.journal import PlanPhase
from rebalance_executor.domain.market import Account, Side
from rebalance_executor.domain.strategy import Yielding
from rebalance_executor.domain.values import seconds
from rebalance_executor.execution.account_access import AccountAccess
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.order_events import log_outcome, log_scaled
from rebalance_executor.execution.run import Run


def pass_gate(run: Run, access: AccountAccess) -> None:
    """Fix the buy budget from cash and actual proceeds, and scale the buys to it.

    The plan's next phase is BUYS; the next write journals it together with the budget.

    Raises:
        PlanYielded: the run had to stop while it waited for the proceeds.
        BrokerUnavailable: the account or the quotes could not be read.
    """
    buys = run.unsettled(Side.BUY)
    if buys:
        received = proceeds(run.parents.values())
        expected = run.state.starting_funds + received
        account = _wait_for_proceeds(run, access, expected)
        available = buy_funds(access.holdings.funds(account), expected)
        budget = buy_budget(available, access.config)
        usable = access.quotes.usable([parent.symbol for parent in buys])
        for parent in scale_to_budget(buys, usable, budget, access.config, access.clock.now()):
            if parent.qty != run.parents[parent.symbol].qty:
                log_scaled(access.log, parent)
            run.work.update_parent(parent)
            log_outcome(access.log, parent)
        access.log.emit(
            LogEvent.GATE_PASSED, proceeds=received, expected_funds=expected, buy_budget=budget, buy_funds=available
        )
        # Journalled with the phase below, in one write: a later run must not fix the budget again.
        run.work.update_state(buy_budget=budget, buy_funds=available)
    run.work.update_state(phase=PlanPhase.BUYS)


def _wait_for_proceeds(run: Run, access: AccountAccess, expected: Decimal) -> Account:
    """Return the account once it shows the proceeds, or after a bounded wait without them."""
    clock, config, parents = access.clock, access.config, run.parents.values()
    sold_at = max((p.settled_at for p in parents if p.settled_at), default=clock.now())
    until = sold_at + seconds(config.proceeds_wait_seconds)  # from the last sell, so that later runs do not wait again
    if not proceeds(parents):
        until = clock.now()
    while True:
        read_at, account = clock.now(), access.broker.account()
        if has_arrived(access.holdings.funds(account), expected) or clock.now() >= until:
            access.holdings.record_account(account, read_at, parents)  # earlier readings lack the proceeds
            return account
        run.check_stop_requested(access.ports)
        mode = run.mode_at(clock.now())
        if isinstance(mode, Yielding):
            raise PlanYielded(f"{mode.reason}; the next delivery waits for the proceeds of the sells")
        access.log.emit(LogEvent.GATE_WAITING, shown=access.holdings.funds(account), expected=expected)
        clock.sleep(min(seconds(config.tick_seconds), run.deadline.stop_at - clock.now()))
