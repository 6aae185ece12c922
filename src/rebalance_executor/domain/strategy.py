"""The next step for one parent order: a pure function of the parent, the quote, the time and the run's mode.

The executor carries the decision out. Order styles differ only in the price and the timing of a child (``_place``,
``_while_working``). The safety rules hold for all styles: one open child at a time, at most for the remaining
quantity, and a new child only after the previous one is final at the broker.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from rebalance_executor.domain import ladder
from rebalance_executor.domain.auction import (
    auction_child,
    has_limit,
    is_bound,
    is_fraction_over,
    is_fraction_rejected,
    is_within_limit,
    is_worked_on,
)
from rebalance_executor.domain.auction_strategy import auction_end, auction_missed, before_continuous, in_auction
from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.decisions import (
    Cancel,
    Concluding,
    Decision,
    DecisionContext,
    Place,
    Settle,
    Wait,
    Working,
    Yielding,
)
from rebalance_executor.domain.endings import denied, no_funds, no_position, rejected, unfinished, without_quote
from rebalance_executor.domain.ladder import WaveSchedule
from rebalance_executor.domain.market import ZERO, OrderType, Quote, Side
from rebalance_executor.domain.orders import ChildOrder, ChildPhase, Outcome, ParentOrder
from rebalance_executor.domain.pricing import collar, far_touch, is_inside, market_price
from rebalance_executor.domain.session import is_opening
from rebalance_executor.domain.sizing import floor_qty
from rebalance_executor.domain.slicing import is_large, own_schedule, slices_of
from rebalance_executor.domain.styles import OrderStyle
from rebalance_executor.domain.values import format_decimal, seconds

_LEAST_PART = Decimal("0.1")
"""Fraction of an item that a child must be for if it is sent before the funds for all of the rest are there."""


def decide(parent: ParentOrder, context: DecisionContext, config: ExecutionConfig) -> Decision:
    """Return the next step for ``parent``."""
    if parent.outcome is not None:
        return Wait()
    config = config.for_symbol(parent.symbol)
    context = with_slices(parent, context, config)
    match parent.last_child, context.mode:
        case ChildOrder(phase=ChildPhase.INTENDED | ChildPhase.UNKNOWN | ChildPhase.RESEND_REJECTED), _:
            return Wait()  # the executor looks it up; nothing is decided before the broker's answer
        case ChildOrder(phase=ChildPhase.CLOSED_UNCONFIRMED) as child, _:
            return _await_confirmation(child, context, config)
        case ChildOrder(phase=ChildPhase.PENDING_CANCEL) as child, _:
            return _await_cancel(parent, child, context, config)
        case ChildOrder(phase=ChildPhase.WORKING) as child, _:
            return _while_live(parent, child, context, config)
        case _ if (settled := settled_at_broker(parent, config)) is not None:
            return settled
        case _, Yielding():
            return Wait()  # the next run continues
        case _, Concluding(code, message):
            missed = auction_missed(parent, context) if code is Code.MARKET_CLOSED else None
            return auction_end(parent) or missed or denied(parent, code, message)
        case _:
            return before_continuous(parent, context, config) or _next_child(parent, context, config)


def with_slices(parent: ParentOrder, context: DecisionContext, config: ExecutionConfig) -> DecisionContext:
    """Return the context with the parent's slices, and with its own schedule instead of the wave's."""
    slices = slices_of(parent, context.schedule, context.now, config)
    last = ladder.last_sent(parent)
    schedule = own_schedule(context.schedule, slices, context.now if last is None else last.latest_send)
    return context if schedule is context.schedule else replace(context, schedule=schedule, slices=slices)


def needs_quote(parent: ParentOrder, context: DecisionContext, config: ExecutionConfig) -> bool:
    """Return whether the next decision may place a child or compare a resting one with the market."""
    config = config.for_symbol(parent.symbol)
    context = with_slices(parent, context, config)
    last = parent.last_child
    if parent.outcome is not None or parent.remaining <= 0:
        return False
    if last is not None and last.is_open:
        if config.order_style is not OrderStyle.LADDER or last.phase is not ChildPhase.WORKING or last.is_for_auction:
            return False
        return ladder.may_be_replaced(parent, last, context.schedule, context.now, config)
    has_ended = last is not None and last.phase in (ChildPhase.REJECTED, ChildPhase.REPLACED)
    may_follow = not has_ended or is_fraction_rejected(parent) or (last is not None and last.is_for_auction)
    if not may_follow:
        return False
    is_order_for_auction_due = parent.auction is not None and auction_child(parent) is None
    return (
        is_order_for_auction_due or ladder.children_left(parent, WaveSchedule(), config) > 0 or is_large(parent, config)
    )


# --- an open child ---------------------------------------------------------------------------------------


def _await_confirmation(child: ChildOrder, context: DecisionContext, config: ExecutionConfig) -> Decision:
    """Wait a bounded time for the details of an order that is final at the broker, and for two equal readings."""
    if child.other_content is not None:  # only its end was waited for
        return Settle(Outcome.UNRESOLVED, Code.CLIENT_ORDER_ID_MISMATCH, child.other_content)
    wait, problem = config.price_wait_seconds, "the broker did not report all fills with their average price"
    if child.is_complete:  # the next equal reading confirms it; readings that never agree must not hold the plan
        wait, problem = config.cancel_wait_seconds + 2 * config.tick_seconds, "its reports contradict each other"
    if context.now - (child.closed_since or context.now) < seconds(wait):
        return Wait()
    return Settle(Outcome.UNRESOLVED, Code.FILL_PRICE_MISSING, f"order {child.order_id} is {child.status}; {problem}")


def _await_cancel(
    parent: ParentOrder, child: ChildOrder, context: DecisionContext, config: ExecutionConfig
) -> Decision:
    since = child.cancel_requested_at or context.now
    if child.is_for_auction and parent.auction is not None and context.now >= parent.auction.cutoff:
        since = max(since, parent.auction.reported_by)  # until then the auction decides, and no cancel has an effect
    if context.now - since < seconds(config.cancel_wait_seconds):
        return Wait()
    if child.other_content is not None:
        return Settle(Outcome.UNRESOLVED, Code.CLIENT_ORDER_ID_MISMATCH, child.other_content)
    text = f"order {child.order_id} is still {child.status} after its cancel was requested"
    return Settle(Outcome.UNRESOLVED, Code.CANCEL_UNCONFIRMED, text)


def _while_live(parent: ParentOrder, child: ChildOrder, context: DecisionContext, config: ExecutionConfig) -> Decision:
    if child.is_for_auction:
        return in_auction(parent, child, context)
    if not isinstance(context.mode, Working) or child.other_content is not None:  # it was changed at the broker
        return Cancel()
    return _while_working(parent, child, context, config)


def _while_working(
    parent: ParentOrder, child: ChildOrder, context: DecisionContext, config: ExecutionConfig
) -> Decision:
    if parent.exposure > parent.qty:
        return Cancel()  # an earlier child was filled after its end
    if is_bound(parent, context.now):
        return Cancel() if is_fraction_over(parent, child, context.now, config) else Wait()
    if config.order_style is OrderStyle.LADDER:
        return Cancel() if _is_superseded(parent, child, context, config) else Wait()
    is_due = context.now - child.latest_send >= seconds(config.child_wait_seconds)
    return Cancel() if is_due else Wait()


def _is_superseded(parent: ParentOrder, child: ChildOrder, context: DecisionContext, config: ExecutionConfig) -> bool:
    """Return whether a child of the ladder is replaced: for a better price, or because its time is over."""
    if context.slices is not None and context.slices.is_left_out(parent, child, context.now):
        return True
    if ladder.is_overdue(parent, child, context.schedule, context.now, config):
        return True
    quote = context.quote
    if quote is None or quote.problem is not None or parent.arrival is None:
        return False
    worst = collar(parent.side, parent.arrival, config.price_collar)
    touch = far_touch(parent.side, quote)
    if not is_inside(parent.side, touch, worst) or not is_within_limit(parent, touch):
        return False  # the next child would be denied; this one may still fill
    return ladder.is_worth_replacing(parent, quote, context.schedule, context.now, config)


# --- no open child ---------------------------------------------------------------------------------------


def next_slice_at(parent: ParentOrder, context: DecisionContext, config: ExecutionConfig) -> datetime | None:
    """Return when the next slice of the parent falls due, if nothing of it is due now: it needs no request until then.

    None if it has an open child, if something is due, or if it is not worked in slices.
    """
    if parent.open_child is not None:
        return None
    slices = slices_of(parent, context.schedule, context.now, config)
    if slices is None or slices.open_qty(parent, context.now) > 0 or context.now >= slices.ends:
        return None
    return slices.next_due(context.now)


def may_start(parent: ParentOrder, dollars: Decimal, context: DecisionContext, config: ExecutionConfig) -> bool:
    """Return whether a buy may be ordered with these dollars before all of its funds are there, at its arrival mid.

    If not, it waits: neither its quote nor its price matters.
    """
    if parent.arrival is None or dollars <= 0:
        return False
    if is_bound(parent, context.now):  # one order, for all of it, at the worst price
        worst = collar(parent.side, parent.arrival, config.for_symbol(parent.symbol).price_collar)
        return dollars / market_price(parent.side, parent.arrival.ask, worst) >= parent.remaining
    affordable = dollars / parent.arrival.mid
    slices = slices_of(parent, context.schedule, context.now, config)
    wanted = parent.remaining if slices is None else slices.open_qty(parent, context.now)
    return affordable >= wanted or _part(parent, affordable, parent.arrival.mid, config) > 0


def settled_at_broker(parent: ParentOrder, config: ExecutionConfig) -> Settle | None:
    """Return the outcome if the broker's reports alone settle the parent: its fills, or how its last child ended."""
    if parent.overfill is not None:
        return Settle(Outcome.UNRESOLVED, Code.OVERFILLED, parent.overfill)
    if parent.remaining == 0:
        return Settle(Outcome.FILLED)
    match parent.last_child:
        case ChildOrder(phase=ChildPhase.REPLACED) as child:
            text = f"order {child.order_id} was replaced at the broker by another order that is not this plan's"
            return Settle(Outcome.UNRESOLVED, Code.REPLACED_EXTERNALLY, text)
        case ChildOrder(phase=ChildPhase.REJECTED, is_for_auction=True) if is_worked_on(parent, config):
            return None
        case ChildOrder(phase=ChildPhase.REJECTED) if is_fraction_rejected(parent):
            return None
        case ChildOrder(phase=ChildPhase.REJECTED) as child:
            return rejected(parent, child)
    return None


