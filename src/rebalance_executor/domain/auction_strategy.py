"""The next step of a parent order that is for an auction.

One order for all whole shares is sent before the cut-off, and rests at the broker without a run. The fraction of a
share is worked before it (close) or after it (open). What the auction leaves ends with its code, or is worked like any
other order, by configuration.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from rebalance_executor.domain import ladder
from rebalance_executor.domain.auction import (
    LAST_CALL,
    auction_child,
    fraction_to_work,
    is_past_cutoff,
    is_within_limit,
    is_worked_on,
    time_in_force,
    whole,
)
from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.decisions import Cancel, Concluding, Decision, DecisionContext, Place, Settle, Wait
from rebalance_executor.domain.endings import denied, no_funds, no_position, rejected, unfinished, without_quote
from rebalance_executor.domain.market import Auction, AuctionKind, OrderType, Quote, Side
from rebalance_executor.domain.orders import ChildOrder, ChildState, Outcome, ParentOrder
from rebalance_executor.domain.pricing import collar, far_touch, is_inside, market_price, to_tick
from rebalance_executor.domain.session import is_opening
from rebalance_executor.domain.values import format_decimal, format_time, seconds


def in_auction(parent: ParentOrder, child: ChildOrder, context: DecisionContext) -> Decision:
    """Return the step while an order for the auction is live: it rests, also when the run yields.

    Before the cut-off it is canceled if the plan may not trade any more or the order is wrong. An operator must look if
    the broker still shows it as live when the auction should be reported.
    """
    auction = parent.auction
    if auction is not None and context.now >= auction.reported_by:
        if child.other_content is not None:
            return Settle(Outcome.UNRESOLVED, Code.CLIENT_ORDER_ID_MISMATCH, child.other_content)
        text = f"order {child.order_id} is still {child.status} at {format_time(auction.reported_by)}"
        return Settle(Outcome.UNRESOLVED, Code.AUCTION_UNREPORTED, text)
    if auction is not None and is_past_cutoff(auction, context.now):
        return Wait()
    is_wrong = child.other_content is not None or parent.exposure > parent.qty
    return Cancel() if is_wrong or isinstance(context.mode, Concluding) else Wait()


def auction_end(parent: ParentOrder) -> Settle | None:
    """Return how a parent ends whose order for the auction is final; None if it sent none, or withdrew it."""
    child = auction_child(parent)
    if child is None or child.is_open or child.cancel_requested_at is not None:
        return None
    return _left_by_auction(parent, child)


def auction_missed(parent: ParentOrder, context: DecisionContext) -> Settle | None:
    """Return how a parent ends whose auction takes no orders any more and got none of it; None for any other."""
    auction = parent.auction
    if auction is None or auction_child(parent) is not None or not is_past_cutoff(auction, context.now):
        return None
    text = f"its orders are accepted until {format_time(auction.cutoff)}"
    return denied(parent, Code.AUCTION_CLOSED, f"too late for the auction at the {auction.kind}: {text}")


def before_continuous(parent: ParentOrder, context: DecisionContext, config: ExecutionConfig) -> Decision | None:
    """Return the step that comes before continuous trading; None if the parent is worked in it now."""
    auction = parent.auction
    is_for_open = auction is not None and auction.kind is AuctionKind.OPEN
    if context.is_before_open and not is_for_open:
        return Wait()
    if auction is None:
        return None
    if auction_child(parent) is not None:
        end = auction_end(parent) or unfinished(parent, Code.AUCTION_UNFILLED, "its order was withdrawn")
        return _continued(parent, auction, context, config, end)
    if auction.kind is AuctionKind.OPEN and parent.remaining < 1 and is_worked_on(parent, config):
        return Wait() if context.is_before_open or context.now < auction.at else None
    if (missed := auction_missed(parent, context)) is not None:
        return _continued(parent, auction, context, config, missed)
    return _before_cutoff(parent, auction, context, config)


def _continued(
    parent: ParentOrder, auction: Auction, context: DecisionContext, config: ExecutionConfig, end: Settle
) -> Decision | None:
    """Return None if the rest is worked now, ``Wait`` if it will be after the open, and otherwise its end."""
    if not is_worked_on(parent, config):
        return end
    if auction.kind is AuctionKind.OPEN:
        return Wait() if context.is_before_open or context.now < auction.at else None
    return None if context.now < auction.at else end


def _before_cutoff(
    parent: ParentOrder, auction: Auction, context: DecisionContext, config: ExecutionConfig
) -> Decision:
    if context.funds is not None and context.funds <= 0 and not context.are_funds_final:
        return Wait()  # no dollars yet: its price does not matter
    quote = context.quote
    if quote is None or quote.problem is not None or parent.arrival is None:
        return without_quote(parent, context, config)
    worst, touch = collar(parent.side, parent.arrival, config.price_collar), far_touch(parent.side, quote)
    if not is_inside(parent.side, touch, worst):
        text = f"the far touch {format_decimal(touch)} is outside the collar {format_decimal(worst)}"
        return denied(parent, Code.PRICE_COLLAR, text)
    fraction = fraction_to_work(parent, context.now, config)
    if fraction and is_opening(context.now, seconds(config.opening_wait_seconds)):
        return Wait()
    if fraction and _is_sendable(parent, fraction, touch, context, config):
        return Place(OrderType.LIMIT, fraction, touch, ladder.FAR)
    place = Place(OrderType.MARKET, whole(parent.remaining), None, time_in_force=time_in_force(auction))
    if auction.is_limited:
        place = replace(place, type=OrderType.LIMIT, limit_price=_limit(parent, auction, quote, worst, config))
    price = place.limit_price or market_price(parent.side, touch, worst)
    return _sized(parent, place, price, context, config)


def _is_sendable(
    parent: ParentOrder, fraction: Decimal, touch: Decimal, context: DecisionContext, config: ExecutionConfig
) -> bool:
    is_allowed = is_within_limit(parent, touch) and context.most(parent, touch) >= fraction
    return is_allowed and (parent.side is Side.SELL or fraction * touch >= config.minimum_notional)


def _limit(parent: ParentOrder, auction: Auction, quote: Quote, worst: Decimal, config: ExecutionConfig) -> Decimal:
    """Return the limit: that of the plan, or one around the mid that is not worse than the collar of the arrival."""
    if auction.limit_price is not None:
        return to_tick(auction.limit_price, parent.side, quote.tick_size)
    against = config.limit_on_auction_collar * (1 if parent.side is Side.BUY else -1)
    limit = to_tick(quote.mid * (1 + against), parent.side, quote.tick_size)
    return limit if is_inside(parent.side, limit, worst) else to_tick(worst, parent.side, quote.tick_size)


def _sized(
    parent: ParentOrder, place: Place, price: Decimal, context: DecisionContext, config: ExecutionConfig
) -> Decision:
    """Return the order for all whole shares that funds, counted at ``price``, or position allow."""
    wanted, qty = place.qty, whole(context.most(parent, price))
    may_wait = parent.auction is not None and context.now < parent.auction.cutoff - LAST_CALL
    if qty < wanted and not context.is_shortage_confirmed:
        return Wait()
    if qty < wanted and not context.are_funds_final and may_wait:
        return Wait()
    if not wanted:
        text = f"auctions trade whole shares; {format_decimal(parent.remaining)} shares remain"
        return denied(parent, Code.BELOW_MINIMUM, text)
    if qty <= 0:
        return no_position(parent) if parent.side is Side.SELL else no_funds(parent)
    if parent.side is Side.BUY and qty * price < config.minimum_notional:
        text = f"{format_decimal(qty)} shares are below the minimum of ${format_decimal(config.minimum_notional)}"
        return denied(parent, Code.BELOW_MINIMUM, text)
    return replace(place, qty=qty)


def _left_by_auction(parent: ParentOrder, child: ChildOrder) -> Settle:
    """Return the end of a parent whose order for the auction is final and did not fill all of it."""
    rest = f"{format_decimal(parent.remaining)} of {format_decimal(parent.qty)} shares"
    kind = "open" if parent.auction is None else parent.auction.kind
    if child.state is ChildState.REJECTED:
        return rejected(parent, child)
    if child.state is ChildState.EXPIRED and not child.filled_qty:
        text = f"the broker let order {child.order_id} expire: the auction at the {kind} left {rest}"
        return unfinished(parent, Code.AUCTION_EXPIRED, text)
    if child.state is ChildState.FILLED and parent.remaining < 1:
        text = f"auctions trade whole shares: {rest} were left"
        return unfinished(parent, Code.AUCTION_UNFILLED, text)
    if child.state is ChildState.FILLED and parent.side is Side.BUY:
        return no_funds(parent)
    if child.state is ChildState.FILLED:
        return unfinished(parent, Code.NO_POSITION, f"the account held no more: {rest} were left")
    return unfinished(parent, Code.AUCTION_UNFILLED, f"the auction at the {kind} left {rest}")
