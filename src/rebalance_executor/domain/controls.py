"""The controls: every rule by which this program refuses to trade, in one place.

Pure functions: facts in, a ``Denial`` with its stable code out, or None. A rule whose facts are missing refuses.
The numbers stand in ``domain.limits``; the rules follow what SEC Rule 15c3-5 and MiFID II RTS 6 ask of those who send
orders by program. They are asked in this order: for the plan, for each item before and after it is sized, for the
plan's orders together, and at the last line before the broker for each order once more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.errors import OverfillGuard, PlanExpired
from rebalance_executor.domain.limits import Limits
from rebalance_executor.domain.market import ZERO, Account, Asset, BrokerOrder, MarketClock, Position, Quote, Side
from rebalance_executor.domain.orders import ChildOrder, ChildState, ParentOrder
from rebalance_executor.domain.plan import RebalancePlan, RebalancePlanItem
from rebalance_executor.domain.risk_state import DailyUsage, KillSwitchRecord, ReservedOrder, RiskState, TradingState
from rebalance_executor.domain.session import EARLY_HOURS
from rebalance_executor.domain.values import format_decimal, format_utc, seconds


@dataclass(frozen=True, slots=True)
class Denial:
    """Why something may not be traded."""

    code: Code
    message: str


ORDER_OF_CONTROLS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "Plan",
        (
            PlanExpired.code,
            Code.ACCOUNT_MISMATCH,
            Code.ACCOUNT_BLOCKED,
            Code.MARKET_CLOSED,
            Code.HALTED,
            Code.TOO_MANY_PLANS,
        ),
    ),
    (
        "Item before sizing",
        (
            Code.RESTRICTED,
            Code.NOT_TRADABLE,
            Code.NO_POSITION,
            Code.CONFLICTING_ORDER,
            Code.QUOTE_UNUSABLE,
            Code.PRICE_COLLAR,
        ),
    ),
    ("Item during sizing", (Code.SHARES_HELD, Code.BELOW_MINIMUM, Code.NOT_FRACTIONABLE)),
    (
        "Item after sizing",
        (Code.HALTED, Code.REDUCING_ONLY, Code.POSITION_DRIFT, Code.ORDER_TOO_LARGE, Code.DUPLICATE_ORDER),
    ),
    ("All items together", (Code.PLAN_LIMIT, Code.DAILY_LIMIT)),
    (
        "Each order before it is sent",
        (
            OverfillGuard.code,
            Code.HALTED,
            Code.REDUCING_ONLY,
            Code.MESSAGE_LIMIT,
            Code.QUOTE_UNUSABLE,
            Code.ORDER_TOO_LARGE,
            Code.PRICE_COLLAR,
        ),
    ),
    ("Resumed plan", (Code.ACCOUNT_MISMATCH, Code.ACCOUNT_BLOCKED, Code.MARKET_CLOSED, Code.TOO_MANY_RUNS)),
)
"""Codes of the controls by stage, in the order of evaluation; the first control that applies gives the code.

``PLAN_EXPIRED`` and ``OVERFILL_GUARD`` are errors; all others are members of ``Code``.
"""


# --- the plan --------------------------------------------------------------------------------------------


def check_fresh(plan: RebalancePlan, now: datetime, *, max_age_minutes: Decimal, max_skew_seconds: Decimal) -> None:
    """A plan is begun only while it is fresh (a plan already begun may go on).

    Raises:
        PlanExpired: too old, past its ``valid_until``, or from the future.
    """
    age = now - plan.timestamp
    if age > seconds(max_age_minutes * 60):
        minutes = format_decimal(max_age_minutes)
        raise PlanExpired(
            "timestamp", f"{plan.timestamp.isoformat()} is more than {minutes} minutes ago; make the plan anew"
        )
    if age < -seconds(max_skew_seconds):
        raise PlanExpired("timestamp", f"{plan.timestamp.isoformat()} lies in the future; check the sender's clock")
    if plan.valid_until is not None and now > plan.valid_until:
        raise PlanExpired("valid_until", f"{plan.valid_until.isoformat()} has passed; make the plan anew")


def account_denial(account: Account, expected_number: str | None) -> Denial | None:
    """The credentials must lead to the configured account, and it must be allowed to trade.

    Live trading is refused before: ``settings`` and the source of credentials raise ``LiveNotAllowed``.
    """
    if expected_number is not None and account.account_number != expected_number:
        text = f"the credentials lead to account {account.account_number}, {expected_number} is configured"
        return Denial(Code.ACCOUNT_MISMATCH, text)
    if account.blocked_by is not None:
        return Denial(Code.ACCOUNT_BLOCKED, f"the broker's account is blocked: {account.blocked_by}")
    return None


def session_denial(clock: MarketClock, *, extended_hours: bool = False) -> Denial | None:
    """The broker's clock alone says whether the market is open; before the open it may do where it is configured."""
    if clock.is_open or (extended_hours and clock.now >= clock.next_open - EARLY_HOURS):
        return None
    return Denial(Code.MARKET_CLOSED, f"the market is closed, it opens at {format_utc(clock.next_open)}")


