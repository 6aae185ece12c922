"""Opening and closing auctions: the times of an auction, and what may be done with an order for it, and when.

Alpaca sends orders with the time in force ``opg`` or ``cls`` to the primary exchange. It rejects them, and their
cancels, from a few minutes before the auction until 19:00 New York; from then on they wait for the next auction
(https://docs.alpaca.markets/docs/orders-at-alpaca). An auction fills whole shares only, and what it leaves is canceled
or expires.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, time, timedelta
from decimal import ROUND_FLOOR, Decimal

from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.market import Auction, AuctionKind, MarketClock, SymbolSnapshot, TimeInForce
from rebalance_executor.domain.orders import ChildOrder, ChildPhase, ChildState, ParentOrder
from rebalance_executor.domain.plan import ExecutionStyle, RebalancePlan, RebalancePlanItem
from rebalance_executor.domain.pricing import is_inside
from rebalance_executor.domain.session import new_york
from rebalance_executor.domain.styles import AuctionFraction, AuctionRemainder
from rebalance_executor.domain.values import seconds

LAST_CALL = timedelta(seconds=60)
"""Time before the cut-off at which an order stops waiting for dollars or for its fraction, and is sent for what it can.
"""
_QUEUES_FROM = time(19)
"""New York time from which Alpaca accepts orders for the next auction."""
_KINDS = {
    ExecutionStyle.MARKET_ON_OPEN: AuctionKind.OPEN,
    ExecutionStyle.LIMIT_ON_OPEN: AuctionKind.OPEN,
    ExecutionStyle.MARKET_ON_CLOSE: AuctionKind.CLOSE,
    ExecutionStyle.LIMIT_ON_CLOSE: AuctionKind.CLOSE,
}
_BY_KIND = {AuctionKind.OPEN: TimeInForce.OPG, AuctionKind.CLOSE: TimeInForce.CLS}


def time_in_force(auction: Auction) -> TimeInForce:
    """Return the time in force of orders for this auction."""
    return _BY_KIND[auction.kind]


def needs_opening_auction(plan: RebalancePlan) -> bool:
    """Return whether an item of the plan is for the opening auction, so that the plan starts before the open."""
    return any(_KINDS.get(plan.style_of(item)) is AuctionKind.OPEN for item in plan.trades)


def is_open_auction_ahead(clock: MarketClock, config: ExecutionConfig) -> bool:
    """Return whether an order for the next opening auction can be sent now: from 19:00 New York to the cut-off."""
    if clock.is_open or clock.now >= clock.next_open - seconds(config.open_cutoff_minutes * 60):
        return False
    local, opens = new_york(clock.now), new_york(clock.next_open)
    return local.time() >= _QUEUES_FROM or local.time() < opens.time()


def auction_of(
    plan: RebalancePlan,
    item: RebalancePlanItem,
    clock: MarketClock,
    lags: tuple[timedelta, timedelta],
    config: ExecutionConfig,
) -> Auction | None:
    """Return the auction that an item is for, by this program's clock; None for an item that is worked.

    Args:
        plan: the plan.
        item: one of its items.
        clock: the broker's clock.
        lags: the time by which that clock is behind this program's, at least and at most.
        config: the cut-off times.
    """
    style = plan.style_of(item)
    kind = _KINDS.get(style)
    if kind is None:
        return None
    at, minutes = clock.next_close, config.close_cutoff_minutes
    if kind is AuctionKind.OPEN:
        at, minutes = clock.next_open, config.open_cutoff_minutes
        if not is_open_auction_ahead(clock, config):  # today's was missed; it is too early for the next one
            at, minutes = clock.now, Decimal(0)
    least, most = lags
    return Auction(
        kind=kind,
        at=at + most,
        cutoff=at + least - seconds(minutes * 60),
        reported_by=at + most + seconds(config.auction_report_minutes * 60),
        is_limited=style.has_limit,
        limit_price=item.limit_price,
    )


def in_whole_shares(snapshot: SymbolSnapshot, auction: Auction | None, config: ExecutionConfig) -> SymbolSnapshot:
    """Return the data of a symbol as if it traded in whole shares only, if the fraction is to be left."""
    if auction is None or snapshot.asset is None or config.auction_fraction is AuctionFraction.WORK:
        return snapshot
    return replace(snapshot, asset=replace(snapshot.asset, fractionable=False))


def is_past_cutoff(auction: Auction, now: datetime) -> bool:
    """Return whether orders for this auction can neither be sent nor canceled any more."""
    return now >= auction.cutoff


def is_cancelable(parent: ParentOrder, now: datetime) -> bool:
    """Return whether the parent's open child may be canceled now as far as its auction is concerned."""
    return parent.open_child is None or is_sendable(parent, parent.open_child, now)


def auction_child(parent: ParentOrder) -> ChildOrder | None:
    """Return the latest order that the parent sent, or may have sent, to its auction; None if there is none."""
    sent = (child for child in reversed(parent.children) if child.is_for_auction)
    return next((child for child in sent if child.state is not ChildState.NOT_SENT), None)


def is_resting(parent: ParentOrder) -> bool:
    """Return whether an order of the parent waits at the broker for its auction: it needs no run."""
    child = parent.open_child
    if child is None or not child.is_for_auction or child.other_content is not None:
        return False
    return child.phase is ChildPhase.WORKING and parent.exposure <= parent.qty


def is_sendable(parent: ParentOrder, child: ChildOrder, now: datetime) -> bool:
    """Return whether a child, or its cancel, may be sent now as far as its auction is concerned."""
    return parent.auction is None or not child.is_for_auction or not is_past_cutoff(parent.auction, now)


