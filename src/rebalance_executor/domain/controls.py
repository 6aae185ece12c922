"""Controls: the rules by which this program denies an order. ``ORDER_OF_CONTROLS`` lists all of them in order.

``domain.plan_controls`` has the rules of a whole plan, this module those of its items and of each order.

Pure functions: each returns a ``Denial`` with its stable code, or None. A rule whose data is missing denies the order.
Its numbers are fields of ``domain.limits``. The rules follow SEC Rule 15c3-5 and MiFID II RTS 6, which regulate firms
that send orders by program. ``domain.sizing`` and ``domain.strategy`` also deny what they cannot size or price.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.errors import OverfillGuard, PlanExpired
from rebalance_executor.domain.limits import Limits
from rebalance_executor.domain.market import ZERO, Asset, BrokerOrder, Quote, Side, SymbolSnapshot
from rebalance_executor.domain.orders import ChildOrder, ChildState, ParentOrder
from rebalance_executor.domain.plan import RebalancePlan, RebalancePlanItem
from rebalance_executor.domain.pricing import time_problem
from rebalance_executor.domain.risk_state import KillSwitchRecord, ReservedOrder, RiskState, TradingState
from rebalance_executor.domain.session import LONGEST_CLOSURE
from rebalance_executor.domain.values import format_decimal, format_dollars, format_time, seconds


@dataclass(frozen=True, slots=True)
class Denial:
    """Reason why a control does not allow an order: a stable code and a sentence for the operator."""

    code: Code
    message: str


ORDER_OF_CONTROLS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Plan", (PlanExpired.code, Code.ACCOUNT_MISMATCH, Code.ACCOUNT_BLOCKED, Code.MARKET_CLOSED, Code.HALTED,
              Code.TOO_MANY_PLANS)),
    ("Item before sizing", (Code.RESTRICTED, Code.NOT_TRADABLE, Code.NO_POSITION, Code.CONFLICTING_ORDER,
                            Code.QUOTE_UNUSABLE, Code.PREVIOUS_CLOSE_UNKNOWN, Code.PRICE_COLLAR)),
    ("Item during sizing", (Code.EQUITY_UNKNOWN, Code.POSITION_DRIFT, Code.SHARES_HELD, Code.BELOW_MINIMUM,
                            Code.NOT_FRACTIONABLE)),
    ("Item after sizing", (Code.HALTED, Code.REDUCING_ONLY, Code.POSITION_DRIFT, Code.ORDER_TOO_LARGE,
                           Code.DUPLICATE_ORDER)),
    ("All items together", (Code.PLAN_LIMIT, Code.DAILY_LIMIT)),
    ("Each order before it is sent", (OverfillGuard.code, Code.HALTED, Code.REDUCING_ONLY, Code.MESSAGE_LIMIT,
                                      Code.QUOTE_UNUSABLE, Code.ORDER_TOO_LARGE, Code.PRICE_COLLAR)),
    ("Resumed plan", (Code.TOO_MANY_RUNS, Code.ACCOUNT_MISMATCH, Code.ACCOUNT_BLOCKED, Code.MARKET_CLOSED)),
)  # fmt: skip
"""Stages and codes of the controls in the order of evaluation; the first control that applies gives the code.