def switch_denial(switch: KillSwitchRecord, side: Side | None = None) -> Denial | None:
    """What the kill switch forbids: everything when HALTED, buys when REDUCING."""
    told = f"set by {switch.by} at {format_utc(switch.at) if switch.at else 'no time'}: {switch.reason}"
    if switch.state is TradingState.HALTED:
        return Denial(Code.HALTED, f"the account is halted, {told}")
    if switch.state is TradingState.REDUCING and side is Side.BUY:
        return Denial(Code.REDUCING_ONLY, f"the account may only reduce, {told}")
    return None


def runs_denial(runs: int, limits: Limits) -> Denial | None:
    """A plan that takes run after run does not get anywhere."""
    if runs <= limits.max_runs:
        return None
    return Denial(Code.TOO_MANY_RUNS, f"run {runs} of the plan, {limits.max_runs} are allowed")


def plans_denial(risk: RiskState, limits: Limits) -> Denial | None:
    """Plans begun today, counted anew from when a person last set the kill switch."""
    since = risk.kill_switch.at
    begun = sum(since is None or plan.at > since for plan in risk.plans)
    if begun < limits.max_plans_per_day:
        return None
    return Denial(Code.TOO_MANY_PLANS, f"{begun} plans were begun today, {limits.max_plans_per_day} are allowed")


# --- an item, before it is sized -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SymbolSnapshot:
    """What is known about one symbol when the plan is begun."""

    asset: Asset | None
    quote: Quote | None
    position: Position | None
    others: Sequence[BrokerOrder] = field(default=())
    """Open orders on the symbol that are not this plan's."""


def item_denial(
    side: Side, item: RebalancePlanItem, facts: SymbolSnapshot, limits: Limits, now: datetime
) -> Denial | None:
    """Whether the symbol may be traded at all: restricted list, asset, position, others' orders, quote."""
    return (
        _restricted(item.symbol, limits)
        or asset_denial(item.symbol, facts.asset)
        or _no_position(side, item.symbol, facts.position)
        or _conflict(side, item.symbol, facts.others)
        or _bad_quote(facts, limits, now)
    )


def _restricted(symbol: str, limits: Limits) -> Denial | None:
    if symbol in limits.restricted_symbols:
        return Denial(Code.RESTRICTED, f"{symbol} is on the list of restricted symbols")
    if limits.allowed_symbols is not None and symbol not in limits.allowed_symbols:
        return Denial(Code.RESTRICTED, f"{symbol} is not on the list of allowed symbols")
    return None


def asset_denial(symbol: str, asset: Asset | None) -> Denial | None:
    """The broker must know it as an active and tradable asset; nothing else of it is asked for otherwise."""
    if asset is None:
        return Denial(Code.NOT_TRADABLE, f"{symbol} is not an asset of the broker")
    if not asset.tradable or asset.status != "active":
        return Denial(Code.NOT_TRADABLE, f"{symbol} is {asset.status}, tradable: {asset.tradable}")
    return None


def _no_position(side: Side, symbol: str, position: Position | None) -> Denial | None:
    """Long only."""
    if side is Side.SELL and (position is None or position.qty <= 0):
        return Denial(Code.NO_POSITION, f"no shares of {symbol} are held")
    return None


