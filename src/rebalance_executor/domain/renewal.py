"""The rest of a plan: what it asked for and did not trade, as the items of a new plan. Pure functions.

The new plan never exceeds the old one: each item is bounded by the dollars and, if they are known, by the shares that
the old one left.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from typing import Any

from rebalance_executor.domain.errors import InvalidInput
from rebalance_executor.domain.market import SHARE_STEP, ZERO, Quote
from rebalance_executor.domain.orders import ParentOrder
from rebalance_executor.domain.plan import Action, ExecutionStyle, RebalancePlan, SizeBy
from rebalance_executor.domain.portfolio import Portfolio, WeightRules, amount_item
from rebalance_executor.domain.result import ExecutionResult, OrderResult
from rebalance_executor.domain.values import format_decimal

_CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Rest:
    """The part of an item that was not traded."""

    symbol: str
    action: Action
    dollars: Decimal
    """Unsigned."""
    shares: Decimal | None
    """None if the item was never sized."""
    is_exit: bool
    """True if the item asked to sell the whole position."""
    priority: int
    style: ExecutionStyle
    limit_price: Decimal | None = None


def rest_of_result(result: ExecutionResult, parents: Mapping[str, ParentOrder]) -> list[Rest]:
    """Return the rest of each item that fell short of what a finished plan asked for."""
    orders = (order for order in result.orders if order.needs_attention)
    rests = (_rest(order, parents.get(order.symbol), result.size_by) for order in orders)
    return [rest for rest in rests if rest.dollars > 0]


def rest_of_plan(plan: RebalancePlan, size_by: SizeBy) -> list[Rest]:
    """Return all trades of a plan that has never started."""
    return [
        Rest(
            symbol=item.symbol,
            action=item.action,
            dollars=abs(item.trade_amount),
            shares=None,
            is_exit=item.is_full_exit(plan.sized_by(size_by)),
            priority=item.priority,
            style=plan.style_of(item),
            limit_price=item.limit_price,
        )
        for item in plan.trades
    ]


def renewed_items(rests: Iterable[Rest], portfolio: Portfolio, quotes: Mapping[str, Quote]) -> list[dict[str, Any]]:
    """Return the items of the new plan as documents.

    Raises:
        InvalidInput: a symbol has no usable quote, or less is held than the rest sells.
    """
    rests = list(rests)
    rules = WeightRules(priorities={rest.symbol: rest.priority for rest in rests})
    return [_item(rest, portfolio, quotes.get(rest.symbol), rules) for rest in rests]


def _rest(order: OrderResult, parent: ParentOrder | None, size_by: SizeBy) -> Rest:
    asked, requested = abs(order.requested_trade_amount), order.requested_shares
    shares = max(ZERO, requested - order.shares) if requested else None
    dollars = asked if shares is None else (asked * shares / requested).quantize(_CENT, ROUND_DOWN)
    auction = parent.auction if parent is not None else None
    return Rest(
        symbol=order.symbol,
        action=order.action,
        dollars=dollars,
        shares=shares,
        is_exit=order.action is Action.SELL and order.target_weight == 0 and size_by is not SizeBy.TARGET_VALUE,
        priority=parent.priority if parent is not None else 1,
        style=order.execution_style,
        limit_price=auction.limit_price if auction is not None else None,
    )


def _item(rest: Rest, portfolio: Portfolio, quote: Quote | None, rules: WeightRules) -> dict[str, Any]:
    if quote is None or quote.problem is not None:
        raise InvalidInput(f"items.{rest.symbol}", "there is no usable quote to compare the rest with; try again")
    dollars = rest.dollars
    if rest.shares is not None:
        dollars = min(dollars, (rest.shares * quote.mid).quantize(_CENT, ROUND_DOWN))
    sign = 1 if rest.action is Action.BUY else -1
    item = amount_item(rest.symbol, sign * dollars, portfolio, rules)
    if rest.is_exit and item["action"] == Action.SELL and _is_covered(rest, portfolio):
        item |= {"target_value": "0", "target_weight": "0"}
        item["weight_diff"] = format_decimal(-Decimal(item["current_weight"]))
    if rest.style is not ExecutionStyle.WORK:
        item["execution_style"] = rest.style.value
    if rest.limit_price is not None:
        item["limit_price"] = format_decimal(rest.limit_price)
    return item


def _is_covered(rest: Rest, portfolio: Portfolio) -> bool:
    """Return whether the rest covers the whole position, so that selling it exactly exceeds nothing."""
    holding = portfolio.holdings[rest.symbol]
    if rest.shares is not None and holding.qty is not None:
        return holding.qty <= rest.shares + SHARE_STEP
    return holding.value is not None and holding.value <= rest.dollars