def _next_child(parent: ParentOrder, context: DecisionContext, config: ExecutionConfig) -> Decision:
    if ladder.children_left(parent, context.schedule, config) <= 0:
        return unfinished(parent, Code.ATTEMPTS_EXHAUSTED, f"{parent.attempts} orders did not fill the item")
    if (step := _without_slice(parent, context, is_sendable=True)) is not None:
        return step
    if not ladder.is_whole(parent.remaining) and is_opening(context.now, seconds(config.opening_wait_seconds)):
        return Wait()
    if context.funds is not None and context.funds <= 0 and not context.are_funds_final:
        return Wait()  # no dollars yet: its price does not matter
    quote = context.quote
    if quote is None or quote.problem is not None or parent.arrival is None:
        return without_quote(parent, context, config)
    worst = collar(parent.side, parent.arrival, config.price_collar)
    touch = far_touch(parent.side, quote)
    if not is_inside(parent.side, touch, worst) or not is_within_limit(parent, touch):
        bound = f"the collar {format_decimal(worst)}" if is_within_limit(parent, touch) else "the limit of the plan"
        return denied(parent, Code.PRICE_COLLAR, f"the far touch {format_decimal(touch)} is outside {bound}")
    place = _place(parent, quote, context, config)
    if context.slices is not None and context.slices.is_shortened:
        place = replace(place, note=Code.HORIZON_SHORTENED)
    price = place.limit_price or market_price(parent.side, touch, worst)
    is_ladder = config.order_style is OrderStyle.LADDER
    if is_ladder and ladder.is_exhausted(parent, price, context.schedule, context.now, config):
        return unfinished(parent, Code.ATTEMPTS_EXHAUSTED, _nothing_more(parent, touch, config))
    decision = _sized(parent, place, price, context, config)
    if isinstance(decision, Place) and decision.qty < ladder.ONE_SHARE and _is_inside_spread(place):
        place = replace(place, limit_price=touch, spread_fraction=ladder.FAR)  # a part below a share crosses as well
        return _sized(parent, place, touch, context, config)
    return decision