def _conflict(side: Side, symbol: str, others: Sequence[BrokerOrder]) -> Denial | None:
    """Others' sells hold shares and so only shrink a sell; every other pair is refused (wash trades, double buys)."""
    against = conflicting(side, others)
    if not against:
        return None
    ids = ", ".join(order.id for order in against[:5])
    return Denial(Code.CONFLICTING_ORDER, f"{len(against)} open order(s) of others on {symbol}: {ids}")


def conflicting(side: Side, others: Iterable[BrokerOrder]) -> list[BrokerOrder]:
    """Those of the others' open orders that stand against an order of this side."""
    return [order for order in others if side is Side.BUY or order.side == Side.BUY]


def _bad_quote(facts: SymbolSnapshot, limits: Limits, now: datetime) -> Denial | None:
    problem = quote_problem(facts.quote, limits, now)
    if problem is not None or facts.quote is None:
        return Denial(Code.QUOTE_UNUSABLE, problem or "no quote")
    known = facts.position.previous_close if facts.position is not None else None
    return _far_from_close(facts.quote.mid, known, limits)


def quote_problem(quote: Quote | None, limits: Limits, now: datetime) -> str | None:
    """Why no price may be taken from this quote: one-sided, crossed, old or wide. None where it may."""
    if quote is None:
        return "no quote"
    if quote.problem is not None:
        return quote.problem
    name, most = ("quote", limits.max_quote_age_seconds)
    if quote.is_trade:
        name, most = ("last trade", limits.max_trade_age_seconds)
    age = now - quote.at
    if age > seconds(most):
        return f"the {name} is {int(age.total_seconds())} seconds old, {format_decimal(most)} are allowed"
    if quote.ask - quote.bid > quote.mid * limits.max_spread:
        return f"bid {format_decimal(quote.bid)}, ask {format_decimal(quote.ask)}: wider than {format_decimal(limits.max_spread)} of mid"
    return None


def _far_from_close(price: Decimal, previous_close: Decimal | None, limits: Limits) -> Denial | None:
    if previous_close is None or abs(price - previous_close) <= previous_close * limits.previous_close_collar:
        return None
    text = f"{format_decimal(price)} is too far from the previous close of {format_decimal(previous_close)}"
    return Denial(Code.PRICE_COLLAR, text)


# --- an item, after it is sized --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PlanContext:
    """What an order is judged in, besides its own symbol."""

    plan: RebalancePlan
    risk: RiskState
    limits: Limits
    now: datetime


def parent_denial(
    parent: ParentOrder, item: RebalancePlanItem, facts: SymbolSnapshot, context: PlanContext
) -> Denial | None:
    """Whether the sized order may be worked: kill switch, drift, size, duplicates."""
    return (
        switch_denial(context.risk.kill_switch, parent.side)
        or _drifted(item, facts, context.plan)
        or _too_large(parent, facts.quote, context.limits)
        or _duplicate(parent, context)
    )


def _drifted(item: RebalancePlanItem, facts: SymbolSnapshot, plan: RebalancePlan) -> Denial | None:
    """The position's value and the plan's ``current_value`` must agree within a share of the portfolio."""
    held = facts.position.qty if facts.position is not None else ZERO
    value = held * facts.quote.mid if facts.quote is not None else ZERO
    if abs(value - item.current_value) <= plan.max_drift_tolerance * plan.total_portfolio_value:
        return None
    return Denial(
        Code.POSITION_DRIFT,
        f"${format_decimal(round(value, 2))} are held, the plan was made for ${format_decimal(round(item.current_value, 2))}: more than "
        f"{format_decimal(plan.max_drift_tolerance)} of the portfolio's ${format_decimal(plan.total_portfolio_value)} apart",
    )


