"""How a plan is begun: may this account trade now, and what does each item become?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rebalance_executor.domain.cash import funds
from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.errors import JournalUnavailable, NotFound, PlanExpired
from rebalance_executor.domain.journal import Phase, PlanState, RunRecord
from rebalance_executor.domain.market import ZERO, Account, Asset, Quote
from rebalance_executor.domain.orders import Outcome, ParentOrder
from rebalance_executor.domain.plan import RebalancePlan, RebalancePlanItem
from rebalance_executor.domain.session import EARLY_HOURS
from rebalance_executor.domain.sizing import SymbolFacts, blank_parent, size
from rebalance_executor.domain.values import plain, span
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.executor import tell_outcome
from rebalance_executor.execution.ports import AssetCache, Broker, Clock, EventLog, Lease
from rebalance_executor.execution.run import Deadline, Run

_SECOND_LOOK = timedelta(seconds=1)
"""Between two looks at a quote that could not be used."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why nothing may be traded on the account now."""

    code: Code
    message: str


def check_fresh(plan: RebalancePlan, now: datetime, config: ExecutionConfig) -> None:
    """A plan is begun only while it is fresh (a plan already begun may go on).

    Raises:
        PlanExpired: too old, past its ``valid_until``, or from the future.
    """
    age = now - plan.timestamp
    if age > span(config.max_plan_age_minutes * 60):
        minutes = plain(config.max_plan_age_minutes)
        raise PlanExpired(
            "timestamp", f"{plan.timestamp.isoformat()} is more than {minutes} minutes ago; make the plan anew"
        )
    if age < -span(config.max_clock_skew_seconds):
        raise PlanExpired("timestamp", f"{plan.timestamp.isoformat()} lies in the future; check the sender's clock")
    if plan.valid_until is not None and now > plan.valid_until:
        raise PlanExpired("valid_until", f"{plan.valid_until.isoformat()} has passed; make the plan anew")


class Opening:
    """Reads what is needed to begin (or resume) a plan on one account."""

    def __init__(
        self, broker: Broker, assets: AssetCache, clock: Clock, log: EventLog, config: ExecutionConfig
    ) -> None:
        self._broker = broker
        self._assets = assets
        self._clock = clock
        self._log = log
        self._config = config
        self.quotes: dict[str, Quote] = {}
        """The quotes that the parents were sized with."""
        self.opens_at: datetime | None = None
        """When the regular session opens, where the account may trade before it."""

    def begin(self, plan: RebalancePlan, lease: Lease, deadline: Deadline) -> Run:
        """The run of a plan that is begun now: every item sized to a frozen parent, or denied."""
        parents: dict[str, ParentOrder] = {}
        account, closes_at = None, None
        if plan.trades:  # a plan of HOLDs asks the broker nothing
            account, refusal, closes_at = self.may_trade()
            parents = self._refuse(plan, refusal) if refusal is not None else self._size(plan, deadline)
        state = PlanState(
            account=lease.account,
            plan_id=plan.plan_id,
            content_hash=plan.content_hash,
            correlation_id=plan.correlation_id,
            causation_id=plan.causation_id,
            begun_at=self._clock.now(),
            phase=Phase.SELLS,
            runs=1,
            starting_funds=funds(account) if account is not None else ZERO,
            account_number=account.account_number if account is not None else None,
        )
        run = self.run(plan, lease, deadline, state, {})
        for parent in parents.values():
            run.put(parent)
        run.closes_at, run.opens_at = closes_at, self.opens_at
        self._tell(plan, run)
        return run

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

    def may_trade(self) -> tuple[Account, Refusal | None, datetime | None]:
        """The account, why it may not trade now (or None), and when the market closes.

        Before the open it may where ``extended_hours`` says so; ``opens_at`` then tells until when.
        """
        account = self._broker.account()
        expected = self._broker.expected_account_number
        if expected is not None and account.account_number != expected:
            text = f"the credentials lead to account {account.account_number}, {expected} is configured"
            return account, Refusal(Code.ACCOUNT_MISMATCH, text), None
        if account.blocked_by is not None:
            text = f"the broker's account is blocked: {account.blocked_by}"
            return account, Refusal(Code.ACCOUNT_BLOCKED, text), None
        clock = self._broker.clock()
        early = not clock.is_open and clock.now >= clock.next_open - EARLY_HOURS and self._config.extended_hours
        if early:
            self.opens_at = self._clock.now() + (clock.next_open - clock.now)
        elif not clock.is_open:
            text = f"the market is closed, it opens at {clock.next_open.isoformat()}"
            return account, Refusal(Code.MARKET_CLOSED, text), None
        return account, None, self._clock.now() + (clock.next_close - clock.now)

    def _refuse(self, plan: RebalancePlan, refusal: Refusal) -> dict[str, ParentOrder]:
        now = self._clock.now()
        self._log.emit(LogEvent.PLAN_REFUSED, code=refusal.code, reason=refusal.message)
        return {
            item.symbol: blank_parent(item).settled(Outcome.DENIED, refusal.code, refusal.message, now)
            for item in plan.trades
        }

    def _size(self, plan: RebalancePlan, deadline: Deadline) -> dict[str, ParentOrder]:
        symbols = [item.symbol for item in plan.trades]
        positions = self._broker.positions()
        open_orders = self._broker.open_orders(symbols)
        assets = self._asset_flags(symbols)
        self.quotes = self._usable_quotes([s for s in symbols if s in assets], deadline)

        def facts(item: RebalancePlanItem) -> SymbolFacts:
            return SymbolFacts(
                asset=assets.get(item.symbol),
                quote=self.quotes.get(item.symbol),
                position=positions.get(item.symbol),
                others=[order for order in open_orders if order.symbol == item.symbol],
            )

        now = self._clock.now()
        return {item.symbol: size(item, facts(item), self._config, now) for item in plan.trades}

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
                self._log.emit(LogEvent.CACHE_FAILED, reason=str(error))
        return known | {asset.symbol: asset for asset in learned}

    def _usable_quotes(self, symbols: Sequence[str], deadline: Deadline) -> dict[str, Quote]:
        """The quotes; those that cannot be used are looked at again for a bounded time."""
        quotes = dict(self._broker.quotes(symbols)) if symbols else {}
        until = min(self._clock.now() + span(self._config.quote_wait_seconds), deadline.stop_at)
        while unusable := [s for s in symbols if (q := quotes.get(s)) is None or q.problem is not None]:
            if self._clock.now() + _SECOND_LOOK > until:
                break
            self._clock.sleep(_SECOND_LOOK)
            quotes |= self._broker.quotes(unusable)
        return quotes

    def _tell(self, plan: RebalancePlan, run: Run) -> None:
        parents = run.parents.values()
        self._log.emit(
            LogEvent.PLAN_BEGUN,
            items=len(plan.items),
            parents=len(run.parents),
            denied=sum(parent.outcome is Outcome.DENIED for parent in parents),
            urgency=plan.execution_urgency,
            starting_funds=run.state.starting_funds,
        )
        for parent in parents:
            tell_outcome(self._log, parent)
            if parent.outcome is None and parent.code is not None:
                self._log.emit(LogEvent.ORDER_SCALED, symbol=parent.symbol, code=parent.code, reason=parent.message)
