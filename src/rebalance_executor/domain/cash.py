"""Cash for the buys: the budget at the cash gate, the buys scaled to fit it, and the dollars of each next order."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_FLOOR, Decimal
from itertools import groupby

from rebalance_executor.domain.allocation import Wanted, divide, in_whole_shares
from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.market import ZERO, Account, BrokerOrder, Quote, Side
from rebalance_executor.domain.orders import Outcome, ParentOrder
from rebalance_executor.domain.pricing import collar, far_touch, market_price
from rebalance_executor.domain.sizing import ceil_qty
from rebalance_executor.domain.styles import OrderStyle
from rebalance_executor.domain.values import format_decimal, format_dollars, format_shares

_CENT = Decimal("0.01")


def proceeds(parents: Iterable[ParentOrder]) -> Decimal:
    """Return the actual sale proceeds in dollars: fills at the broker's prices."""
    return sum((parent.filled_value for parent in parents if parent.side is Side.SELL), ZERO)


def funds(account: Account) -> Decimal:
    """Return the dollars that may be spent: cash, less what open orders hold. Margin is not used."""
    return min(account.cash, account.buying_power)


def expected_notional(parents: Iterable[ParentOrder], available: Decimal) -> tuple[Decimal, Decimal]:
    """Return the dollars of buys and of sells that these parents may reach, at arrival mid.

    Buys count up to ``available`` dollars plus the sells, which is all that may be spent; they count as zero if margin
    debt is larger than the sells. The collar bounds the difference between fills and arrival mid.
    """
    notional = {Side.BUY: ZERO, Side.SELL: ZERO}
    for parent in parents:
        if parent.outcome is None and parent.arrival is not None:
            notional[parent.side] += parent.qty * parent.arrival.mid
    return max(ZERO, min(notional[Side.BUY], available + notional[Side.SELL])), notional[Side.SELL]


def has_arrived(shown: Decimal, expected: Decimal) -> bool:
    """Return whether the account shows the expected dollars, to the cent.

    Alpaca's account fields can lag behind a fill.
    """
    return shown >= expected - _CENT


def early_funds(starting_funds: Decimal, received: Decimal, config: ExecutionConfig) -> Decimal:
    """Return the dollars that the buys may cost in total while sells are still worked.

    This is the permitted part of the cash at the start + actual proceeds so far, less the buffer. Margin debt at the
    start is paid first.
    """
    idle = starting_funds * config.early_cash_fraction if starting_funds > 0 else starting_funds
    return max(ZERO, buy_budget(idle + received, config))


def buy_funds(shown: Decimal, expected: Decimal) -> Decimal:
    """Return the dollars that the buys may cost in total while they are worked.

    This is funds at the start + actual proceeds, and never more than the account shows.
    """
    return max(ZERO, min(expected, shown))


def buy_budget(available: Decimal, config: ExecutionConfig) -> Decimal:
    """Return the dollars that the buys are scaled to: ``available`` less the buffer for prices that rise afterwards."""
    return (available * (1 - config.cash_buffer)).quantize(_CENT, rounding=ROUND_FLOOR)


def spent(parents: Iterable[ParentOrder]) -> Decimal:
    """Return the dollars that the buys have spent: fills at the broker's prices."""
    return sum((parent.filled_value for parent in parents if parent.side is Side.BUY), ZERO)


def spendable(account: Account, parents: Collection[ParentOrder], config: ExecutionConfig) -> Decimal:
    """Return the dollars that an account has for this plan, its open buys included. Margin is not used.

    A cash account takes open orders from ``buying_power``: own ones are added back, those of others are not.
    """
    open_buys = committed(parents, config.widest_collar) - spent(parents)
    return min(account.cash, account.buying_power + open_buys)


def child_cost(parent: ParentOrder, qty: Decimal, limit_price: Decimal | None, collar: Decimal) -> Decimal:
    """Return the dollars that a buy of these shares may cost; see ``market_price`` for an order without a limit."""
    if limit_price is not None or parent.arrival is None:
        return qty * (limit_price or ZERO)
    return qty * market_price(Side.BUY, parent.arrival.ask, parent.arrival.mid * (1 + collar))


