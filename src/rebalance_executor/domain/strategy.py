"""What to do next with one parent order: a pure function of the parent, the quote and the time.

The executor carries the answer out. Working strategies differ only in how they price and time a child
(``_price``, ``_next_child``); everything about safety stands here once for all of them: one open child at a
time, sized by what remains, a new child only after the former one is settled at the broker.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from rebalance_executor.domain import ladder
from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.config import ExecutionConfig, OrderStyle
from rebalance_executor.domain.ladder import WaveSchedule
from rebalance_executor.domain.market import OrderType, Quote, Side
from rebalance_executor.domain.orders import ChildOrder, ChildState, Outcome, ParentOrder
from rebalance_executor.domain.pricing import collar, far_touch, is_inside
from rebalance_executor.domain.session import is_opening
from rebalance_executor.domain.sizing import floor_qty
from rebalance_executor.domain.values import format_decimal, seconds


class Mode(StrEnum):
    """What the run is about just now."""

    WORK = "WORK"
    YIELD = "YIELD"
    """The deadline is near: cancel what rests, leave the parents to the next run."""
    CONCLUDE = "CONCLUDE"
    """Nothing new may be sent (time limit, market closed, …): cancel what rests and settle every parent."""


@dataclass(frozen=True, slots=True)
class DecisionContext:
    """What a decision is taken from, besides the parent itself."""

    now: datetime
    mode: Mode = Mode.WORK
    quote: Quote | None = None
    quote_problem: str | None = None
    """Why ``quote`` is not given, where the controls refused it."""
    quote_missing_since: datetime | None = None
    funds: Decimal | None = None
    """Dollars this buy may still commit; None where no bound applies (sells)."""
    reason: Code = Code.TIME_LIMIT
    """Why the run concludes, for parents that end unfinished."""
    reason_text: str = "stopped before the order was done"
    schedule: WaveSchedule = field(default_factory=WaveSchedule)
    """Urgency, time and company: what the ladder is chosen by."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do before the next look."""


