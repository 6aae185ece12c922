"""The pre-trade step: decides whether the account may trade now, and sizes every item to a parent order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from rebalance_executor.domain.auction import (
    auction_of,
    in_whole_shares,
    is_open_auction_ahead,
    needs_opening_auction,
    plan_ends_at,
)
from rebalance_executor.domain.cash import committed_by_others, expected_notional
from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.controls import (
    Denial,
    PlanContext,
    conflicting,
    parent_denial,
    switch_denial,
)
from rebalance_executor.domain.errors import ConfigurationError
from rebalance_executor.domain.journal import PlanPhase, PlanStart, PlanState, RunRecord
from rebalance_executor.domain.limits import ConflictPolicy
from rebalance_executor.domain.market import (
    ZERO,
    Account,
    Auction,
    BrokerOrder,
    MarketClock,
    Side,
    SymbolSnapshot,
)
from rebalance_executor.domain.order_ids import PREFIX
from rebalance_executor.domain.orders import Outcome, ParentOrder
from rebalance_executor.domain.plan import RebalancePlan, RebalancePlanItem, Urgency
from rebalance_executor.domain.plan_controls import (
    account_denial,
    binding_denial,
    day_limit_denial,
    deployment_denial,
    plan_limit_denial,
    plans_denial,
    session_denial,
)
from rebalance_executor.domain.risk_state import Reservation, ReservedOrder, RiskState, StartedPlan
from rebalance_executor.domain.sizing import blank_parent, round_whole_shares, size
from rebalance_executor.domain.targets import SizingBasis
from rebalance_executor.domain.values import seconds
from rebalance_executor.execution.account_access import AccountAccess
from rebalance_executor.execution.deadline import Deadline
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.forecasts import Forecasts
from rebalance_executor.execution.order_events import log_outcome, log_retargeted, log_scaled
from rebalance_executor.execution.ports import BrokerReads, EarlyAnswers, Lease, ReadSet
from rebalance_executor.execution.run import Run
from rebalance_executor.execution.symbol_data import SymbolData
from rebalance_executor.execution.unit_of_work import UnitOfWork
from rebalance_executor.execution.volumes import Volumes

_CANCEL_POLL_INTERVAL = timedelta(seconds=1)
"""Time between two reads while orders of other clients are being canceled."""


@dataclass(frozen=True, slots=True)
class TradingPermission:
    """The account as it is now, with the denial that forbids trading, if any."""

    account: Account
    denial: Denial | None
    clock: MarketClock | None = None
    """The market clock; None if the account itself may not trade."""
    clock_lag: timedelta = timedelta()
    """Time by which the broker's clock is behind this program's; never overestimated."""
    clock_lag_at_most: timedelta = timedelta()
    """The same, never underestimated: what must not happen before a time is judged by it."""

    @property
    def trading_day(self) -> date | None:
        """The day whose session closes next; None if the account itself may not trade."""
        return _trading_day(self.clock) if self.clock is not None else None

    @property
    def session_day(self) -> date:
        """The date of the session that is open, or of the next one: the same in UTC and in New York.

        It is ``trading_day``, except in a simulated market that never closes: there the day is that of the clock.

        Raises:
            AssertionError: the account itself may not trade.
        """
        if self.clock is None:
            raise AssertionError("a permitted account has a market clock")
        return (self.clock.now if self.clock.is_open else self.clock.next_open).date()

    def auction_of(self, plan: RebalancePlan, item: RebalancePlanItem, config: ExecutionConfig) -> Auction | None:
        """Return the auction that an item of the plan is for, if any; the account may trade."""
        lags = (self.clock_lag, self.clock_lag_at_most)
        return auction_of(plan, item, self.clock, lags, config) if self.clock is not None else None


def _opening_reads(plan: RebalancePlan) -> ReadSet:
    symbols = [item.symbol for item in plan.trades]
    return ReadSet(permission=True, open_orders=True, positions=True, quotes_of=symbols)


def _trading_day(clock: MarketClock) -> date:
    return clock.next_close.date()


class PreTrade:
    """The checks and the sizing before a run trades on one account."""

    def __init__(self, access: AccountAccess) -> None:
        self._account = access.account
        self._broker = access.broker
        self._broker_kind = access.ports.broker_kind
        self._deployment = access.ports.deployment
        self._risk_store = access.ports.risk_store
        self._clock = access.clock
        self._log = access.log
        self._holdings = access.holdings
        self._symbol_data = SymbolData(access)
        self._volumes = Volumes(access)
        self.forecasts = Forecasts(access, self._volumes)
        self._kill_switch = access.kill_switch
        self._config = access.config

    def start(self, plan: RebalancePlan, lease: Lease, deadline: Deadline, source: str | None = None) -> Run:
        """Return the run of a plan that starts now: every item is sized to a frozen parent order, or denied.

        Args:
            plan: the plan.
            lease: the lease of its account.
            deadline: the end of the invocation.
            source: the object version in S3 that the plan was read from, if it was not delivered inline.

        Raises:
            InvalidInput: the configuration sizes by weight, and the weights of the plan do not suit that.
            BrokerUnavailable, JournalUnavailable: a read failed; nothing was sent.
        """
        plan.check_weights(self._config.size_by)
        if not plan.trades:  # a plan of HOLDs needs nothing from the broker
            run = self.new_run(plan, lease, deadline, self._state(plan, lease, None, source), {})
        else:
            early = self._broker.ask(_opening_reads(plan))
            permission = self.check_account(early, is_for_open=needs_opening_auction(plan))
            run = self.new_run(plan, lease, deadline, self._state(plan, lease, permission, source), {})
            run.work.start = PlanStart(plan)
            for parent in self._parents(run, permission, early):
                run.work.update_parent(parent)
            run.plan_ends_at = self._ends_at(run.state, run.parents.values())
            self.set_trading_hours(run, permission)
            self.forecasts.add_to(run)
        self._log_start(run)
        return run

    def new_run(
        self,
        plan: RebalancePlan,
        lease: Lease,
        deadline: Deadline,
        state: PlanState,
        parents: dict[str, ParentOrder],
    ) -> Run:
        """Return a run on these parents, with a new run record."""
        record = RunRecord(epoch=lease.epoch, run_id=lease.run_id, started_at=self._clock.now())
        return Run(plan, lease, deadline, UnitOfWork(state, record, parents), self._ends_at(state, parents.values()))

    def _ends_at(self, state: PlanState, parents: Iterable[ParentOrder]) -> datetime:
        return plan_ends_at(parents, state.started_at, seconds(self._config.plan_time_limit_minutes * 60))

    # --- permission to trade -----------------------------------------------------------------------------

    def check_resumed(self, started: PlanState, *, is_for_open: bool) -> TradingPermission:
        """Decide whether a plan that was started before may trade now.

        Raises:
            ConfigurationError, BrokerUnavailable: as for ``check_account``.
        """
        return self.check_account(self._broker.ask(ReadSet(permission=True)), started, is_for_open=is_for_open)

    def check_account(
        self, early: EarlyAnswers, started: PlanState | None = None, *, is_for_open: bool = False
    ) -> TradingPermission:
        """Take account and market clock from the early answers; decide whether trading is allowed now.

        Args:
            early: answers that contain both.
            started: the plan that is resumed, if any.
            is_for_open: the plan has orders for the opening auction, and is permitted before it.

        Raises:
            ConfigurationError: the plan started on another broker, or on another account of it.
            BrokerUnavailable: a read failed.
        """
        if started is not None and started.broker is not self._broker_kind:
            text = f"the broker is {self._broker_kind}, but the plan started on one that is {started.broker}"
            raise ConfigurationError("ALPACA_PAPER", f"{text}; set it and ALPACA_TRADING_URL as before")
        account = early.reads.account()
        number = started.account_number if started is not None else None
        if number is not None and account.account_number != number:  # before it is bound to this name
            text = f"the plan started on account {number}; the credentials now belong to another account"
            raise ConfigurationError("account_number", text)
        reads = early.reads if started is None else None
        denial = account_denial(account, self._broker.expected_account_number) or self._binding_denial(account, reads)
        if denial is not None:
            return TradingPermission(account, denial)
        clock = early.reads.clock()
        denial = session_denial(clock, extended_hours=self._config.extended_hours)
        if is_for_open and (started is not None or is_open_auction_ahead(clock, self._config)):
            denial = None  # a resumed plan that is of another day is denied for that
        # By the time before the requests, a slow answer must not delay the close; by the time after, hasten the open.
        return TradingPermission(account, denial, clock, early.asked_at - clock.now, self._clock.now() - clock.now)

    def _binding_denial(self, account: Account, reads: BrokerReads | None) -> Denial | None:
        """Bind the broker account to this account's name at its first use; deny if another name or deployment has it.

        ``reads`` are those of a plan that starts. A resumed one finishes its orders in any case.
        """
        number = account.account_number
        binding = self._risk_store.bind_account(self._account, number, self._clock.now())
        denial = binding_denial(self._account, binding.account, number)
        if denial is not None or reads is None:
            return denial
        return deployment_denial(reads.recent_orders(), binding, number, self._deployment)

    def set_trading_hours(self, run: Run, permission: TradingPermission) -> None:
        """Set the times at which the session closes and, if it has not started, opens; both by our clock."""
        clock = permission.clock
        run.next_open = clock.next_open if clock is not None else None
        if clock is None or permission.denial is not None:
            return
        run.closes_at = clock.next_close + permission.clock_lag
        run.opens_at = None if clock.is_open else clock.next_open + permission.clock_lag_at_most

    def _load_risk_state(self, account: str, clock: MarketClock) -> RiskState:
        """Read kill switch and daily usage; the trading day is the one whose session closes next."""
        now = self._clock.now()
        risk = self._risk_store.load(account, _trading_day(clock))
        self._kill_switch.prime(risk.kill_switch, now)
        return risk

    def _risk_denial(self, risk: RiskState) -> Denial | None:
        """Deny if the account is halted or started too many plans today; too many plans also halt the account."""
        halted = switch_denial(risk.kill_switch)
        if halted is not None:
            return halted
        too_many = plans_denial(risk, self._config)
        if too_many is not None:
            self._kill_switch.trip(too_many.message)
        return too_many

    # --- parents -----------------------------------------------------------------------------------------

    def _state(
        self, plan: RebalancePlan, lease: Lease, permission: TradingPermission | None, source: str | None
    ) -> PlanState:
        return PlanState(
            account=lease.account,
            plan_id=plan.plan_id,
            content_hash=plan.content_hash,
            correlation_id=plan.correlation_id,
            causation_id=plan.causation_id,
            started_at=self._clock.now(),
            phase=PlanPhase.SELLS,
            runs=1,
            size_by=plan.sized_by(self._config.size_by),
            starting_funds=self._holdings.starting_funds(permission.account) if permission is not None else ZERO,
            broker=self._broker_kind,
            account_number=permission.account.account_number if permission is not None else None,
            trading_day=permission.trading_day if permission is not None else None,
            urgency=plan.execution_urgency,
            source=source,
        )

    def _parents(self, run: Run, permission: TradingPermission, early: EarlyAnswers) -> Iterable[ParentOrder]:
        if permission.denial is not None:
            return self._deny_all(run.plan, permission.denial)
        if permission.clock is None:
            raise AssertionError("a permitted account has a market clock")
        risk = self._load_risk_state(run.lease.account, permission.clock)
        denial = self._risk_denial(risk)
        if denial is not None:
            return self._deny_all(run.plan, denial)
        account, others = permission.account, early.reads.open_orders()
        self._holdings.reserved = committed_by_others(others, PREFIX)
        run.work.update_state(starting_funds=self._holdings.starting_funds(account), reserved=self._holdings.reserved)
        symbols = {item.symbol for item in run.plan.trades}
        others = [order for order in others if order.symbol in symbols]
        if self._config.conflicting_orders is ConflictPolicy.CANCEL and self._conflicting(run.plan, others):
            others = self._cancel_others(run.plan, others, run.deadline)
            account = self._holdings.read_account(())  # including the dollars that the canceled orders held
            run.work.update_state(starting_funds=self._holdings.starting_funds(account))
        else:
            self._holdings.note_account(account, early.asked_at)
        basis = SizingBasis.of(run.plan, account, self._config)
        run.work.update_state(equity=basis.equity)
        snapshots = self._symbol_data.read(run.plan, early, others, permission.session_day, run.deadline.stop_at)
        parents = self._reserve(run, self._size(run, permission, risk, snapshots, basis), risk, account)
        self._volumes.read(parents, permission.session_day)
        return self._volumes.add_to(parents, is_sliced=run.plan.execution_urgency is not Urgency.URGENT)

    def _deny_all(self, plan: RebalancePlan, denial: Denial) -> list[ParentOrder]:
        now = self._clock.now()
        self._log.emit(LogEvent.PLAN_DENIED, code=denial.code, reason=denial.message)
        return [blank_parent(item).denied(denial.code, denial.message, now) for item in plan.trades]

    def _size(
        self,
        run: Run,
        permission: TradingPermission,
        risk: RiskState,
        snapshots: Mapping[str, SymbolSnapshot],
        basis: SizingBasis,
    ) -> list[ParentOrder]:
        now = self._clock.now()
        context = PlanContext(run.plan, risk, self._config, now)
        items = {item.symbol: item for item in run.plan.trades}

        def denied(parent: ParentOrder) -> Denial | None:
            return parent_denial(parent, items[parent.symbol], snapshots[parent.symbol], context)

        def sized(item: RebalancePlanItem) -> ParentOrder:
            """Return the parent of an item, denied if a control denies it."""
            auction = permission.auction_of(run.plan, item, self._config)
            snapshot = in_whole_shares(snapshots[item.symbol], auction, self._config)
            parent = replace(size(item, snapshot, self._config, now, basis), auction=auction)
            denial = denied(parent) if parent.outcome is None else None
            return parent if denial is None else parent.denied(denial.code, denial.message, now)

        def is_allowed(parent: ParentOrder) -> bool:
            is_held = parent.side is Side.BUY or parent.qty <= snapshots[parent.symbol].available
            return is_held and denied(parent) is None

        return round_whole_shares([sized(item) for item in run.plan.trades], is_allowed)

    def _reserve(self, run: Run, parents: list[ParentOrder], risk: RiskState, account: Account) -> list[ParentOrder]:
        """Reserve the plan's share of the trading day, or deny all parents if a limit would be exceeded.

        The reservation is written with the first journal write, before anything is sent.
        """
        open_parents = [parent for parent in parents if parent.outcome is None]
        if not open_parents:
            return parents
        buys, sells = expected_notional(open_parents, self._holdings.funds(account))
        equity = account.equity or run.plan.total_portfolio_value
        after, now = risk.usage.plus(buys, sells), self._clock.now()
        denial = plan_limit_denial(buys, sells, equity, self._config) or day_limit_denial(after, equity, self._config)
        if denial is not None:
            self._log.emit(LogEvent.PLAN_DENIED, code=denial.code, reason=denial.message)
            return [parent.denied(denial.code, denial.message, now) for parent in parents]
        orders = tuple(ReservedOrder(p.symbol, p.side, p.qty, abs(p.requested_amount)) for p in open_parents)
        run.work.reserve(Reservation(risk.usage, after, StartedPlan(run.plan.plan_id, now, orders)))
        return parents

    # --- orders of others, assets ------------------------------------------------------------------------

    def _conflicting(self, plan: RebalancePlan, others: Iterable[BrokerOrder]) -> list[BrokerOrder]:
        sides = {item.symbol: blank_parent(item).side for item in plan.trades}
        return [order for order in others if conflicting(sides[order.symbol], [order])]

    def _cancel_others(
        self, plan: RebalancePlan, others: Sequence[BrokerOrder], deadline: Deadline
    ) -> Sequence[BrokerOrder]:
        """Cancel conflicting orders of other clients and wait; return the orders that are still open afterwards."""
        requested: set[str] = set()
        until = min(self._clock.now() + seconds(self._config.cancel_wait_seconds), deadline.stop_at)
        while conflicts := self._conflicting(plan, others):
            for order in conflicts:
                if order.id not in requested:
                    requested.add(order.id)
                    self._broker.cancel(order.id)
                    self._log.emit(LogEvent.FOREIGN_CANCEL_REQUESTED, symbol=order.symbol, order_id=order.id)
            if self._clock.now() + _CANCEL_POLL_INTERVAL > until:
                break
            self._clock.sleep(_CANCEL_POLL_INTERVAL)
            others = self._broker.open_orders([item.symbol for item in plan.trades])
        return others

    def _log_start(self, run: Run) -> None:
        parents = run.parents.values()
        self._log.emit(
            LogEvent.PLAN_STARTED,
            items=len(run.plan.items),
            parents=len(run.parents),
            denied=sum(parent.outcome is Outcome.DENIED for parent in parents),
            urgency=run.plan.execution_urgency,
            size_by=run.state.size_by,
            equity=run.state.equity,
            starting_funds=run.state.starting_funds,
        )
        for parent in parents:
            log_outcome(self._log, parent)
            log_retargeted(self._log, parent)
            if parent.outcome is None and parent.code not in (None, Code.VOLUME_UNKNOWN):
                log_scaled(self._log, parent)