def scale_to_budget(
    buys: Iterable[ParentOrder],
    quotes: Mapping[str, Quote],
    budget: Decimal,
    config: ExecutionConfig,
    now: datetime,
) -> list[ParentOrder]:
    """Return the buys reduced to ``budget``: higher priorities first, equal priorities by the same fraction.

    Only parents without an outcome change; their quantity is frozen afterwards. It stays at least what their children
    have filled or may still fill. A buy without a usable quote counts at its arrival ask. Of equal buys the earlier one
    in ``buys`` is preferred: the callers pass them in the order of the plan's items, which the journal stores.

    Args:
        buys: the unsettled buys.
        quotes: usable quotes by symbol.
        budget: dollars that these buys may cost in total, what they have spent included.
        config: the minimum order and the collars.
        now: the time at which a buy is settled.
    """
    ordered, left, fitted = list(buys), budget, list[ParentOrder]()
    for _, equals in groupby(sorted(ordered, key=_priority), key=_priority):
        waiting = [buy for buy in equals if buy.outcome is None and buy.arrival is not None]
        prices = {buy.symbol: _expected_price(buy, quotes.get(buy.symbol), config) for buy in waiting}
        # Shares that are filled count at what they cost, not at the present price.
        left += sum((buy.filled_qty * prices[buy.symbol] - buy.filled_value for buy in waiting), ZERO)
        resized = _fit(waiting, prices, max(ZERO, left), config, now)
        left -= sum((buy.qty * prices[buy.symbol] for buy in resized if buy.outcome is None), ZERO)
        fitted += resized
    changed = {buy.symbol: buy for buy in fitted}
    return [changed.get(buy.symbol, buy) for buy in ordered]


def _priority(parent: ParentOrder) -> int:
    return parent.priority


def _expected_price(buy: ParentOrder, quote: Quote | None, config: ExecutionConfig) -> Decimal:
    """Return the price at which a buy is counted: in an auction the worst one, otherwise the far touch."""
    touch = _far_touch(buy, quote)
    return touch if buy.auction is None else _auction_price(buy, touch, config)


def _auction_price(buy: ParentOrder, touch: Decimal, config: ExecutionConfig) -> Decimal:
    """Return the highest price that a buy allows in its auction; a market order has none but the collar."""
    worst, auction, own = _worst(buy, config), buy.auction, config.for_symbol(buy.symbol)
    if auction is None or not auction.is_limited:
        return market_price(buy.side, touch, worst)
    limit = auction.limit_price or touch * (1 + own.limit_on_auction_collar)
    return min(limit, worst)


def _far_touch(buy: ParentOrder, quote: Quote | None) -> Decimal:
    """Return the far touch of a buy; without a usable quote, its arrival ask."""
    if quote is not None and quote.problem is None:
        return far_touch(Side.BUY, quote)
    return buy.arrival.ask if buy.arrival is not None else ZERO


def _fit(
    buys: list[ParentOrder], prices: Mapping[str, Decimal], left: Decimal, config: ExecutionConfig, now: datetime
) -> list[ParentOrder]:
    """Return the buys of one priority reduced to ``left`` dollars."""
    shares = divide([_wanted(buy, prices[buy.symbol], config) for buy in buys], left)
    unspent = left - sum((qty * prices[buy.symbol] for buy, qty in zip(buys, shares, strict=True)), ZERO)
    resized = []
    for buy, share in zip(buys, shares, strict=True):
        planned, qty = format_shares(buy.qty), max(share, buy.exposure)
        if buy.exposure and share - buy.exposure < _smallest(buy, prices[buy.symbol], config) and qty < buy.qty:
            qty = buy.exposure  # the rest would be too small to be sent
        if qty == buy.qty:
            resized.append(buy)
        elif qty > 0:
            text = f"reduced from {planned} to {format_shares(qty)} shares to fit the buy budget"
            resized.append(replace(buy, qty=qty, code=Code.SCALED_TO_CASH, message=text))
        else:
            remaining = format_dollars(unspent.quantize(_CENT, rounding=ROUND_FLOOR))
            shares_at = f"{planned} shares at ${format_decimal(prices[buy.symbol])}"
            text = f"{shares_at} do not fit into the remaining buy budget of {remaining}"
            outcome = Outcome.UNFILLED if buy.attempts else Outcome.SKIPPED
            resized.append(buy.settled(outcome, Code.INSUFFICIENT_CASH, text, now))
    return resized


