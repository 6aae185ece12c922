"""How a plan is begun: may this account trade now, and what does each item become?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from rebalance_executor.domain.cash import funds
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.controls import (
    Denial,
    PlanContext,
    SymbolSnapshot,
    account_denial,
    asset_denial,
    conflicting,
    day_limit_denial,
    expected_notional,
    parent_denial,
    plan_limit_denial,
    plans_denial,
    quote_problem,
    session_denial,
    switch_denial,
)
from rebalance_executor.domain.errors import JournalUnavailable, NotFound
from rebalance_executor.domain.journal import PlanPhase, PlanState, RunRecord
from rebalance_executor.domain.limits import ConflictPolicy
from rebalance_executor.domain.market import ZERO, Account, Asset, BrokerOrder, MarketClock, Quote
from rebalance_executor.domain.orders import Outcome, ParentOrder
from rebalance_executor.domain.plan import RebalancePlan, RebalancePlanItem
from rebalance_executor.domain.risk_state import Reservation, ReservedOrder, RiskState, StartedPlan
from rebalance_executor.domain.sizing import blank_parent, size
from rebalance_executor.domain.values import seconds
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.kill_switch import KillSwitch
from rebalance_executor.execution.order_events import log_outcome
from rebalance_executor.execution.ports import Broker, Lease, Ports
from rebalance_executor.execution.quotes import last_trades
from rebalance_executor.execution.run import Deadline, Run

_SECOND_LOOK = timedelta(seconds=1)
"""Between two looks at a quote that could not be used, or at an order that is being cancelled."""


@dataclass(frozen=True, slots=True)
class TradingPermission:
    """Whether an account may trade now."""

    account: Account
    denial: Denial | None
    clock: MarketClock | None = None
    """None where the account itself may not trade."""
    behind: timedelta = timedelta()
    """By how much the broker's clock is behind ours, or a little less."""


