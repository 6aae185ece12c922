"""Invariants of evidence: what the program concludes must have a cause that really happened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from paper_broker.formats import duration
from paper_broker.history import on_tick
from paper_broker.orders import Order
from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.journal import PlanState
from rebalance_executor.domain.market import Side
from rebalance_executor.domain.orders import ChildOrder, ChildState, Outcome, ParentOrder
from rebalance_executor.domain.risk_state import PROGRAM, KillSwitchRecord, TradingState
from rebalance_executor.domain.styles import AuctionFraction
from rebalance_executor.domain.values import seconds
from rebalance_simulation.broker_record import SubmissionAnswer
from rebalance_simulation.faults import KILLS, EnvironmentEvent, Fault
from rebalance_simulation.invariants_account import Fill, PlanKey
from rebalance_simulation.violation import Violation
from rebalance_simulation.world_view import WorldView

_ROUND_TRIP = timedelta(seconds=2)
"""Longest time between the answer with a quote and the order that it prices, plus ``quote_refresh_seconds``."""
_FLAGS_READ = timedelta(seconds=600)
"""Longest time between the reading of an asset's flags and the denial that follows from it."""
_BEFORE_START = timedelta(seconds=30)
"""Clock skew, and the time between the start of a plan and the reading of its positions."""


class Cause(StrEnum):
    """A reason why the program may not know how an order ended."""

    SLOW_CANCEL = "the broker takes long to cancel"
    IGNORED_CANCEL = "the broker answers cancels without effect"
    LATE_PRICE = "the broker reports the average price late"
    LATE_POSITIONS = "the broker reports positions late"
    LATE_QUANTITY = "the broker reports the filled quantity late"
    CHANGED_ORDER = "the broker changed an own order"
    FOREIGN_TRADE = "someone else traded the symbol, or an order of an earlier plan that could not be settled"
    LATE_AUCTION = "the broker reports an auction late"
    LOST_WRITE = "a run was killed, or the database failed, while the plan was written"


UNRESOLVED: Mapping[Code, frozenset[Cause]] = {
    Code.AUCTION_UNREPORTED: frozenset({Cause.LATE_AUCTION}),
    Code.CANCEL_UNCONFIRMED: frozenset({Cause.SLOW_CANCEL, Cause.IGNORED_CANCEL, Cause.LATE_AUCTION}),
    Code.FILL_PRICE_MISSING: frozenset({Cause.LATE_PRICE, Cause.LATE_QUANTITY}),
    Code.CLIENT_ORDER_ID_MISMATCH: frozenset({Cause.CHANGED_ORDER}),
    Code.RECONCILIATION_MISMATCH: frozenset(
        {Cause.FOREIGN_TRADE, Cause.LATE_PRICE, Cause.LATE_POSITIONS, Cause.CHANGED_ORDER, Cause.LATE_AUCTION}
    ),
    Code.JOURNAL_INCOMPLETE: frozenset({Cause.LOST_WRITE}),
}
"""Causes of each code of UNRESOLVED items. A code that is missing has no cause in the simulation."""

_LOST_WRITES = (*KILLS, Fault.NO_ANSWER, Fault.LOST_ANSWER, Fault.ZOMBIE, Fault.THROTTLED, Fault.DEADLINE, Fault.PAUSE)