def _too_large(parent: ParentOrder, quote: Quote | None, limits: Limits) -> Denial | None:
    mid = parent.arrival.mid if parent.arrival is not None else None
    large = size_denial(parent.qty, mid, limits)
    share = limits.max_share_of_displayed
    if large is not None or share is None:
        return large
    displayed = ZERO if quote is None else quote.ask_size if parent.side is Side.BUY else quote.bid_size
    if parent.qty <= displayed * share:
        return None
    text = f"{format_decimal(parent.qty)} shares are more than {format_decimal(share)} times the {format_decimal(displayed)} displayed"
    return Denial(Code.ORDER_TOO_LARGE, text)


def size_denial(qty: Decimal, price: Decimal | None, limits: Limits) -> Denial | None:
    """Dollars and shares of one order."""
    most, dollars = limits.max_order_shares, limits.max_order_dollars
    if most is not None and qty > most:
        return Denial(
            Code.ORDER_TOO_LARGE, f"{format_decimal(qty)} shares, {format_decimal(most)} are allowed in one order"
        )
    if dollars is not None and (price is None or qty * price > dollars):
        value = "an unknown value" if price is None else f"${format_decimal(round(qty * price, 2))}"
        return Denial(Code.ORDER_TOO_LARGE, f"{value}, ${format_decimal(dollars)} are allowed in one order")
    return None


def _duplicate(parent: ParentOrder, context: PlanContext) -> Denial | None:
    """The same symbol, side and quantity or dollars from another plan minutes ago: one strategy on two schedules."""
    since = context.now - seconds(context.limits.duplicate_window_minutes * 60)
    for other in context.risk.plans:
        if other.at <= since or other.plan_id == context.plan.plan_id:
            continue
        same = next((order for order in other.orders if _is_same(order, parent, context.limits)), None)
        if same is not None:
            text = f"plan {other.plan_id} ordered {format_decimal(same.qty)} shares at {format_utc(other.at)}, this one would order"
            return Denial(Code.DUPLICATE_ORDER, f"{text} {format_decimal(parent.qty)}")
    return None


def _is_same(order: ReservedOrder, parent: ParentOrder, limits: Limits) -> bool:
    """Whether one thing is asked for twice; the same dollars are other shares where the price moved between."""
    if (order.symbol, order.side) != (parent.symbol, parent.side):
        return False
    pairs = [(order.qty, parent.qty), (order.dollars, abs(parent.planned_amount))]
    return any(a is not None and abs(a - b) <= limits.duplicate_tolerance * max(a, b) for a, b in pairs)


# --- the plan's orders together --------------------------------------------------------------------------


def expected_notional(parents: Iterable[ParentOrder], funds: Decimal) -> tuple[Decimal, Decimal]:
    """Dollars of buys and of sells that these parents can come to, at arrival mid.

    Buys count as far as the funds and these sells pay for them: more is never bought, and nothing where margin debt is
    larger than the sells. The collar bounds by how much a fill may differ from arrival mid.
    """
    wanted = {Side.BUY: ZERO, Side.SELL: ZERO}
    for parent in parents:
        if parent.outcome is None and parent.arrival is not None:
            wanted[parent.side] += parent.qty * parent.arrival.mid
    return max(ZERO, min(wanted[Side.BUY], funds + wanted[Side.SELL])), wanted[Side.SELL]


def plan_limit_denial(buys: Decimal, sells: Decimal, equity: Decimal, limits: Limits) -> Denial | None:
    """Gross, net and turnover of the plan; an equity of 0 is an unknown one."""
    most = (limits.max_plan_gross_dollars, limits.max_plan_net_dollars, limits.max_plan_turnover)
    text = _beyond(buys, sells, equity, most)
    return Denial(Code.PLAN_LIMIT, f"the plan would trade {text}") if text is not None else None


def day_limit_denial(after: DailyUsage, equity: Decimal, limits: Limits) -> Denial | None:
    """Gross, net and turnover of the account's trading day with the plan in it."""
    most = (limits.max_day_gross_dollars, limits.max_day_net_dollars, limits.max_day_turnover)
    text = _beyond(after.buys, after.sells, equity, most)
    return Denial(Code.DAILY_LIMIT, f"{after.on} would come to {text}") if text is not None else None