class PreTrade:
    """Reads what is needed to begin (or resume) a plan on one account."""

    def __init__(self, ports: Ports, broker: Broker, switch: KillSwitch, config: ExecutionConfig) -> None:
        self._broker = broker
        self._assets = ports.assets
        self._book = ports.risk_store
        self._clock = ports.clock
        self._log = ports.log
        self._switch = switch
        self._config = config
        self.quotes: dict[str, Quote] = {}
        """The quotes that the parents were sized with."""

    def start(self, plan: RebalancePlan, lease: Lease, deadline: Deadline) -> Run:
        """The run of a plan that is begun now: every item sized to a frozen parent, or denied."""
        if not plan.trades:  # a plan of HOLDs asks the broker nothing
            run = self.run(plan, lease, deadline, self._state(plan, lease, None), {})
        else:
            standing = self.check_account()
            run = self.run(plan, lease, deadline, self._state(plan, lease, standing.account), {})
            for parent in self._parents(run, standing):
                run.update_parent(parent)
            self.set_trading_hours(run, standing)
        self._log_start(plan, run)
        return run

    def _parents(self, run: Run, standing: TradingPermission) -> Iterable[ParentOrder]:
        if standing.denial is not None or standing.clock is None:
            return self._deny_all(run.plan, standing.denial)
        book = self._load_risk_state(run.lease.account, standing.clock)
        refusal = self._risk_denial(book)
        if refusal is not None:
            return self._deny_all(run.plan, refusal)
        account, others = standing.account, self._broker.open_orders([item.symbol for item in run.plan.trades])
        if self._config.conflicting_orders is ConflictPolicy.CANCEL and self._conflicting(run.plan, others):
            others = self._cancel_others(run.plan, others, run.deadline)
            account = self._broker.account()  # with the dollars that they held
            run.state = replace(run.state, starting_funds=funds(account))
        return self._limit(run, self._size(run, book, others), book, account)

    def _state(self, plan: RebalancePlan, lease: Lease, account: Account | None) -> PlanState:
        return PlanState(
            account=lease.account,
            plan_id=plan.plan_id,
            content_hash=plan.content_hash,
            correlation_id=plan.correlation_id,
            causation_id=plan.causation_id,
            started_at=self._clock.now(),
            phase=PlanPhase.SELLS,
            runs=1,
            starting_funds=funds(account) if account is not None else ZERO,
            account_number=account.account_number if account is not None else None,
        )

    def run(
        self,
        plan: RebalancePlan,
        lease: Lease,
        deadline: Deadline,
        state: PlanState,
        parents: dict[str, ParentOrder],
    ) -> Run:
        """A run on these parents, with its record."""
        record = RunRecord(epoch=lease.epoch, run_id=lease.run_id, started_at=self._clock.now())
        return Run(plan, lease, deadline, state, record, parents)

    def check_account(self) -> TradingPermission:
        """The account, and why it may not trade now (or None), by the broker's word."""
        account = self._broker.account()
        refusal = account_denial(account, self._broker.expected_account_number)
        if refusal is not None:
            return TradingPermission(account, refusal)
        asked_at = self._clock.now()  # an answer that took long must not put the close off
        clock = self._broker.clock()
        refusal = session_denial(clock, extended_hours=self._config.extended_hours)
        return TradingPermission(account, refusal, clock, asked_at - clock.now)

    def set_trading_hours(self, run: Run, standing: TradingPermission) -> None:
        """Tell the run when the session ends, and when it begins if that is still to come, by our clock."""
        clock = standing.clock
        if clock is None or standing.denial is not None:
            return
        run.closes_at = clock.next_close + standing.behind
        run.opens_at = None if clock.is_open else clock.next_open + standing.behind

    def _load_risk_state(self, account: str, clock: MarketClock) -> RiskState:
        """What the controls remember of the account; the trading day is the one whose session closes next."""
        now = self._clock.now()
        book = self._book.load(account, clock.next_close.date())
        self._switch.prime(book.kill_switch, now)
        return book

    def _risk_denial(self, book: RiskState) -> Denial | None:
        """Halted, or too many plans, which halts the account until a named person resumes it."""
        halted = switch_denial(book.kill_switch)
        if halted is not None:
            return halted
        too_many = plans_denial(book, self._config)
        if too_many is not None:
            self._switch.trip(too_many.message)
        return too_many

    def _deny_all(self, plan: RebalancePlan, refusal: Denial | None) -> list[ParentOrder]:
        if refusal is None:
            raise AssertionError("a plan is refused for a reason")
        now = self._clock.now()
        self._log.emit(LogEvent.PLAN_DENIED, code=refusal.code, reason=refusal.message)
        return [blank_parent(item).denied(refusal.code, refusal.message, now) for item in plan.trades]

    def _size(self, run: Run, book: RiskState, open_orders: Sequence[BrokerOrder]) -> list[ParentOrder]:
        plan = run.plan
        symbols = [item.symbol for item in plan.trades]
        positions = self._broker.positions(symbols)
        assets = self._asset_flags(symbols)
        self.quotes = self._usable_quotes([s for s in symbols if asset_denial(s, assets.get(s)) is None], run.deadline)
        now = self._clock.now()
        setting = PlanContext(plan, book, self._config, now)

        def sized(item: RebalancePlanItem) -> ParentOrder:
            facts = SymbolSnapshot(
                asset=assets.get(item.symbol),
                quote=self.quotes.get(item.symbol),
                position=positions.get(item.symbol),
                others=[order for order in open_orders if order.symbol == item.symbol],
            )
            parent = size(item, facts, self._config, now)
            refusal = parent_denial(parent, item, facts, setting) if parent.outcome is None else None
            return parent if refusal is None else parent.denied(refusal.code, refusal.message, now)

        return [sized(item) for item in plan.trades]

    def _limit(self, run: Run, parents: list[ParentOrder], book: RiskState, account: Account) -> list[ParentOrder]:
        """The parents, their share of the trading day to be written before anything is sent; or all of them denied."""
        wanted = [parent for parent in parents if parent.outcome is None]
        if not wanted:
            return parents
        buys, sells = expected_notional(wanted, funds(account))
        equity = account.equity or run.plan.total_portfolio_value
        after, now = book.usage.plus(buys, sells), self._clock.now()
        refusal = plan_limit_denial(buys, sells, equity, self._config) or day_limit_denial(after, equity, self._config)
        if refusal is not None:
            self._log.emit(LogEvent.PLAN_DENIED, code=refusal.code, reason=refusal.message)
            return [parent.denied(refusal.code, refusal.message, now) for parent in parents]
        orders = tuple(ReservedOrder(p.symbol, p.side, p.qty, abs(p.planned_amount)) for p in wanted)
        run.reservation = Reservation(book.usage, after, StartedPlan(run.plan.plan_id, now, orders))
        return parents

    def _conflicting(self, plan: RebalancePlan, others: Iterable[BrokerOrder]) -> list[BrokerOrder]:
        sides = {item.symbol: blank_parent(item).side for item in plan.trades}
        return [order for order in others if conflicting(sides[order.symbol], [order])]

    def _cancel_others(
        self, plan: RebalancePlan, others: Sequence[BrokerOrder], deadline: Deadline
    ) -> Sequence[BrokerOrder]:
        """Cancel the orders of others that stand in the way, and wait; what is still open then is a conflict."""
        asked: set[str] = set()
        until = min(self._clock.now() + seconds(self._config.cancel_wait_seconds), deadline.stop_at)
        while against := self._conflicting(plan, others):
            for order in against:
                if order.id not in asked:
                    asked.add(order.id)
                    self._broker.cancel(order.id)
                    self._log.emit(LogEvent.FOREIGN_CANCEL_REQUESTED, symbol=order.symbol, order_id=order.id)
            if self._clock.now() + _SECOND_LOOK > until:
                break
            self._clock.sleep(_SECOND_LOOK)
            others = self._broker.open_orders([item.symbol for item in plan.trades])
        return others

    def _asset_flags(self, symbols: Sequence[str]) -> Mapping[str, Asset]:
        """Flags from the cache; what it lacks is asked of the broker, one request a symbol, and remembered."""
        known = dict(self._assets.get(symbols, now=self._clock.now()))
        learned: list[Asset] = []
        for symbol in symbols:
            if symbol in known:
                continue
            try:
                learned.append(self._broker.asset(symbol))
            except NotFound:
                continue  # the item is denied as NOT_TRADABLE
        if learned:
            try:
                self._assets.put(learned, now=self._clock.now())
            except JournalUnavailable as error:
                self._log.emit(LogEvent.ASSET_CACHE_WRITE_FAILED, reason=str(error))
        return known | {asset.symbol: asset for asset in learned}

    def _usable_quotes(self, symbols: Sequence[str], deadline: Deadline) -> dict[str, Quote]:
        """The quotes; while some cannot be used, all are read again for a bounded time, so that none grows old."""
        quotes = dict(self._broker.quotes(symbols)) if symbols else {}
        until = min(self._clock.now() + seconds(self._config.quote_wait_seconds), deadline.stop_at)
        while unusable := [s for s in symbols if self._problem(s, quotes.get(s))]:
            if self._clock.now() + _SECOND_LOOK > until:
                return quotes | last_trades(self._broker, unusable, self._config, self._clock.now())
            self._clock.sleep(_SECOND_LOOK)
            quotes |= self._broker.quotes(symbols)
        return quotes

    def _problem(self, symbol: str, quote: Quote | None) -> str | None:
        return quote_problem(quote, self._config.for_symbol(symbol), self._clock.now())

    def _log_start(self, plan: RebalancePlan, run: Run) -> None:
        parents = run.parents.values()
        self._log.emit(
            LogEvent.PLAN_STARTED,
            items=len(plan.items),
            parents=len(run.parents),
            denied=sum(parent.outcome is Outcome.DENIED for parent in parents),
            urgency=plan.execution_urgency,
            starting_funds=run.state.starting_funds,
        )
        for parent in parents:
            log_outcome(self._log, parent)
            if parent.outcome is None and parent.code is not None:
                self._log.emit(LogEvent.ITEM_SCALED, symbol=parent.symbol, code=parent.code, reason=parent.message)
