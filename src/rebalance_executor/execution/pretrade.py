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
    asset_denial,
    conflicting,
    parent_denial,
    switch_denial,
)
from rebalance_executor.domain.cost_model import Conditions, forecast
from rebalance_executor.domain.errors import BrokerUnavailable, ConfigurationError, JournalUnavailable, NotFound
from rebalance_executor.domain.forecast import CostForecast
from rebalance_executor.domain.journal import PlanPhase, PlanStart, PlanState, RunRecord
from rebalance_executor.domain.ladder import WaveSchedule
from rebalance_executor.domain.limits import ConflictPolicy
from rebalance_executor.domain.market import (
    ZERO,
    Account,
    Asset,
    Auction,
    BrokerOrder,
    MarketClock,
    Side,
    SymbolSnapshot,
)
from rebalance_executor.domain.order_ids import child_order_prefix
from rebalance_executor.domain.orders import Outcome, ParentOrder
from rebalance_executor.domain.plan import RebalancePlan, RebalancePlanItem, Urgency
from rebalance_executor.domain.plan_controls import (
    account_denial,
    binding_denial,
    day_limit_denial,
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
from rebalance_executor.execution.order_events import log_outcome, log_retargeted, log_scaled
from rebalance_executor.execution.ports import Lease
from rebalance_executor.execution.run import Run
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

    @property
    def trading_day(self) -> date | None:
        """The day whose session closes next; None if the account itself may not trade."""
        return _trading_day(self.clock) if self.clock is not None else None

    def auction_of(self, plan: RebalancePlan, item: RebalancePlanItem, config: ExecutionConfig) -> Auction | None:
        """Return the auction that an item of the plan is for, if any; the account may trade."""
        return auction_of(plan, item, self.clock, self.clock_lag, config) if self.clock is not None else None


def _trading_day(clock: MarketClock) -> date:
    return clock.next_close.date()


class PreTrade:
    """The checks and the sizing before a run trades on one account."""

    def __init__(self, access: AccountAccess) -> None:
        self._account = access.account
        self._broker = access.broker
        self._broker_kind = access.ports.broker_kind
        self._assets = access.ports.assets
        self._risk_store = access.ports.risk_store
        self._clock = access.clock
        self._log = access.log
        self._quotes = access.quotes
        self._holdings = access.holdings
        self._volumes = Volumes(access)
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
            permission = self.check_account(is_for_open=needs_opening_auction(plan))
            run = self.new_run(plan, lease, deadline, self._state(plan, lease, permission, source), {})
            run.work.start = PlanStart(plan)
            for parent in self._parents(run, permission):
                run.work.update_parent(parent)
            run.plan_ends_at = self._ends_at(run.state, run.parents.values())
            self.set_trading_hours(run, permission)
            for parent in run.unsettled():
                run.work.update_parent(replace(parent, forecast=self.forecast(run, parent)))
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

    def forecast(self, run: Run, parent: ParentOrder, schedule: WaveSchedule | None = None) -> CostForecast:
        """Return the forecast of a parent of a plan that starts now.

        Args:
            run: the run that sized the parent.
            parent: the parent, without an outcome.
            schedule: the schedule of its wave; by default that of the run.
        """
        average = self._volumes.known.get(parent.symbol)
        conditions = Conditions(
            quote=self._quotes.latest[parent.symbol],
            at=self._clock.now(),
            volume=average.shares if average is not None else None,
            volatility=average.volatility if average is not None else None,
            unknown_reason=self._volumes.unknown_reason if average is None else None,
            broker=self._broker_kind,
        )
        schedule = schedule or run.wave_schedule(parent.side)
        return forecast(parent, conditions, schedule, self._config.for_symbol(parent.symbol))

    # --- permission to trade -----------------------------------------------------------------------------

    def check_account(self, started: PlanState | None = None, *, is_for_open: bool = False) -> TradingPermission:
        """Read account and market clock; decide whether trading is allowed now.

        Args:
            started: the plan that is resumed, if any.
            is_for_open: the plan has orders for the opening auction, and is permitted before it.

        Raises:
            ConfigurationError: the plan started on another broker, or on another account of it.
            BrokerUnavailable: a read failed.
        """
        if started is not None and started.broker is not self._broker_kind:
            text = f"the broker is {self._broker_kind}, but the plan started on one that is {started.broker}"
            raise ConfigurationError("ALPACA_PAPER", f"{text}; set it and ALPACA_TRADING_URL as before")
        account = self._broker.account()
        number = started.account_number if started is not None else None
        if number is not None and account.account_number != number:  # before it is bound to this name
            text = f"the plan started on account {number}; the credentials now belong to another account"
            raise ConfigurationError("account_number", text)
        denial = account_denial(account, self._broker.expected_account_number) or self._binding_denial(account)
        if denial is not None:
            return TradingPermission(account, denial)
        asked_at = self._clock.now()  # before the request: a slow answer must not move the close
        clock = self._broker.clock()
        denial = session_denial(clock, extended_hours=self._config.extended_hours)
        if is_for_open and (started is not None or is_open_auction_ahead(clock, self._config)):
            denial = None  # a resumed plan that is of another day is denied for that
        return TradingPermission(account, denial, clock, asked_at - clock.now)

    def _binding_denial(self, account: Account) -> Denial | None:
        """Bind the broker account to this account's name at its first use; deny if it is bound to another name."""
        bound_to = self._risk_store.bind_account(self._account, account.account_number, self._clock.now())
        return binding_denial(self._account, bound_to, account.account_number)

    def set_trading_hours(self, run: Run, permission: TradingPermission) -> None:
        """Set the times at which the session closes and, if it has not started, opens; both by our clock."""
        clock = permission.clock
        run.next_open = clock.next_open if clock is not None else None
        if clock is None or permission.denial is not None:
            return
        run.closes_at = clock.next_close + permission.clock_lag
        run.opens_at = None if clock.is_open else clock.next_open + permission.clock_lag

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
            source=source,
        )

    def _parents(self, run: Run, permission: TradingPermission) -> Iterable[ParentOrder]:
        if permission.denial is not None:
            return self._deny_all(run.plan, permission.denial)
        if permission.clock is None:
            raise AssertionError("a permitted account has a market clock")
        risk = self._load_risk_state(run.lease.account, permission.clock)
        denial = self._risk_denial(risk)
        if denial is not None:
            return self._deny_all(run.plan, denial)
        account, others = permission.account, self._broker.open_orders()
        self._holdings.reserved = committed_by_others(others, child_order_prefix())
        run.work.update_state(starting_funds=self._holdings.starting_funds(account), reserved=self._holdings.reserved)
        symbols = {item.symbol for item in run.plan.trades}
        others = [order for order in others if order.symbol in symbols]
        if self._config.conflicting_orders is ConflictPolicy.CANCEL and self._conflicting(run.plan, others):
            others = self._cancel_others(run.plan, others, run.deadline)
            account = self._broker.account()  # including the dollars that the canceled orders held
            run.work.update_state(starting_funds=self._holdings.starting_funds(account))
        basis = SizingBasis.of(run.plan, account, self._config)
        run.work.update_state(equity=basis.equity)