def _smallest(buy: ParentOrder, price: Decimal, config: ExecutionConfig) -> Decimal:
    """Return the shares of the smallest order of a buy."""
    # With the collar on top, a small fall of the price does not make the smallest order too small to be sent.
    least = config.minimum_notional * (1 + config.for_symbol(buy.symbol).price_collar) / price
    return ceil_qty(least, fractionable=buy.fractionable)


def _wanted(buy: ParentOrder, price: Decimal, config: ExecutionConfig) -> Wanted:
    least = max(_smallest(buy, price, config), buy.exposure)
    return Wanted(
        qty=buy.qty,
        price=price,
        least=min(buy.qty, least),
        planned=buy.requested_amount,
        fractionable=buy.fractionable,
    )


@dataclass(frozen=True, slots=True)
class Allowance:
    """Dollars that the next order of a buy may cost."""

    amount: Decimal
    is_final: bool = True
    """False while proceeds are to come, or other buys hold dollars that they release if they do not need them."""


def allowances(
    parents: Iterable[ParentOrder],
    quotes: Mapping[str, Quote],
    left: Decimal,
    config: ExecutionConfig,
    *,
    may_grow: bool = False,
) -> dict[str, Allowance]:
    """Divide ``left`` dollars among the unsettled buys that have no open child; return their allowances by symbol.

    A lower priority gets what is left after the higher ones have all that they may still need, at their collar. Equal
    priorities get the same fraction of what they cost in total, fills included and the rest at the far touch, if the
    dollars do not suffice. What a buy with an open child may still need beyond that child is kept for it.

    Args:
        parents: all parents of the plan.
        quotes: the latest quotes, usable or not.
        left: dollars that the plan's buys may commit beyond their open children.
        config: the collars and the order style.
        may_grow: True while sells are worked, whose proceeds are still to come.
    """
    result, reserved = dict[str, Allowance](), ZERO
    buys = sorted((p for p in parents if p.side is Side.BUY and p.outcome is None and p.arrival), key=_priority)
    is_any_open = any(buy.open_child for buy in buys)
    for priority, group in groupby(buys, key=_priority):
        equals, is_first = list(group), priority == buys[0].priority
        live = {buy.symbol: _live_cost(buy, config.widest_collar) for buy in equals}
        worst = {buy.symbol: _worst(buy, config) for buy in equals}
        prices = {buy.symbol: _price(buy, quotes, worst, config) for buy in equals}
        costs = {buy.symbol: buy.filled_value + max(ZERO, buy.remaining) * prices[buy.symbol] for buy in equals}
        used = {buy.symbol: buy.filled_value + live[buy.symbol] for buy in equals}
        shares = _same_fraction(costs, used, max(ZERO, left - reserved))
        ready = [buy for buy in equals if buy.open_child is None]
        shares |= _in_whole_shares([buy for buy in ready if not buy.fractionable], shares, prices)
        for symbol in [buy.symbol for buy in ready]:
            result[symbol] = Allowance(shares[symbol], is_final=is_first and not is_any_open and not may_grow)
        reserved += sum((max(ZERO, b.remaining * worst[b.symbol] - live[b.symbol]) for b in equals), ZERO)
    return result


