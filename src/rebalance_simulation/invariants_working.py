"""Invariants of how an order is worked: its limits, slices, share of the volume, patience, and orders below a share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal

from paper_broker.formats import nanoseconds, to_datetime
from paper_broker.orders import Order
from rebalance_executor.adapters.dynamodb import journal_items
from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.config import SESSION_MINUTES, ExecutionConfig
from rebalance_executor.domain.journal import PlanState
from rebalance_executor.domain.market import ZERO, Side
from rebalance_executor.domain.orders import ChildOrder, ChildState, Outcome, ParentOrder
from rebalance_executor.domain.plan import Action, RebalancePlan, Urgency
from rebalance_executor.domain.pricing import collar, is_inside
from rebalance_executor.domain.result import OrderResult
from rebalance_executor.domain.styles import OrderStyle
from rebalance_executor.domain.values import seconds
from rebalance_simulation.calls import Submission
from rebalance_simulation.faults import EnvironmentEvent, Situation
from rebalance_simulation.invariants_account import PlanKey
from rebalance_simulation.violation import Violation
from rebalance_simulation.world_view import WorldView

_ROUND_TRIP = timedelta(seconds=2)
"""Longest time between a decision and its request or its write, and difference between two readings of the clock."""
_CLOCK_READING = timedelta(seconds=15)
"""Longest reading of the market clock, by which the close can seem earlier."""
_REQUESTS_PER_SLICE = 3
"""A submission, a cancel, and the second reading of its end."""
_RUNS = 2
"""Runs over which a large order may be spread."""
_BEFORE_LAST_RUNG = Decimal("0.75")
"""Part of the time of an order that is not reserved for its last rung."""
_REMARKS = (None, Code.HORIZON_SHORTENED, Code.VOLUME_UNKNOWN)
"""Codes that do not explain why an item was not filled."""
_TRADES_OF_OTHERS = (
    EnvironmentEvent.FOREIGN_ORDER,
    EnvironmentEvent.POSITION_CLOSED,
    EnvironmentEvent.POSITION_HALVED,
    EnvironmentEvent.OWN_ORDER_CHANGED,
)


@dataclass(frozen=True, slots=True)
class _Horizon:
    """The time over which a large order is spread, and its largest slice."""

    starts: datetime
    ends: datetime
    ends_at_the_latest: datetime
    """The end if nothing shortens it."""
    slice: Decimal

    def most(self, qty: Decimal, now: datetime) -> Decimal:
        """Return the shares that are due by now in proportion to the time, one slice, and a share for two clocks."""
        if now + _ROUND_TRIP >= self.ends:
            return qty
        return min(qty, qty * Decimal((now - self.starts) / (self.ends - self.starts)) + self.slice + 1)


class WorkingInvariants:
    """Checks of orders as they are sent and as they end.

    Args:
        world: the world to check. Every check raises ``Violation`` if an invariant is broken.
    """

    def __init__(self, world: WorldView) -> None:
        self._world = world
        self._plans: dict[PlanKey, RebalancePlan | None] = {}
        self._first_runs: dict[tuple[PlanKey, str], str] = {}
        """The run that sent the first order of an item."""

    def note_plan(self, key: PlanKey, plan: RebalancePlan | None) -> None:
        """Note a plan at its start."""
        self._plans[key] = plan

    # --- orders as they arrive ---------------------------------------------------------------------------

    def check_limits(self, order: Order, parent: ParentOrder, child: ChildOrder) -> None:
        """Check that the configuration allows a new order at the broker: collar, symbol and size."""
        config = self._world.config.for_symbol(order.symbol)
        if order.limit_price is not None and parent.arrival is not None:
            bound = collar(parent.side, parent.arrival, config.price_collar)
            if not is_inside(parent.side, order.limit_price, bound):
                raise Violation(f"{order.client_order_id}: limit {order.limit_price} exceeds the collar at {bound}")
        is_allowed = config.allowed_symbols is None or order.symbol in config.allowed_symbols
        if not is_allowed or order.symbol in config.restricted_symbols:
            raise Violation(f"{order.symbol} is traded although it is restricted")
        dollars = child.qty * (order.limit_price or child.mid or ZERO)
        if config.max_order_dollars is not None and dollars > config.max_order_dollars:
            raise Violation(f"{order.client_order_id}: {dollars} dollars exceed the limit {config.max_order_dollars}")

    # --- orders as they are sent -------------------------------------------------------------------------

    def check_submission(
        self, state: PlanState, parent: ParentOrder, child: ChildOrder, body: Submission, orders: Sequence[Order]
    ) -> None:
        """Check an order that is about to be sent against the earlier ones of its item at the broker."""
        self._count(state, parent, child, body)
        self._check_display(body)
        if self._world.config.for_symbol(parent.symbol).order_style is OrderStyle.LADDER and parent.qty < 1:
            self._check_below_one_share(state, parent, child)
        horizon = self._horizon(state, parent)
        if horizon is None or child.resent:
            return
        others = [order for order in orders if order.client_order_id != child.client_order_id]
        sent = child.qty + sum((_exposed(order) for order in others), ZERO)
        now = self._world.clock.now()
        if sent > (most := horizon.most(parent.qty, now)):
            raise Violation(
                f"{child.client_order_id}: {sent} shares are sent, {most} are due with one slice: {horizon}"
            )
        by_volume = self._by_volume(parent, now - horizon.starts)
        # A parent for no more than is displayed is sent at once: as much of a larger one may be taken at any time.
        if by_volume is not None and sent > max(by_volume + horizon.slice, parent.displayed):
            raise Violation(f"{child.client_order_id}: {sent} shares are sent, the volume allows {by_volume}")
        if now >= horizon.ends_at_the_latest + _ROUND_TRIP and sent < parent.qty and self._holds_all(parent, horizon):
            raise Violation(f"{child.client_order_id}: only {sent} of {parent.qty} shares after the horizon: {horizon}")

    def _holds_all(self, parent: ParentOrder, horizon: _Horizon) -> bool:
        """Return whether the remainder of a sell can be sold as a whole: no volume, lag or other trade bounds it."""
        world = self._world
        positions = {position["symbol"]: position for position in world.exchange.positions()}
        is_late = (
            world.exchange.account_settings.positions_lag_seconds or world.exchange.account_settings.account_lag_seconds
        )
        if parent.side is Side.BUY or is_late:
            return False
        by_volume = self._by_volume(parent, horizon.ends - horizon.starts)
        if by_volume is not None and by_volume < parent.qty:
            return False
        is_disturbed = any(world.event_counts[event] for event in _TRADES_OF_OTHERS)
        held = Decimal(positions[parent.symbol]["qty"]) if parent.symbol in positions else ZERO
        return not is_disturbed and held >= parent.qty - parent.filled_qty

    @staticmethod
    def _check_display(body: Submission) -> None:
        """Check that no more of an order is displayed than its quantity, and only of limits."""
        routing = body.get("advanced_instructions")
        if routing is None:
            return
        if body["type"] != "limit" or Decimal(routing["display_qty"]) > Decimal(body["qty"]):
            raise Violation(f"{body['client_order_id']} of {body['qty']} shares displays {routing['display_qty']}")

    def _check_below_one_share(self, state: PlanState, parent: ParentOrder, child: ChildOrder) -> None:
        """Check that an order below one share crosses at once, and that no other follows while the touch stays."""
        if child.limit_price is None or child.bid is None or child.ask is None or child.bid == child.ask:
            return
        touch = child.ask if parent.side is Side.BUY else child.bid
        if not is_inside(parent.side, touch, child.limit_price):
            raise Violation(
                f"{child.client_order_id} rests at {child.limit_price} for {child.qty}, the touch is {touch}"
            )
        run_started_at = self._run_started_at(state)
        for earlier in parent.children:
            is_same = earlier.ask == child.ask if parent.side is Side.BUY else earlier.bid == child.bid
            is_of_this_run = run_started_at is not None and earlier.intended_at >= run_started_at
            was_sent = earlier.attempt < child.attempt and earlier.state is not ChildState.NOT_SENT
            filled_before = sum((c.filled_qty for c in parent.children if c.attempt < earlier.attempt), ZERO)
            # Dollars for the rest may have come since; or the item was reduced to less than a share since.
            is_repeated = earlier.qty < 1 and earlier.qty + filled_before >= parent.qty
            if was_sent and is_repeated and is_same and is_of_this_run and _was_given_up(earlier):
                raise Violation(f"{child.client_order_id} replaces an order below one share at the same touch {touch}")

    # --- the end of an item ------------------------------------------------------------------------------

    def check_end(self, state: PlanState, before: ParentOrder, after: ParentOrder, orders: Sequence[Order]) -> None:
        """Check the reason for which an item is given up, as it is journalled."""
        if before.outcome is not None or after.outcome is None:
            return
        cut = replace(before, qty=after.qty)  # the cash gate may have cut it in the same write
        horizon, now = self._horizon(state, cut), self._world.clock.now()
        if after.code == Code.PARTICIPATION_LIMIT:
            # An order that was lost, or journalled again to be sent again, does not begin the time.
            starts = (c.intended_at for c in after.children if c.state is not ChildState.NOT_SENT)
            ended = after.settled_at or now  # the write may follow much later
            elapsed = max(timedelta(), ended - next(starts, ended) - _ROUND_TRIP)
            by_volume = self._by_volume(after, elapsed) if self._is_in_slices(state, cut) else None
            if by_volume is None or by_volume >= after.qty:
                raise Violation(f"{after.symbol} ends as {after.code}, the volume allows {by_volume} shares")
        config = self._world.config.for_symbol(after.symbol)
        is_ladder = config.order_style is OrderStyle.LADDER and after.qty >= 1
        if after.code != Code.ATTEMPTS_EXHAUSTED or not is_ladder:
            return
        pieces = 1 if horizon is None else int(after.qty / horizon.slice)
        if before.attempts >= config.max_children * pieces:
            return
        if horizon is not None and now + _ROUND_TRIP < horizon.ends:
            raise Violation(f"{after.symbol} is given up at {now}, within its horizon: {horizon}")
        last = max(_fill_times(orders), default=None)
        since = None if last is None else self._world.clock.world() - last
        if since is not None and since < seconds(config.last_rung_seconds):
            raise Violation(f"{after.symbol} is given up {since} after a fill")

    # --- horizon -----------------------------------------------------------------------------------------

    def _is_in_slices(self, state: PlanState, parent: ParentOrder) -> bool:
        """Return whether the order is large, and of an urgency that is sliced."""
        plan = self._plans.get((state.account, state.plan_id))
        is_sliced = plan is not None and plan.execution_urgency is not Urgency.URGENT and parent.auction is None
        return is_sliced and _is_large(parent, self._world.config.for_symbol(parent.symbol))

    def _horizon(self, state: PlanState, parent: ParentOrder) -> _Horizon | None:
        """Return the horizon of a large order of which something was sent; None if it is worked in one piece."""
        plan = self._plans.get((state.account, state.plan_id))
        if plan is None or not self._is_in_slices(state, parent):
            return None
        config = self._world.config.for_symbol(parent.symbol)
        sent = [child.intended_at for child in parent.children if child.state is not ChildState.NOT_SENT]
        if not sent:
            return None
        full = seconds(config.slice_minutes * 60)
        if parent.average_volume is not None:
            per_second = config.max_participation * parent.average_volume / (SESSION_MINUTES * 60)
            full = max(full, seconds(parent.qty / per_second))
        starts = sent[0]
        ends = latest = starts + full
        if parent.code is not None:  # a shortened horizon is remarked; another code hides the remark
            ends = max(starts, min(ends, self._last_rung_at(state, plan, parent.side)))
        return _Horizon(starts, ends, latest, self._slice(parent, len(plan.items), ends - starts, config))

    @staticmethod
    def _slice(parent: ParentOrder, items: int, duration: timedelta, config: ExecutionConfig) -> Decimal:
        """Return the largest slice: about the displayed size, unless time or requests do not suffice for so many."""
        length = Decimal(duration.total_seconds())
        requests = (Decimal(config.rate_limit_per_minute) / 60 - 1 / config.tick_seconds) * length
        possible = min(int(length / config.slice_seconds), int(requests / (items * _REQUESTS_PER_SLICE)))
        displayed = parent.arrival.displayed if parent.arrival is not None else ZERO
        if displayed:
            wanted = (parent.qty / (displayed * config.slice_displayed)).to_integral_value(ROUND_CEILING)
            possible = min(possible, int(wanted))
        least = Decimal(1)  # an order can be sent for it, also after the price has fallen
        if parent.side is Side.BUY and parent.arrival is not None:
            least = max(least, 4 * config.minimum_notional / parent.arrival.mid)
        # Whole requests and two clocks cost one slice at most.
        return parent.qty / max(1, min(possible - 1, int(parent.qty / least)))

    def _last_rung_at(self, state: PlanState, plan: RebalancePlan, side: Side) -> datetime:
        """Return when the last slice is sent at the latest: before two runs, the session or the plan end."""
        world, started = self._world, state.started_at
        limit = started + seconds(world.config.plan_time_limit_minutes * 60)
        at = nanoseconds(started - world.clock.skew)  # the check may follow after the close
        close = world.exchange._lifecycle.sessions.clock(at)["next_close"]  # noqa: SLF001
        limit = min(limit, datetime.fromisoformat(str(close)) + world.clock.skew - _CLOCK_READING)
        run_started_at, stop_at = self._run_started_at(state), world.current.stop_at
        if run_started_at is not None and stop_at is not None:
            limit = min(limit, started + _RUNS * (stop_at - run_started_at))
        buys_follow = side is Side.SELL and any(item.action == Action.BUY for item in plan.items)
        share = _BEFORE_LAST_RUNG / 2 if buys_follow else _BEFORE_LAST_RUNG
        return started + (limit - started) * float(share)

    def _run_started_at(self, state: PlanState) -> datetime | None:
        pk = journal_items.plan_pk(state.account, state.plan_id)
        return self._world.ledger.run_started_at(pk, self._world.current.run_id)

    def _by_volume(self, parent: ParentOrder, elapsed: timedelta) -> Decimal | None:
        """Return the shares of the average volume that may be taken in this time; None if it is unknown."""
        if parent.average_volume is None:
            return None
        share = Decimal((elapsed + _ROUND_TRIP) / timedelta(minutes=SESSION_MINUTES))
        return self._world.config.for_symbol(parent.symbol).max_participation * parent.average_volume * share

    # --- statistics --------------------------------------------------------------------------------------

    def _count(self, state: PlanState, parent: ParentOrder, child: ChildOrder, body: Submission) -> None:
        key, run_id = (state.account, state.plan_id), self._world.current.run_id
        first_run = self._first_runs.setdefault((key, parent.symbol), run_id)
        plan = self._plans.get(key)
        near = child.bid if parent.side is Side.BUY else child.ask
        is_sliced = self._horizon(state, parent) is not None
        is_one_tick = child.bid is not None and child.ask is not None and child.ask - child.bid <= Decimal("0.01")
        situations = {
            Situation.SLICE: is_sliced,
            Situation.SLICE_OF_A_LATER_RUN: is_sliced and run_id != first_run,
            Situation.SHORT_HORIZON: is_sliced and parent.code == Code.HORIZON_SHORTENED,
            Situation.PARTICIPATION: is_sliced and parent.average_volume is not None,
            Situation.JOIN: is_one_tick and child.limit_price is not None and child.limit_price == near,
            Situation.PATIENT: plan is not None and plan.execution_urgency is Urgency.PATIENT,
            Situation.SUB_SHARE: child.qty < 1,
            Situation.HIDDEN: "advanced_instructions" in body,
        }
        self._world.event_counts.update(situation for situation, holds in situations.items() if holds)


def check_explained(item: OrderResult) -> None:
    """Check that an item ends with its quantity, or with a code that explains why not."""
    explanation = item.error_code or item.skip_reason
    if item.outcome is not Outcome.FILLED and explanation in _REMARKS:
        raise Violation(f"{item.symbol} ends as {item.outcome} ({explanation}) with {item.shares} shares")


def _is_large(parent: ParentOrder, config: ExecutionConfig) -> bool:
    """Return whether the order is large against the display or against the average volume."""
    if parent.arrival is None or parent.qty <= parent.arrival.displayed:
        return False
    displayed, volume = parent.arrival.displayed, parent.average_volume
    by_display = config.slice_over_displayed is not None and 0 < displayed * config.slice_over_displayed < parent.qty
    has_volume = config.slice_over_volume is not None and volume is not None
    return by_display or (has_volume and parent.qty > (config.slice_over_volume or ZERO) * (volume or ZERO))


def _was_given_up(child: ChildOrder) -> bool:
    """Return whether the order ended by the program's cancel, and no fill was reported after its request."""
    canceled_at, filled_at = child.cancel_requested_at, child.fill_seen_at
    is_canceled = child.state is ChildState.CANCELED and canceled_at is not None
    return is_canceled and (filled_at is None or canceled_at is None or filled_at < canceled_at)


def _exposed(order: Order) -> Decimal:
    return (order.qty or ZERO) if order.is_open else order.filled_qty


def _fill_times(orders: Iterable[Order]) -> Iterable[datetime]:
    """Yield the time of the last fill of each order whose fills are reported at once."""
    for order in orders:
        is_late = order.behaviour.filled_qty_lag or order.behaviour.late_fill
        if order.filled_at is not None and not is_late:
            yield to_datetime(order.filled_at)
