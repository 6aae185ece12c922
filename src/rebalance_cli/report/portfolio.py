"""Cash and weights of a plan before and after, from its journal and its result."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from rebalance_executor.domain.market import ZERO
from rebalance_executor.domain.plan import Action
from rebalance_executor.domain.result import ExecutionResult
from rebalance_executor.domain.values import cents, sum_of_cents


@dataclass(frozen=True, slots=True)
class Cash:
    """Dollars that could be spent before and after the plan; the sum adds up to the cent."""

    before: Decimal
    sold: Decimal
    bought: Decimal

    @property
    def after(self) -> Decimal:
        """Cash before, plus what was sold, less what was bought."""
        return self.before + self.sold - self.bought


@dataclass(frozen=True, slots=True)
class Weight:
    """Share of one symbol in the portfolio, in percent."""

    symbol: str
    before: Decimal
    target: Decimal | None
    after: Decimal

    @property
    def gap(self) -> Decimal | None:
        """Percentage points above (positive) or below the target afterwards; None without a target."""
        return None if self.target is None else self.after - self.target


def cash(result: ExecutionResult, starting_funds: Decimal) -> Cash:
    """Return the cash of a plan that started with ``starting_funds`` dollars."""

    def filled(action: Action) -> Decimal:
        return sum_of_cents(abs(order.trade_amount) for order in result.orders if order.action is action)

    return Cash(cents(starting_funds), filled(Action.SELL), filled(Action.BUY))


def weights(result: ExecutionResult, of_cash: Cash) -> tuple[Weight, ...]:
    """Return the weight of each item that has one, furthest from its target first, and that of the cash.

    The weights afterwards follow from the filled dollars and the portfolio value of the plan.
    """
    rows = sorted(_weights(result), key=lambda row: (-abs(row.gap or ZERO), row.symbol))
    total = result.total_portfolio_value
    if not rows or not total:
        return ()
    share = Weight("Cash", of_cash.before / total * 100, None, of_cash.after / total * 100)
    return (*rows, share)


def _weights(result: ExecutionResult) -> Iterator[Weight]:
    total = result.total_portfolio_value
    for order in result.orders if total else ():
        if total and order.current_weight is not None and order.target_weight is not None:
            before = order.current_weight * 100
            yield Weight(order.symbol, before, order.target_weight * 100, before + order.trade_amount / total * 100)
