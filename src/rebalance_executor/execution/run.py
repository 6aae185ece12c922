"""One invocation's work on one plan: the plan, the times that bound it, and its mode."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from rebalance_executor.domain.auction import LAST_CALL, is_bound, is_for_close, is_for_opening, opens_at
from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.controls import Denial
from rebalance_executor.domain.decisions import Concluding, DecisionContext, RunMode, Working, Yielding
from rebalance_executor.domain.journal import PlanState
from rebalance_executor.domain.ladder import WaveSchedule, cross_by
from rebalance_executor.domain.market import Side
from rebalance_executor.domain.orders import ParentOrder
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.domain.slicing import is_large
from rebalance_executor.domain.strategy import next_slice_at
from rebalance_executor.execution.deadline import Deadline
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.outbox import Outbox
from rebalance_executor.execution.ports import EventLog, Lease, Ports
from rebalance_executor.execution.unit_of_work import UnitOfWork

DEADLINE_REASON = "stopped safely before the deadline"
"""Reason of a run that yields because its deadline is near."""

_RUNS_OF_A_PATIENT_PLAN = 2
"""Runs of the present length that large and patient orders may take. Lambda delivers an event three times at most; the
third run is for one that was killed."""


@dataclass(slots=True)
class Run:
    """A run. ``work`` contains the plan's journalled values, ``outbox`` the requests that are not sent yet."""

    plan: RebalancePlan
    lease: Lease
    deadline: Deadline
    work: UnitOfWork
    plan_ends_at: datetime
    """Time at which the plan's time limit passes."""
    outbox: Outbox = field(default_factory=Outbox)
    closes_at: datetime | None = None
    """Time at which the market closes, by this program's clock; None if unknown."""
    next_open: datetime | None = None
    """Time of the next open by the broker's clock; None if unknown."""
    opens_at: datetime | None = None
    """Time at which the regular session opens; None unless the run works before it."""
    denial: Denial | None = None
    """The denial because of which the run concludes; None if there is none."""
    buys_denial: Denial | None = None
    """The denial because of which the buys conclude while the sells are worked; None if there is none."""
    yielding: Yielding | None = None
    """The mode of a run that yields for a reason other than its deadline; None if there is none."""
    _places: dict[str, int] = field(init=False, repr=False)
    """Place of each symbol in the plan. It decides between equal priorities, in every run of the plan."""

    def __post_init__(self) -> None:
        """Number the plan's items."""
        self._places = {item.symbol: place for place, item in enumerate(self.plan.items)}

    # --- mode --------------------------------------------------------------------------------------------

    def mode_at(self, now: datetime) -> RunMode:
        """Return the run's mode. ``Yielding`` takes precedence. The run never returns to an earlier mode."""
        if self.is_stopping(now):
            return self.yielding or Yielding(DEADLINE_REASON, self.deadline.give_up_at)
        if self.denial is not None:
            return Concluding(self.denial.code, self.denial.message)
        if self.is_closed(now):
            return Concluding(Code.MARKET_CLOSED, "the market closed before the item was finished")
        if now >= self.plan_ends_at:
            return Concluding(Code.TIME_LIMIT, "the plan's time limit passed before the item was finished")
        return Working()

    def modes_of_sides(self, mode: RunMode) -> dict[Side, RunMode]:
        """Return the mode of each side in a run in this mode. They differ only while the account may sell only."""
        buys = mode
        if self.buys_denial is not None and isinstance(mode, Working):
            buys = Concluding(self.buys_denial.code, self.buys_denial.message)
        return {Side.SELL: mode, Side.BUY: buys}

    def conclude(self, denial: Denial, log: EventLog, side: Side | None = None) -> None:
        """Enter the mode ``Concluding`` and log it: no new order, open orders are canceled, every item is settled.

        With ``Side.BUY`` only the buys conclude.
        """
        if side is Side.BUY:
            self.buys_denial = denial
        else:
            self.denial = denial
        log.emit(LogEvent.RUN_CONCLUDING, code=denial.code, reason=denial.message)

    def yield_early(self, reason: str, now: datetime) -> None:
        """Enter the mode ``Yielding`` before the deadline: open orders are canceled, another delivery continues."""
        self.yielding = Yielding(reason, self.deadline.give_up_after(now))

    def check_stop_requested(self, ports: Ports) -> None:
        """Enter the mode ``Yielding`` if the caller asks the run to stop."""
        if self.yielding is None and ports.stop_requested():
            self.yield_early("stopped safely on request", ports.clock.now())

    def is_stopping(self, now: datetime) -> bool:
        """Return whether the run yields."""
        return self.yielding is not None or now >= self.deadline.stop_at

    def is_over(self, now: datetime) -> bool:
        """Return whether it is too late to send anything: the run yields, the market is closed, or time is up."""
        return self.is_stopping(now) or self.is_closed(now) or now >= self.plan_ends_at

    def is_closed(self, now: datetime) -> bool:
        """Return whether the session has ended."""
        return self.closes_at is not None and now >= self.closes_at

    def is_extended_hours(self, now: datetime) -> bool:
        """Return whether an order sent now must be marked for extended hours."""
        return self.opens_at is not None and now < self.opens_at

    def is_before_open(self, now: datetime) -> bool:
        """Return whether the plan started before an opening auction that is still to come."""
        return opens_at(self.parents.values(), now) is not None

    def mode_of(self, parent: ParentOrder, mode: RunMode, now: datetime) -> RunMode:
        """Return the mode of one parent in a run in this mode: an order rests past the close, until its auction."""
        is_timed_out = isinstance(mode, Concluding) and self.denial is None
        is_denied = parent.side is Side.BUY and self.buys_denial is not None
        return Working() if is_timed_out and not is_denied and is_bound(parent, now) else mode

    def awaits_more_funds(self, buy: ParentOrder, now: datetime) -> bool:
        """Return whether dollars for a buy in an auction may still come: from parents that are worked before it.

        A later buy, by priority and place, gets what this one leaves: it frees dollars only if it has an order.
        """
        if buy.auction is None or now >= buy.auction.cutoff - LAST_CALL or self.is_before_open(now):
            return False
        others = (p for p in self.unsettled() if p.symbol != buy.symbol and not is_bound(p, now))
        return any(self._turn(p) < self._turn(buy) or p.open_child is not None for p in others)

    def sells_of_gate(self, now: datetime) -> list[ParentOrder]:
        """Return the sells that the cash gate waits for: the proceeds of a closing auction come after the last buy."""
        return [p for p in self.unsettled(Side.SELL) if not (is_bound(p, now) and is_for_close(p))]

    # --- the plan ----------------------------------------------------------------------------------------

    @property
    def state(self) -> PlanState:
        """The plan's state."""
        return self.work.state

    @property
    def parents(self) -> dict[str, ParentOrder]:
        """The plan's parent orders by symbol."""
        return self.work.parents

    def unsettled(self, side: Side | None = None) -> list[ParentOrder]:
        """Return the parents without an outcome, of both sides or of one: sells first, by priority and place."""
        open_parents = (p for p in self.parents.values() if p.outcome is None and side in (None, p.side))
        return sorted(open_parents, key=self._turn)

    def _turn(self, parent: ParentOrder) -> tuple[bool, int, int]:
        """Return the parent's turn among all of the plan."""
        return parent.side is Side.BUY, parent.priority, self._places[parent.symbol]

    def between_slices(self, at: datetime, config: ExecutionConfig) -> set[str]:
        """Return the parents of which nothing is due at this time: they need no request and no quote."""
        unsettled = self.unsettled()
        contexts = {
            side: DecisionContext(at, schedule=self.wave_schedule(side, config)) for side in {p.side for p in unsettled}
        }
        return {
            parent.symbol
            for parent in unsettled
            if next_slice_at(parent, contexts[parent.side], config.for_symbol(parent.symbol)) is not None
        }

    def wave_schedule(self, side: Side, config: ExecutionConfig) -> WaveSchedule:
        """Return the schedule of this side's orders, which ends before the deadline, the close and the time limit."""
        unsettled = self.unsettled()
        buys_follow = side is Side.SELL and any(parent.side is Side.BUY for parent in unsettled)
        starts, stops = self.work.record.started_at, self.deadline.stop_at
        plan_ends = min(end for end in (self.plan_ends_at, self.closes_at) if end is not None)
        opened = (p.auction.at for p in self.parents.values() if p.auction is not None and is_for_opening(p))
        plan_starts = max([self.state.started_at, *opened])  # nothing is worked before the open
        in_runs = plan_starts + _RUNS_OF_A_PATIENT_PLAN * (stops - starts)
        return WaveSchedule(
            urgency=self.plan.execution_urgency,
            cross_by=cross_by(starts, min(stops, plan_ends), buys_follow=buys_follow),
            plan_cross_by=cross_by(plan_starts, min(in_runs, plan_ends), buys_follow=buys_follow),
            starts=starts,
            parents=sum(parent.side is side or parent.open_child is not None for parent in unsettled),
            large=max(1, sum(is_large(parent, config.for_symbol(parent.symbol)) for parent in self.parents.values())),
        )