``PLAN_EXPIRED`` and ``OVERFILL_GUARD`` are errors; all others are members of ``Code``. The last stage replaces the
first five when a later run resumes the plan.
"""


# --- the kill switch -------------------------------------------------------------------------------------


def switch_denial(switch: KillSwitchRecord, side: Side | None = None) -> Denial | None:
    """Deny everything while the kill switch is HALTED, and buys while it is REDUCING."""
    at = f" at {format_time(switch.at)}" if switch.at else ""
    origin = f"set by {switch.by}{at}: {switch.reason}"
    if switch.state is TradingState.HALTED:
        return Denial(Code.HALTED, f"the account is halted, {origin}")
    if switch.state is TradingState.REDUCING and side is Side.BUY:
        return Denial(Code.REDUCING_ONLY, f"the account allows sells only, {origin}")
    return None


# --- an item, before it is sized -------------------------------------------------------------------------


def item_denial(
    side: Side, item: RebalancePlanItem, snapshot: SymbolSnapshot, limits: Limits, now: datetime
) -> Denial | None:
    """Check the symbol: restricted list, asset, position, other open orders, quote, previous close."""
    return (
        _restricted(item.symbol, limits)
        or asset_denial(item.symbol, snapshot.asset)
        or _no_position(side, item.symbol, snapshot)
        or _conflict(side, item.symbol, snapshot.others)
        or _bad_quote(snapshot, limits, now)
    )


def _restricted(symbol: str, limits: Limits) -> Denial | None:
    if symbol in limits.restricted_symbols:
        return Denial(Code.RESTRICTED, f"{symbol} is in restricted_symbols")
    if limits.allowed_symbols is not None and symbol not in limits.allowed_symbols:
        return Denial(Code.RESTRICTED, f"{symbol} is not in allowed_symbols")
    return None


def asset_denial(symbol: str, asset: Asset | None) -> Denial | None:
    """Deny unless the broker lists the asset as active and tradable."""
    if asset is None:
        return Denial(Code.NOT_TRADABLE, f"the broker does not list {symbol}")
    if not asset.tradable or asset.status != "active":
        tradable = "tradable" if asset.tradable else "not tradable"
        return Denial(Code.NOT_TRADABLE, f"the broker lists {symbol} as {asset.status} and {tradable}")
    return None


def _no_position(side: Side, symbol: str, snapshot: SymbolSnapshot) -> Denial | None:
    """Deny a sell without shares: this program is long only."""
    if side is Side.SELL and snapshot.held <= 0:
        return Denial(Code.NO_POSITION, f"the account holds no shares of {symbol}")
    return None


def _conflict(side: Side, symbol: str, others: Sequence[BrokerOrder]) -> Denial | None:
    conflicts = conflicting(side, others)
    if not conflicts:
        return None
    ids = ", ".join(order.id for order in conflicts[:5])
    return Denial(Code.CONFLICTING_ORDER, f"other open orders on {symbol} ({len(conflicts)}): {ids}")


def conflicting(side: Side, others: Iterable[BrokerOrder]) -> list[BrokerOrder]:
    """Return the other open orders that conflict with an order of this side (wash trade, double buy).

    Other sells do not conflict with a sell: they only reduce the shares that are available to it.
    """
    return [order for order in others if side is Side.BUY or order.side == Side.BUY]


def _bad_quote(snapshot: SymbolSnapshot, limits: Limits, now: datetime) -> Denial | None:
    problem = quote_problem(snapshot.quote, limits, now)
    if problem is not None or snapshot.quote is None:
        return Denial(Code.QUOTE_UNUSABLE, problem or "no quote")
    if snapshot.is_close_unknown:
        text = f"neither a position nor the market data of the last {LONGEST_CLOSURE.days} days has a previous close"
        return Denial(Code.PREVIOUS_CLOSE_UNKNOWN, f"{text}; previous_close_collar cannot be checked")
    return _far_from_close(snapshot.quote.mid, snapshot.previous_close, limits)


def quote_problem(quote: Quote | None, limits: Limits, now: datetime) -> str | None:
    """Describe why the quote gives no price: missing, one-sided, crossed, old, future or wide. None if usable."""
    if quote is None:
        return "no quote"
    if quote.problem is not None:
        return quote.problem
    problem = time_problem(quote, limits, now)
    if problem is not None:
        return problem
    if quote.ask - quote.bid > quote.mid * limits.max_spread:
        prices = f"bid {format_decimal(quote.bid)}, ask {format_decimal(quote.ask)}"
        return f"{prices}: the spread is too wide; max_spread is {format_decimal(limits.max_spread)} of mid"
    return None


def _far_from_close(price: Decimal, previous_close: Decimal | None, limits: Limits) -> Denial | None:
    if previous_close is None or abs(price - previous_close) <= previous_close * limits.previous_close_collar:
        return None
    prices = f"price {format_decimal(price)} is too far from the previous close {format_decimal(previous_close)}"
    text = f"{prices}; previous_close_collar is {format_decimal(limits.previous_close_collar)}"
    return Denial(Code.PRICE_COLLAR, f"{text}; a split or a symbol change may be the reason")


# --- an item, after it is sized --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PlanContext:
    """Data beyond the order's symbol: the plan, the state of the account's controls, the limits and the time."""

    plan: RebalancePlan
    risk: RiskState
    limits: Limits
    now: datetime


def parent_denial(
    parent: ParentOrder, item: RebalancePlanItem, snapshot: SymbolSnapshot, context: PlanContext
) -> Denial | None:
    """Check the sized order: kill switch, drift, size, duplicates."""
    return (
        switch_denial(context.risk.kill_switch, parent.side)
        or _drifted(item, snapshot, context.plan)
        or _too_large(parent, snapshot.quote, context.limits)
        or _duplicate(parent, context)
    )


def _drifted(item: RebalancePlanItem, snapshot: SymbolSnapshot, plan: RebalancePlan) -> Denial | None:
    """Deny if the position's value differs from ``current_value`` by more than a fraction of the portfolio."""
    value = snapshot.held * snapshot.quote.mid if snapshot.quote is not None else ZERO
    allowed = plan.max_drift_tolerance * plan.total_portfolio_value
    if abs(value - item.current_value) <= allowed:
        return None
    values = f"the position is worth {format_dollars(value)}, the plan expects {format_dollars(item.current_value)}"
    return Denial(Code.POSITION_DRIFT, f"{values}; max_drift_tolerance allows {format_dollars(allowed)} of difference")


