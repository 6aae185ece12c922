"""Division of dollars among the buys of one priority: the same fraction of each, in allowed quantities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal, localcontext

from rebalance_executor.domain.market import ZERO
from rebalance_executor.domain.sizing import floor_qty

_ONE_SHARE = Decimal(1)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A buy that takes part in a division."""

    qty: Decimal
    """Shares that it gets if the dollars suffice for all."""
    price: Decimal
    """Dollars per share."""
    least: Decimal
    """Shares of the smallest order worth sending, at most ``qty``."""
    planned: Decimal
    """Dollars of the plan's item; if not all can be served, the smallest are left out."""
    fractionable: bool = True

    @property
    def cost(self) -> Decimal:
        """Dollars of all shares."""
        return self.qty * self.price


def divide(wanted: Sequence[Wanted], budget: Decimal) -> list[Decimal]:
    """Return the shares that each buy gets; their total cost is at most ``budget``.

    Buys that do not fit get the same fraction of their shares, but at least their smallest order. A buy gets zero if
    its smallest order does not fit beside those of buys with more planned dollars; the earlier one of equals is served.
    Whole shares are rounded by largest remainder, the earlier one of equals first; fractional buys take up the rest.
    """
    if sum((want.cost for want in wanted), ZERO) <= budget:
        return [want.qty for want in wanted]
    served = _served(wanted, budget)
    with localcontext() as context:
        context.rounding = ROUND_FLOOR  # the 28th digit must not lift the total above the budget
        whole = _whole_shares(served, budget)
        left = budget - sum((served[index].price * qty for index, qty in whole.items()), ZERO)
        fractional = {index: want for index, want in served.items() if want.fractionable}
        parts = {index: floor_qty(qty, fractionable=True) for index, qty in _in_proportion(fractional, left).items()}
    got = whole | parts
    return [got.get(index, ZERO) for index in range(len(wanted))]


def _served(wanted: Sequence[Wanted], budget: Decimal) -> dict[int, Wanted]:
    """Return the buys whose smallest orders fit together, by their place; larger ones come first."""
    served, left = dict[int, Wanted](), budget
    for index, want in sorted(enumerate(wanted), key=lambda pair: -pair[1].planned):
        if want.least * want.price <= left:
            served[index] = want
            left -= want.least * want.price
    return dict(sorted(served.items()))


def _in_proportion(wanted: dict[int, Wanted], budget: Decimal) -> dict[int, Decimal]:
    """Return the same fraction of each buy's shares, at least its smallest order, not rounded to a quantity."""
    left, cost = budget, sum((want.cost for want in wanted.values()), ZERO)
    least = dict[int, Decimal]()
    for index, want in sorted(wanted.items(), key=lambda pair: -pair[1].least / pair[1].qty):
        if left * want.qty >= want.least * cost:
            break  # the fraction left / cost gives this buy, and all after it, at least their smallest order
        least[index] = want.least
        left -= want.least * want.price
        cost -= want.cost
    rest = {index: want for index, want in wanted.items() if index not in least}
    return least | {index: min(want.qty, want.qty * left / cost) for index, want in rest.items()}


def _whole_shares(wanted: dict[int, Wanted], budget: Decimal) -> dict[int, Decimal]:
    """Return the shares of the buys that need whole ones, rounded by largest remainder within their own dollars."""
    ideal = {index: qty for index, qty in _in_proportion(wanted, budget).items() if not wanted[index].fractionable}
    prices = {index: wanted[index].price for index in sorted(ideal)}
    return in_whole_shares({index: ideal[index] * price for index, price in prices.items()}, prices)


def in_whole_shares[K](dollars: Mapping[K, Decimal], prices: Mapping[K, Decimal]) -> dict[K, Decimal]:
    """Return the whole shares that these dollars buy together: rounded by largest remainder, the earlier of equals."""
    got = {key: floor_qty(amount / prices[key], fractionable=False) for key, amount in dollars.items()}
    rest = {key: amount - got[key] * prices[key] for key, amount in dollars.items()}
    left = sum(rest.values(), ZERO)
    for key in sorted((key for key in rest if rest[key] > 0), key=lambda key: -rest[key] / prices[key]):
        if prices[key] <= left:
            got[key] += _ONE_SHARE
            left -= prices[key]
    return got