def _same_fraction(costs: Mapping[str, Decimal], used: Mapping[str, Decimal], pool: Decimal) -> dict[str, Decimal]:
    """Return the dollars of ``pool`` for each buy: with those it has used, all reach the same fraction of their costs.

    A buy that has used more than its fraction gets nothing. If ``pool`` is more than all need, each may use the rest.
    """
    total, cost = pool + sum(used.values(), ZERO), sum(costs.values(), ZERO)
    if total >= cost:
        return {symbol: costs[symbol] - used[symbol] + total - cost for symbol in costs}
    shares = dict.fromkeys(costs, ZERO)
    ahead = sorted((symbol for symbol in costs if costs[symbol] > 0), key=lambda symbol: -used[symbol] / costs[symbol])
    while ahead and used[ahead[0]] * cost > total * costs[ahead[0]]:
        first = ahead.pop(0)
        total, cost = total - used[first], cost - costs[first]
    return shares | {symbol: max(ZERO, costs[symbol] * total / cost - used[symbol]) for symbol in ahead}


def _in_whole_shares(
    buys: Iterable[ParentOrder], dollars: Mapping[str, Decimal], prices: Mapping[str, Decimal]
) -> dict[str, Decimal]:
    """Return the dollars of buys in whole shares: a part of a share buys nothing, so the largest are rounded up."""
    short = {b.symbol: dollars[b.symbol] for b in buys if 0 < dollars[b.symbol] < b.remaining * prices[b.symbol]}
    return {symbol: qty * prices[symbol] for symbol, qty in in_whole_shares(short, prices).items()}


def _worst(buy: ParentOrder, config: ExecutionConfig) -> Decimal:
    """Return the highest limit that a buy may have."""
    return collar(Side.BUY, buy.arrival, config.for_symbol(buy.symbol).price_collar) if buy.arrival else ZERO


def _price(
    buy: ParentOrder, quotes: Mapping[str, Quote], worst: Mapping[str, Decimal], config: ExecutionConfig
) -> Decimal:
    """Return the price at which the next child of a buy is counted: a market order has no limit but the collar."""
    highest = worst[buy.symbol]
    if config.for_symbol(buy.symbol).order_style is OrderStyle.MARKET:
        return market_price(buy.side, _far_touch(buy, quotes.get(buy.symbol)), highest)
    if buy.auction is not None:
        return _expected_price(buy, quotes.get(buy.symbol), config)
    return min(highest, _expected_price(buy, quotes.get(buy.symbol), config))


def committed_by_others(orders: Iterable[BrokerOrder], prefix: str) -> Decimal:
    """Return the dollars that open buys of earlier plans of this program may still spend.

    They are open although their plans are finished: their cancels were never confirmed. An order without a limit or a
    quantity counts as nothing; its plan is UNRESOLVED, and an operator must look.
    """
    own = (order for order in orders if order.side == Side.BUY and order.client_order_id.startswith(prefix))
    return sum(((o.qty or ZERO) - o.filled_qty) * (o.limit_price or ZERO) for o in own) or ZERO


def committed(parents: Iterable[ParentOrder], collar: Decimal) -> Decimal:
    """Return the dollars that the buys have spent or may still spend with their open children.

    An open market order has no limit: it counts at the arrival mid plus ``collar``, a fraction of the mid.
    """
    total = ZERO
    for parent in parents:
        if parent.side is Side.BUY:
            total += parent.filled_value + _live_cost(parent, collar) + _unpriced_cost(parent, collar)
    return total


def _live_cost(parent: ParentOrder, collar: Decimal) -> Decimal:
    """Return the dollars that the open child of a buy may still spend."""
    child = parent.open_child
    if child is None:
        return ZERO
    return child_cost(parent, max(child.qty - child.filled_qty, ZERO), child.limit_price, collar)


def _unpriced_cost(parent: ParentOrder, collar: Decimal) -> Decimal:
    """Return the dollars that the open child of a buy may have spent on shares whose price is not reported."""
    child = parent.open_child
    if child is None or child.filled_avg_price is not None:
        return ZERO
    return child_cost(parent, child.filled_qty, child.limit_price, collar)