def _is_inside_spread(place: Place) -> bool:
    return place.spread_fraction is not None and place.spread_fraction < ladder.FAR


def _without_slice(parent: ParentOrder, context: DecisionContext, *, is_sendable: bool) -> Decision | None:
    """Return the decision on a large parent of which nothing is due that can be sent; None if something is.

    Its horizon starts with its first child: an order that could not even send one has no next slice.
    """
    slices = context.slices
    if slices is None or (is_sendable and slices.open_qty(parent, context.now) > 0):
        return None
    if context.now < slices.ends and parent.attempts:
        return Wait()
    if slices.qty == parent.qty:
        return None
    text = f"max_participation allows {format_decimal(slices.qty)} of {format_decimal(parent.qty)} shares"
    return denied(parent, Code.PARTICIPATION_LIMIT, f"{text} in the time of the plan")


def _nothing_more(parent: ParentOrder, touch: Decimal, config: ExecutionConfig) -> str:
    """Describe that the last rung rested all its time without a fill, or without a further one."""
    fill = "no fill"
    if parent.filled_qty:
        fill = f"{format_decimal(parent.filled_qty)} of {format_decimal(parent.qty)} shares filled, then no more"
    return f"{fill} at {format_decimal(touch)} within {format_decimal(config.last_rung_seconds)} seconds"