class EvidenceInvariants:
    """Checks of conclusions against what the broker really did.

    Args:
        world: the world to check. Every check raises ``Violation`` if an invariant is broken.
    """

    def __init__(self, world: WorldView) -> None:
        self._world = world
        self._submitted: dict[tuple[str, PlanKey], list[str]] = {}
        """Client order IDs in the order of their submission, by run and plan."""

    # --- outcomes ----------------------------------------------------------------------------------------

    def check_unresolved(
        self, state: PlanState, symbol: str, code: str | None, orders: Sequence[Order], fills: Iterable[Fill]
    ) -> None:
        """Check that an UNRESOLVED item has a cause that happened to its orders or to its symbol."""
        possible = UNRESOLVED.get(Code(code or ""), frozenset())
        happened = set(self._causes(orders))
        since = state.started_at - _BEFORE_START
        if any(fill.symbol == symbol and fill.at >= since for fill in fills):
            happened.add(Cause.FOREIGN_TRADE)
        if not possible & happened:
            raise Violation(f"{state.plan_id}: {symbol} is UNRESOLVED ({code}) without a cause, happened: {happened}")

    def _causes(self, orders: Sequence[Order]) -> Iterable[Cause]:
        world = self._world
        if any(order.behaviour.cancel != 0 for order in orders):
            yield Cause.SLOW_CANCEL
        if world.faults.fault_counts[Fault.NO_CANCEL] or any(order.behaviour.cancel_ignored for order in orders):
            yield Cause.IGNORED_CANCEL
        report = duration(float(world.config.auction_report_minutes) * 60)
        rules = world.exchange._auctions.rules  # noqa: SLF001 - read only
        is_late = any(max(rule.delay, rule.unfilled_after or 0) >= report for rule in rules)
        symbols = {order.symbol for order in orders}
        of_symbols = (order for order in world.exchange._orders.by_id.values() if order.symbol in symbols)  # noqa: SLF001
        if is_late and any(order.time_in_force != "day" for order in of_symbols):  # also of an earlier plan
            yield Cause.LATE_AUCTION
        if any(order.behaviour.price_pending for order in orders):
            yield Cause.LATE_PRICE
        if any(order.behaviour.filled_qty_lag for order in orders):
            yield Cause.LATE_QUANTITY
        if any(order.client_order_id in world.broker.view.changed for order in orders):
            yield Cause.CHANGED_ORDER
        if world.exchange.account_settings.positions_lag_seconds:
            yield Cause.LATE_POSITIONS
        has_failed = world.event_counts[EnvironmentEvent.DATABASE_DOWN]
        if has_failed or any(world.faults.fault_counts[fault] for fault in _LOST_WRITES):
            yield Cause.LOST_WRITE

    def check_denial(self, parent: ParentOrder) -> None:
        """Check that an asset that may be traded is not denied because of its flags."""
        if parent.outcome is not Outcome.DENIED or parent.code not in (Code.NOT_TRADABLE, Code.NOT_FRACTIONABLE):
            return
        is_in_whole_shares = parent.auction is not None and self._world.config.auction_fraction is AuctionFraction.LEAVE
        if is_in_whole_shares and parent.code == Code.NOT_FRACTIONABLE:
            return
        withdrawn_until = self._world.flags_withdrawn_until.get(parent.symbol)
        if withdrawn_until is not None and self._world.clock.world() - withdrawn_until < _FLAGS_READ:
            return
        asset = self._world.exchange._market.assets.get(parent.symbol)  # noqa: SLF001 - read only
        if asset is not None and (asset.tradable if parent.code == Code.NOT_TRADABLE else asset.fractionable):
            raise Violation(f"{parent.symbol} is denied as {parent.code}; the broker lets it be traded")

    def check_rejects(self, parent: ParentOrder, orders: Mapping[str, Order]) -> None:
        """Check that each REJECTED child was rejected by the exchange, or is a rejected order there."""
        for child in parent.children:
            if child.state is not ChildState.REJECTED:
                continue
            order = orders.get(child.client_order_id)
            refused = self._world.broker.record.refused.get(child.client_order_id)
            was_refused = refused in (SubmissionAnswer.REJECTED, SubmissionAnswer.EXPLAINED)
            if order.status != "rejected" if order is not None else not was_refused:
                at_broker = "unknown" if order is None else order.status
                raise Violation(
                    f"{child.client_order_id} is REJECTED ({child.error_message}), at the broker {at_broker}"
                )

    def check_kill_switch(self, switch: KillSwitchRecord, orders: Iterable[Order]) -> None:
        """Check that the program halts an account for rejects only after as many that the plan does not explain."""
        if switch.state is not TradingState.HALTED or switch.by != PROGRAM or "in a row" not in switch.reason:
            return
        refused = self._world.broker.record.refused.values()
        count = sum(answer is SubmissionAnswer.REJECTED for answer in refused)
        count += sum(order.status == "rejected" for order in orders)
        if count < self._world.config.max_rejects_in_a_row:
            raise Violation(f"the account is halted ({switch.reason}) after {count} rejects of the broker")

    # --- submissions -------------------------------------------------------------------------------------

    def check_submission(self, run: tuple[str, PlanKey], parent: ParentOrder, child: ChildOrder) -> None:
        """Check the price of an order and the rejects before it, as it is about to be sent."""
        if not child.is_for_auction:  # one per item: their rejects do not count
            self._check_rejects_in_a_row(run, child.client_order_id)
        self._check_tick(parent, child)
        if not child.resent:
            self._check_price(parent.symbol, child)

    def _check_tick(self, parent: ParentOrder, child: ChildOrder) -> None:
        """Check that the limit is on the symbol's tick, and less than a tick worse than the far touch of its quote."""
        asset = self._world.exchange._market.assets.get(parent.symbol)  # noqa: SLF001 - read only
        if asset is None or child.limit_price is None:
            return
        if child.limit_price != on_tick(child.limit_price, asset.tick_size):
            text = f"{parent.symbol} has a tick_size of {asset.tick_size} at the broker"
            raise Violation(f"{child.client_order_id} has the limit {child.limit_price}; {text}")
        touch, sign = (child.ask, 1) if parent.side is Side.BUY else (child.bid, -1)
        if child.is_for_auction:
            return  # its limit bounds the price of the auction, and may be beyond the touch
        if touch is not None and on_tick(touch, asset.tick_size) == touch and child.limit_price * sign > touch * sign:
            raise Violation(f"{child.client_order_id} has the limit {child.limit_price}, worse than the touch {touch}")

    def _check_rejects_in_a_row(self, run: tuple[str, PlanKey], client_order_id: str) -> None:
        record, limit = self._world.broker.record, self._world.config.max_rejects_in_a_row
        answers, together, window = record.answers, record.together, self._world.config.submission_window
        if len(together) > window:
            raise Violation(f"{run[0]} sends {len(together)} orders together, the window is {window}")
        submitted, rejects = self._submitted.setdefault(run, []), 0
        known = (order for order in reversed(submitted) if order not in together)  # the others have no answer yet
        for earlier in dict.fromkeys(known):  # an order that was sent twice is rejected once
            answer = answers.get(earlier)
            if answer is SubmissionAnswer.ACCEPTED:
                break
            rejects += answer is SubmissionAnswer.REJECTED
        if rejects >= limit:
            raise Violation(f"{run[0]} sends {client_order_id} after {rejects} rejects in a row, the limit is {limit}")
        submitted.append(client_order_id)

    def _check_price(self, symbol: str, child: ChildOrder) -> None:
        """Check that the quote behind the price was of its moment, and is not old."""
        if child.bid is None or child.ask is None:
            return
        seen_at: datetime | None = self._world.broker.record.quotes.get((symbol, child.bid, child.ask))
        if seen_at is None:
            raise Violation(
                f"{child.client_order_id} is priced from {child.bid} / {child.ask}, which was never a quote"
            )
        age, limit = self._world.clock.world() - seen_at, seconds(self._world.config.quote_refresh_seconds)
        if age > limit + _ROUND_TRIP:
            raise Violation(f"{child.client_order_id} leaves {age} after its quote")