def _too_large(parent: ParentOrder, quote: Quote | None, limits: Limits) -> Denial | None:
    large = size_denial(parent.qty, parent.arrival.mid if parent.arrival is not None else None, limits)
    share = limits.max_share_of_displayed
    if large is not None or share is None:
        return large
    displayed = ZERO if quote is None else quote.displayed(parent.side)
    if parent.qty <= displayed * share:
        return None
    sizes = f"the order is for {format_decimal(parent.qty)} shares, {format_decimal(displayed)} are displayed"
    return Denial(Code.ORDER_TOO_LARGE, f"{sizes}; max_share_of_displayed is {format_decimal(share)}")


def size_denial(qty: Decimal, price: Decimal | None, limits: Limits) -> Denial | None:
    """Check one order's shares, and its dollars at ``price``. An unknown price is denied."""
    shares, dollars = limits.max_order_shares, limits.max_order_dollars
    if shares is not None and qty > shares:
        text = f"the order is for {format_decimal(qty)} shares; max_order_shares is {format_decimal(shares)}"
        return Denial(Code.ORDER_TOO_LARGE, text)
    if dollars is not None and (price is None or qty * price > dollars):
        value = "of unknown value" if price is None else f"worth {format_dollars(qty * price)}"
        return Denial(Code.ORDER_TOO_LARGE, f"the order is {value}; max_order_dollars is {format_dollars(dollars)}")
    return None


def _duplicate(parent: ParentOrder, context: PlanContext) -> Denial | None:
    """Deny what another plan ordered minutes ago; this happens when one strategy runs on two schedules."""
    window = context.limits.duplicate_window_minutes
    since = context.now - seconds(window * 60)
    for other in context.risk.plans:
        if other.at <= since or other.plan_id == context.plan.plan_id:
            continue
        same = next((order for order in other.orders if _is_same(order, parent, context.limits)), None)
        if same is not None:
            earlier = f"plan {other.plan_id} ordered {format_decimal(same.qty)} shares at {format_time(other.at)}"
            text = f"this plan orders {format_decimal(parent.qty)} within duplicate_window_minutes"
            return Denial(Code.DUPLICATE_ORDER, f"{earlier}; {text} ({format_decimal(window)})")
    return None


def _is_same(order: ReservedOrder, parent: ParentOrder, limits: Limits) -> bool:
    """Return whether both ask for the same shares or, as the price may have moved between them, the same dollars."""
    if (order.symbol, order.side) != (parent.symbol, parent.side):
        return False
    pairs = [(order.qty, parent.qty), (order.dollars, abs(parent.requested_amount))]
    return any(abs(a - b) <= limits.duplicate_tolerance * max(a, b) for a, b in pairs)