def _sized(
    parent: ParentOrder, place: Place, price: Decimal, context: DecisionContext, config: ExecutionConfig
) -> Decision:
    """Return ``place`` with the shares that funds or position allow, counted at ``price``; otherwise the next step."""
    qty = context.most(parent, price)
    if place.qty < parent.remaining and qty >= place.qty:  # a slice that funds or position allow
        if parent.side is Side.SELL or place.qty * price >= config.minimum_notional:
            return place
        if (step := _without_slice(parent, context, is_sendable=False)) is not None:
            return step
    if qty < parent.remaining and not context.is_shortage_confirmed:
        return Wait()  # the next reading confirms the shortage, or shows that the first one lagged
    if qty < parent.remaining and not context.are_funds_final:
        qty = _part(parent, qty, price, config)
        return replace(place, qty=qty) if qty else Wait()
    if parent.side is Side.SELL:
        return replace(place, qty=qty) if qty > 0 else no_position(parent)
    touch = far_touch(parent.side, context.quote) if context.quote is not None else price
    if qty > 0 and qty * (place.limit_price or touch) >= config.minimum_notional:
        return replace(place, qty=qty)
    if qty < parent.remaining:
        return no_funds(parent)
    least = format_decimal(config.minimum_notional)
    return denied(parent, Code.BELOW_MINIMUM, f"{format_decimal(qty)} shares are below the minimum of ${least}")


def _place(parent: ParentOrder, quote: Quote, context: DecisionContext, config: ExecutionConfig) -> Place:
    """Return type and price of the next child, for all that remains of the parent or of its slices so far."""
    slices = context.slices
    qty = parent.remaining if slices is None else slices.open_qty(parent, context.now)
    if quote.is_trade:  # a limit, whatever the style: nothing else bounds a price without a quote
        fraction = ladder.FAR if config.order_style is OrderStyle.LADDER else None
        return Place(OrderType.LIMIT, qty, far_touch(parent.side, quote), fraction)
    if config.order_style is OrderStyle.MARKET and not has_limit(parent):
        return Place(OrderType.MARKET, qty, None)
    if config.order_style is not OrderStyle.LADDER:
        return Place(OrderType.LIMIT, qty, far_touch(parent.side, quote))
    fraction = ladder.next_spread_fraction(parent, quote, context.schedule, context.now, config)
    if ladder.order_type(fraction, config) is OrderType.MARKET and not has_limit(parent):
        return Place(OrderType.MARKET, qty, None, fraction)
    price = ladder.next_price(parent, quote, fraction)
    if parent.side is Side.BUY and qty * price < config.minimum_notional:
        fraction, price = ladder.FAR, far_touch(parent.side, quote)  # the far touch may reach the minimum
    return Place(OrderType.LIMIT, qty, price, fraction)


def _part(parent: ParentOrder, affordable: Decimal, price: Decimal, config: ExecutionConfig) -> Decimal:
    """Return the shares to order before all funds are there; zero if it is better to wait for them.

    It is at least a tenth of the item, and half of the children are left for the rest, so that few children do all the
    work. The rest must be large enough to be sent, also at a lower price.
    """
    rest = 2 * config.minimum_notional / price
    qty = floor_qty(max(ZERO, min(affordable, parent.remaining - rest)), fractionable=parent.fractionable)
    has_children = 2 * (parent.attempts + 1) <= config.max_children
    is_large = qty >= parent.qty * _LEAST_PART and qty * price >= config.minimum_notional
    return qty if has_children and is_large else ZERO