def _beyond(
    buys: Decimal, sells: Decimal, equity: Decimal, most: tuple[Decimal | None, Decimal | None, Decimal | None]
) -> str | None:
    gross, net = buys + sells, abs(buys - sells)
    most_gross, most_net, most_turnover = most
    if most_gross is not None and gross > most_gross:
        return f"${format_decimal(round(gross, 2))} gross, ${format_decimal(most_gross)} are allowed"
    if most_net is not None and net > most_net:
        return f"${format_decimal(round(net, 2))} net, ${format_decimal(most_net)} are allowed"
    if most_turnover is not None and gross > most_turnover * equity:
        of = f"an equity of ${format_decimal(equity)}" if equity else "an unknown equity"
        return f"${format_decimal(round(gross, 2))} of {of}, {format_decimal(most_turnover)} times are allowed"
    return None


# --- the last line before the broker ---------------------------------------------------------------------


def overfill(parent: ParentOrder) -> str | None:
    """What is wrong where filled + live + unknown + new would exceed the parent's quantity, or two children are open.

    After 1 August 2012, when a router sent four million orders for 212 parents, the recommendation was to compare what
    leaves with what was entered, at the last line before the market. The program stops on a breach (OVERFILL_GUARD).
    """
    open_children = sum(child.is_open for child in parent.children)
    if parent.exposure <= parent.qty and open_children <= 1:
        return None
    return (
        f"{parent.symbol}: {parent.exposure} shares filled, live or unknown in {open_children} open orders, "
        f"the parent order is for {parent.qty}"
    )


def child_denial(parent: ParentOrder, child: ChildOrder, limits: Limits, collar: Decimal) -> Denial | None:
    """Size and price of one order that is about to be sent.

    Its limit must lie within the collars around arrival (how far a whole ladder may drift), around the mid it was
    priced at, and around the previous close where that is known. A market order is judged by that mid.

    Args:
        parent: the order it works.
        child: the order to be sent.
        limits: the numbers.
        collar: fraction of arrival mid by which a price may be worse, for this symbol.
    """
    mid = child.mid
    price = child.limit_price if child.limit_price is not None else mid
    if parent.arrival is None or mid is None or price is None:
        return Denial(Code.QUOTE_UNUSABLE, f"{child.client_order_id} was priced without a quote")
    return (
        size_denial(child.qty, price, limits)
        or _outside(parent.side, price, parent.arrival.mid, collar, "arrival mid")
        or _outside(parent.side, price, mid, limits.limit_collar, "the present mid")
        or _far_from_close(price, parent.previous_close, limits)
    )


def _outside(side: Side, price: Decimal, of: Decimal, fraction: Decimal, name: str) -> Denial | None:
    worse = price - of if side is Side.BUY else of - price
    if worse <= of * fraction:
        return None
    text = f"{format_decimal(price)} is worse than {name} {format_decimal(of)} by more than {format_decimal(fraction)} of it"
    return Denial(Code.PRICE_COLLAR, text)


def messages(parents: Iterable[ParentOrder]) -> int:
    """Submissions and cancels of these parents, those included that are journalled to be sent."""
    return sum(
        (child.state is not ChildState.NOT_SENT) + child.resent + (child.cancel_requested_at is not None)
        for parent in parents
        for child in parent.children
    )


def message_denial(of_plan: int, of_last_minute: int, limits: Limits) -> Denial | None:
    """Submissions and cancels of the plan and of the last minute, the next one included. Cancels always go out."""
    if of_plan > limits.max_plan_messages:
        text = f"{of_plan} submissions and cancels of the plan, {limits.max_plan_messages} are allowed"
        return Denial(Code.MESSAGE_LIMIT, text)
    if of_last_minute > limits.max_messages_per_minute:
        text = f"{of_last_minute} submissions and cancels in a minute, {limits.max_messages_per_minute} are allowed"
        return Denial(Code.MESSAGE_LIMIT, text)
    return None


def consecutive_rejects_denial(in_a_row: int, limits: Limits) -> Denial | None:
    """Refusals of the broker without one acceptance between: the account or the program is broken."""
    if in_a_row < limits.max_rejects_in_a_row:
        return None
    return Denial(Code.HALTED, f"the broker refused {in_a_row} orders in a row")