@dataclass(frozen=True, slots=True)
class Place:
    """Send a new child of this shape."""

    type: OrderType
    qty: Decimal
    limit_price: Decimal | None
    spread_fraction: Decimal | None = None
    """The ladder's rung, journalled with the child; None off the ladder."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """Ask the broker to cancel the open child."""


@dataclass(frozen=True, slots=True)
class Settle:
    """The parent is done, with this outcome."""

    outcome: Outcome
    code: Code | None = None
    message: str | None = None


Decision = Wait | Place | Cancel | Settle


def decide(parent: ParentOrder, context: DecisionContext, config: ExecutionConfig) -> Decision:
    """What to do next with ``parent``."""
    if parent.outcome is not None:
        return Wait()
    config = config.for_symbol(parent.symbol)
    child = parent.open_child
    if child is not None:
        return _with_open_child(parent, child, context, config)
    last = parent.last_child
    if parent.filled_qty > parent.qty or any(child.filled_qty > child.qty for child in parent.children):
        filled = f"{format_decimal(parent.filled_qty)} shares filled of {format_decimal(parent.qty)} ordered"
        return Settle(Outcome.UNRESOLVED, Code.OVERFILLED, filled)
    if parent.remaining == 0:
        return Settle(Outcome.FILLED)
    if last is not None and last.state is ChildState.REPLACED:
        text = f"order {last.order_id} was replaced at the broker by somebody else"
        return Settle(Outcome.UNRESOLVED, Code.REPLACED_EXTERNALLY, text)
    if last is not None and last.state is ChildState.REJECTED:
        outcome = Outcome.PARTIALLY_FILLED if parent.filled_qty else Outcome.REJECTED
        return Settle(outcome, Code.REJECTED, last.error_message or "rejected by the broker after it was accepted")
    if context.mode is Mode.YIELD:
        return Wait()
    if context.mode is Mode.CONCLUDE:
        return _denied(parent, context.reason, context.reason_text)
    if parent.attempts >= config.max_children:
        return _unfinished(parent, Code.ATTEMPTS_EXHAUSTED, f"{parent.attempts} orders did not fill it")
    return _next_child(parent, context, config)


def needs_quote(parent: ParentOrder, config: ExecutionConfig) -> bool:
    """Whether the next decision may place a child, or compare a resting one with the market: needs a fresh quote."""
    config = config.for_symbol(parent.symbol)
    last = parent.last_child
    if parent.outcome is not None or parent.remaining <= 0:
        return False
    if last is not None and last.is_open:
        is_ladder = config.order_style is OrderStyle.LADDER
        return is_ladder and last.state is ChildState.LIVE and last.cancel_requested_at is None
    may_follow = last is None or last.state not in (ChildState.REJECTED, ChildState.REPLACED)
    return may_follow and parent.attempts < config.max_children


def _with_open_child(
    parent: ParentOrder, child: ChildOrder, context: DecisionContext, config: ExecutionConfig
) -> Decision:
    if child.state is not ChildState.LIVE:
        return Wait()  # INTENDED or UNKNOWN: the executor looks it up; nothing may be decided before
    if child.incomplete_since is not None:
        if context.now - child.incomplete_since < seconds(config.price_wait_seconds):
            return Wait()
        text = f"order {child.order_id} is {child.status}, its fills or their average price were never told in full"
        return Settle(Outcome.UNRESOLVED, Code.FILL_PRICE_MISSING, text)
    if child.cancel_requested_at is not None:
        if context.now - child.cancel_requested_at < seconds(config.cancel_wait_seconds):
            return Wait()
        text = f"order {child.order_id} is still {child.status} after its cancel was requested"
        return Settle(Outcome.UNRESOLVED, Code.CANCEL_UNCONFIRMED, text)
    if context.mode is not Mode.WORK:
        return Cancel()
    if config.order_style is OrderStyle.LADDER:
        return Cancel() if _rested_enough(parent, child, context, config) else Wait()
    if context.now - child.latest_send >= seconds(config.child_wait_seconds):
        return Cancel()
    return Wait()


def _rested_enough(parent: ParentOrder, child: ChildOrder, context: DecisionContext, config: ExecutionConfig) -> bool:
    """Whether a child of the ladder gives way: to a better price, or because its time is over."""
    if ladder.is_overdue(parent, child, context.schedule, context.now, config):
        return True
    quote = context.quote
    if quote is None or quote.problem is not None or parent.arrival is None:
        return False
    worst = collar(parent.side, parent.arrival, config.price_collar)
    if not is_inside(parent.side, far_touch(parent.side, quote), worst):
        return False  # the next child would be denied: this one may still fill
    return ladder.is_worth_replacing(parent, quote, context.schedule, context.now, config)


def _next_child(parent: ParentOrder, context: DecisionContext, config: ExecutionConfig) -> Decision:
    if not ladder.is_whole(parent.remaining) and is_opening(context.now, seconds(config.opening_wait_seconds)):
        return Wait()
    quote = context.quote
    if quote is None or quote.problem is not None or parent.arrival is None:
        missing = context.quote_missing_since or context.now
        if context.now - missing < seconds(config.quote_wait_seconds):
            return Wait()
        problem = context.quote_problem or (quote.problem if quote else None) or "no quote"
        return _denied(parent, Code.QUOTE_UNUSABLE, problem)
    worst = collar(parent.side, parent.arrival, config.price_collar)
    touch = far_touch(parent.side, quote)
    if not is_inside(parent.side, touch, worst):
        text = f"the far touch {format_decimal(touch)} is outside the collar {format_decimal(worst)}"
        return _denied(parent, Code.PRICE_COLLAR, text)
    shape = _shape(parent, quote, context, config)
    is_ladder = config.order_style is OrderStyle.LADDER
    if is_ladder and ladder.is_exhausted(parent, shape.limit_price or worst, context.schedule, context.now, config):
        text = f"nothing came at {format_decimal(touch)} in {format_decimal(config.last_rung_seconds)} seconds"
        return _unfinished(parent, Code.ATTEMPTS_EXHAUSTED, text)
    qty = _affordable(parent, context.funds, shape.limit_price or worst)
    if qty <= 0:
        return _no_funds(parent)
    if parent.side is Side.BUY and qty * (shape.limit_price or touch) < config.minimum_notional:
        return _denied(parent, Code.BELOW_MINIMUM, f"{format_decimal(qty)} shares are below the minimum notional")
    return replace(shape, qty=qty)


def _shape(parent: ParentOrder, quote: Quote, context: DecisionContext, config: ExecutionConfig) -> Place:
    """Type and price of the next child, for all that remains."""
    qty = parent.remaining
    if quote.is_trade:  # a limit, whatever the style: nothing else bounds a price that nobody quotes
        aim = ladder.FAR if config.order_style is OrderStyle.LADDER else None
        return Place(OrderType.LIMIT, qty, far_touch(parent.side, quote), aim)
    if config.order_style is OrderStyle.MARKET:
        return Place(OrderType.MARKET, qty, None)
    if config.order_style is OrderStyle.MARKETABLE_LIMIT:
        return Place(OrderType.LIMIT, qty, far_touch(parent.side, quote))
    aim = ladder.next_spread_fraction(parent, quote, context.schedule, context.now, config)
    if ladder.shape(aim, config) is OrderType.MARKET:
        return Place(OrderType.MARKET, qty, None, aim)
    price = ladder.next_price(parent, quote, aim)
    if parent.side is Side.BUY and qty * price < config.minimum_notional:  # it may be enough where it costs the most
        aim, price = ladder.FAR, far_touch(parent.side, quote)
    return Place(OrderType.LIMIT, qty, price, aim)


def _affordable(parent: ParentOrder, funds: Decimal | None, price: Decimal) -> Decimal:
    """Shares of what remains that ``funds`` pay for at ``price``, the worst that can happen."""
    if funds is None or parent.remaining * price <= funds:
        return parent.remaining
    return floor_qty(max(funds, Decimal(0)) / price, fractionable=parent.fractionable)


def _denied(parent: ParentOrder, code: Code, message: str) -> Settle:
    """Ours to refuse: DENIED where nothing was ever sent, otherwise an unfinished order."""
    return _unfinished(parent, code, message) if parent.attempts else Settle(Outcome.DENIED, code, message)


def _no_funds(parent: ParentOrder) -> Settle:
    text = "what is left does not fit into cash + proceeds − buffer"
    if parent.attempts:
        return _unfinished(parent, Code.INSUFFICIENT_CASH, text)
    return Settle(Outcome.SKIPPED, Code.INSUFFICIENT_CASH, text)


def _unfinished(parent: ParentOrder, code: Code, message: str) -> Settle:
    return Settle(Outcome.PARTIALLY_FILLED if parent.filled_qty else Outcome.UNFILLED, code, message)
