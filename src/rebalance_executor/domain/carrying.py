"""The plan that carries what an auction left, or did not take, to the next trading day."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from rebalance_executor.domain.auction import is_for_opening, needs_opening_auction
from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.market import ZERO, Side
from rebalance_executor.domain.orders import ParentOrder
from rebalance_executor.domain.plan import RebalancePlan, RebalancePlanItem
from rebalance_executor.domain.result_builder import reaches_request
from rebalance_executor.domain.styles import AuctionRemainder
from rebalance_executor.domain.values import cents

CARRIED_FROM = "carried_from"
"""Key in the metadata of a carried plan: the ID of the plan whose rest it is."""
_CARRIED = frozenset({Code.AUCTION_CLOSED, Code.AUCTION_REJECTED, Code.AUCTION_UNFILLED, Code.AUCTION_EXPIRED})
_LONGEST_ID = 100
_SUFFIX = "-carried"
_EARLY = timedelta(hours=1)
"""Time before the open at which a plan with items for the opening auction starts."""


def carried_plan(
    plan: RebalancePlan, parents: Mapping[str, ParentOrder], starts: datetime | None, config: ExecutionConfig
) -> RebalancePlan | None:
    """Return a plan of what the auctions left, to be started at ``starts``; None if nothing is carried.

    Its items have the dollars of the remaining shares at arrival, and are sized and traded as in this plan. One with
    items for the opening auction starts early enough for it. What succeeded is not carried, and a plan is carried once:
    what its own auction leaves again ends there.
    """
    was_carried = CARRIED_FROM in (plan.metadata or {})
    if config.auction_remainder is not AuctionRemainder.CARRY or starts is None or was_carried:
        return None
    rests = [(item, parents[item.symbol]) for item in plan.trades if item.symbol in parents]
    items = [_rest(item, parent) for item, parent in rests if _is_carried(parent, starts, config)]
    items = [item for item in items if item.trade_amount]
    if not items:
        return None
    carried = plan.model_copy(
        update={
            "plan_id": derived_id(plan.plan_id, _SUFFIX),
            "causation_id": plan.plan_id,
            "timestamp": starts,
            "items": tuple(items),
            "total_trade_value": sum((abs(item.trade_amount) for item in items), ZERO),
            "size_by": plan.sized_by(config.size_by),
            "valid_until": None,
            "metadata": {**(plan.metadata or {}), CARRIED_FROM: plan.plan_id},
        }
    )
    return carried.model_copy(update={"timestamp": starts - _EARLY}) if needs_opening_auction(carried) else carried


def _is_carried(parent: ParentOrder, starts: datetime, config: ExecutionConfig) -> bool:
    """Return whether an auction left something of the parent that a plan for the next day can trade."""
    is_rest = parent.code in _CARRIED and parent.remaining > 0
    if not is_rest or reaches_request(parent, parent.filled_qty, config.success_tolerance):
        return False
    # Before the open, the next auction is its own, and the broker does not name the one after it.
    return not (is_for_opening(parent) and parent.auction is not None and starts - parent.auction.at < _EARLY)


def _rest(item: RebalancePlanItem, parent: ParentOrder) -> RebalancePlanItem:
    mid = parent.arrival.mid if parent.arrival is not None else ZERO
    sign = 1 if parent.side is Side.BUY else -1
    held = (parent.held_before or ZERO) + sign * parent.filled_qty
    return item.model_copy(
        update={"trade_amount": sign * cents(parent.remaining * mid), "current_value": cents(max(held, ZERO) * mid)}
    )


def derived_id(plan_id: str, suffix: str) -> str:
    """Return the ID of a plan that follows from another one; a long one is cut, and made unique by a digest."""
    if len(plan_id) + len(suffix) <= _LONGEST_ID:
        return plan_id + suffix
    digest = hashlib.sha256(plan_id.encode()).hexdigest()[:12]
    return f"{plan_id[: _LONGEST_ID - len(suffix) - 13]}-{digest}{suffix}"


def is_due(carried: RebalancePlan, now: datetime, max_age_minutes: Decimal) -> bool:
    """Return whether a carried plan may be started now: from its time on, while it is young enough."""
    age = now - carried.timestamp
    return ZERO <= Decimal(age.total_seconds()) <= max_age_minutes * 60