# --- each order, before it is sent -----------------------------------------------------------------------


def overfill(parent: ParentOrder) -> str | None:
    """Describe an overfill: exposure above the parent quantity, or two open children. None if fine.

    On 1 August 2012 a router sent four million orders for 212 parents. Afterwards the recommendation was to compare
    the orders sent with the orders entered, as the last step before the market. A breach stops the program.
    """
    open_children = sum(child.is_open for child in parent.children)
    if parent.exposure <= parent.qty and open_children <= 1:
        return None
    exposure = f"{format_decimal(parent.exposure)} shares are filled, live or unknown (open orders: {open_children})"
    return f"{parent.symbol}: {exposure}; the parent order is for {format_decimal(parent.qty)}"


def child_denial(parent: ParentOrder, child: ChildOrder, limits: Limits, collar: Decimal) -> Denial | None:
    """Check size and price of one order before it is sent.

    The limit must be within the collars around the arrival mid (bounds the drift of a whole ladder), around the mid
    at pricing, and around the previous close if there was one. For a market order, the mid is checked as its limit.

    Args:
        parent: the order that the child works.
        child: the order to be sent.
        limits: the numbers of the controls.
        collar: fraction of the arrival mid by which a price may be worse, for this symbol.
    """
    mid = child.mid
    price = child.limit_price if child.limit_price is not None else mid
    if parent.arrival is None or mid is None or price is None:
        return Denial(Code.QUOTE_UNUSABLE, f"order {child.client_order_id} was priced without a quote")
    return (
        size_denial(child.qty, price, limits)
        or _outside(parent.side, price, parent.arrival.mid, "arrival mid", ("price_collar", collar))
        or _outside(parent.side, price, mid, "current mid", ("limit_collar", limits.limit_collar))
        or _far_from_close(price, parent.previous_close, limits)
    )


def _outside(side: Side, price: Decimal, mid: Decimal, name: str, collar: tuple[str, Decimal]) -> Denial | None:
    field_name, fraction = collar
    worse = price - mid if side is Side.BUY else mid - price
    if worse <= mid * fraction:
        return None
    prices = f"price {format_decimal(price)} is too far from the {name} {format_decimal(mid)}"
    return Denial(Code.PRICE_COLLAR, f"{prices}; {field_name} is {format_decimal(fraction)}")


def count_messages(parents: Iterable[ParentOrder]) -> int:
    """Count the submissions and cancels of these parents, including those journalled but not yet sent."""
    return sum(
        (child.state is not ChildState.NOT_SENT) + child.resent + (child.cancel_requested_at is not None)
        for parent in parents
        for child in parent.children
    )


def message_denial(of_plan: int, of_last_minute: int, limits: Limits) -> Denial | None:
    """Check the submissions and cancels of plan and last minute, including the next one. Cancels are never denied."""
    if of_plan > limits.max_plan_messages:
        text = f"{of_plan} submissions and cancels for the plan; max_plan_messages is {limits.max_plan_messages}"
        return Denial(Code.MESSAGE_LIMIT, text)
    if of_last_minute > limits.max_messages_per_minute:
        text = f"{of_last_minute} submissions and cancels in one minute; max_messages_per_minute is"
        return Denial(Code.MESSAGE_LIMIT, f"{text} {limits.max_messages_per_minute}")
    return None


def is_explained_by_plan(reject: str) -> bool:
    """Return whether a reject's text says that the account lacks the dollars: the plan's size explains it, no fault."""
    return "buying power" in reject.lower()


def consecutive_rejects_denial(in_a_row: int, limits: Limits) -> Denial | None:
    """Deny after ``max_rejects_in_a_row`` rejects without an acceptance: the account or the program is at fault."""
    if in_a_row < limits.max_rejects_in_a_row:
        return None
    text = f"the broker rejected {in_a_row} orders in a row; max_rejects_in_a_row is {limits.max_rejects_in_a_row}"
    return Denial(Code.HALTED, text)