def send_by(parent: ParentOrder, child: ChildOrder, covered_until: datetime) -> datetime:
    """Return the latest time at which a child may be sent: while it is covered, and before its auction's cut-off."""
    if parent.auction is None or not child.is_for_auction:
        return covered_until
    return min(covered_until, parent.auction.cutoff)


def is_bound(parent: ParentOrder, now: datetime) -> bool:
    """Return whether the parent's next step is its auction: an order for it is open, or may still be sent."""
    if parent.auction is None or parent.outcome is not None:
        return False
    child = parent.open_child
    if child is not None:
        return child.is_for_auction or now < parent.auction.cutoff
    return auction_child(parent) is None and now < parent.auction.cutoff


def is_for_close(parent: ParentOrder) -> bool:
    """Return whether the parent is for the closing auction."""
    return parent.auction is not None and parent.auction.kind is AuctionKind.CLOSE


def is_for_opening(parent: ParentOrder) -> bool:
    """Return whether the parent is for the opening auction."""
    return parent.auction is not None and parent.auction.kind is AuctionKind.OPEN


def plan_ends_at(parents: Iterable[ParentOrder], starts: datetime, limit: timedelta) -> datetime:
    """Return when the time limit of a plan passes: not before its auctions, and after the open it starts again."""
    auctions = [parent.auction for parent in parents if parent.auction is not None]
    ends = (a.at + limit if a.kind is AuctionKind.OPEN else a.cutoff for a in auctions)
    return max(starts + limit, *ends) if auctions else starts + limit


def is_within_limit(parent: ParentOrder, price: Decimal) -> bool:
    """Return whether a price is not worse than the plan's own limit, which also holds for what is worked."""
    limit = parent.auction.limit_price if parent.auction is not None else None
    return limit is None or is_inside(parent.side, price, limit)


def has_limit(parent: ParentOrder) -> bool:
    """Return whether the plan has a limit of its own for the parent."""
    return parent.auction is not None and parent.auction.limit_price is not None


def whole(qty: Decimal) -> Decimal:
    """Return the whole shares of a quantity."""
    return qty.to_integral_value(ROUND_FLOOR)


def is_fraction_rejected(parent: ParentOrder) -> bool:
    """Return whether the order for the fraction was rejected: the whole shares still go to the auction."""
    last = parent.last_child
    is_fraction = parent.auction is not None and last is not None and last.qty < 1
    return is_fraction and last is not None and last.state is ChildState.REJECTED and auction_child(parent) is None


def is_worked_on(parent: ParentOrder, config: ExecutionConfig) -> bool:
    """Return whether what the auction did not take or left is worked in continuous trading."""
    is_fraction = parent.remaining < 1 and config.auction_fraction is AuctionFraction.WORK
    return is_fraction or config.auction_remainder is AuctionRemainder.WORK


def is_fraction_over(parent: ParentOrder, child: ChildOrder, now: datetime, config: ExecutionConfig) -> bool:
    """Return whether the order for the fraction has rested its time, or the order for the auction must be sent."""
    is_last_call = parent.auction is not None and now >= parent.auction.cutoff - LAST_CALL
    return is_last_call or now - child.latest_send >= seconds(config.last_rung_seconds)


def resumes_at(parents: Iterable[ParentOrder], now: datetime) -> datetime | None:
    """Return when a run should continue if all unsettled parents wait for an auction; None if one needs a run now."""
    parents = list(parents)
    opening = opens_at(parents, now)
    times = []
    for parent in parents:
        if parent.outcome is not None:
            continue
        if is_resting(parent) and parent.auction is not None and now < parent.auction.at:
            times.append(parent.auction.at)
        elif opening is not None and parent.open_child is None and not is_sendable_before_open(parent, now):
            times.append(opening)
        else:
            return None
    return min(times, default=None)


def is_left_alone(parents: Iterable[ParentOrder], started_at: datetime, now: datetime, limit: timedelta) -> bool:
    """Return whether an unfinished plan waits for no delivery any more: its time, or all its auctions, have passed."""
    unsettled = [parent for parent in parents if parent.outcome is None]
    is_after_auctions = all(parent.auction is not None and now >= parent.auction.at for parent in unsettled)
    return is_after_auctions or now >= plan_ends_at(unsettled, started_at, limit)


def opens_at(parents: Iterable[ParentOrder], now: datetime) -> datetime | None:
    """Return when the opening auction of a plan takes place that started before it; None otherwise."""
    openings = (p.auction.at for p in parents if p.auction is not None and p.auction.kind is AuctionKind.OPEN)
    return min((at for at in openings if now < at), default=None)


def is_sendable_before_open(parent: ParentOrder, now: datetime) -> bool:
    """Return whether the parent's order for the opening auction may still be sent; a fraction is worked after it."""
    auction = parent.auction
    is_opening = auction is not None and auction.kind is AuctionKind.OPEN and now < auction.cutoff
    return is_opening and auction_child(parent) is None and parent.remaining >= 1


def fraction_to_work(parent: ParentOrder, now: datetime, config: ExecutionConfig) -> Decimal:
    """Return the fraction of a share to be worked before the closing auction: once, and not in its last minute."""
    auction, rest = parent.auction, parent.remaining - whole(parent.remaining)
    if auction is None or auction.kind is AuctionKind.OPEN or config.auction_fraction is AuctionFraction.LEAVE:
        return Decimal(0)
    was_tried = any(child.state is not ChildState.NOT_SENT for child in parent.children)
    return Decimal(0) if was_tried or now >= auction.cutoff - LAST_CALL else rest
