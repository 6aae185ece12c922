"""A portfolio, and the items of a plan that lead from it to target weights or by dollar amounts. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any

from rebalance_executor.domain.errors import InvalidInput
from rebalance_executor.domain.market import ZERO
from rebalance_executor.domain.session import new_york
from rebalance_executor.domain.values import cents, format_decimal, format_dollars

WEIGHT_TOLERANCE = Decimal("0.000001")
"""Amount by which target weights may exceed 1 in total: they are rounded."""
_WEIGHT_STEP = Decimal("0.000001")
_CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Holding:
    """A position."""

    value: Decimal | None
    """Dollars; None if there is no price."""
    qty: Decimal | None = None
    """Shares, negative for a short position; None if unknown."""


@dataclass(frozen=True, slots=True)
class Portfolio:
    """Holdings of an account."""

    equity: Decimal
    """Cash and positions in dollars: what a weight is a fraction of."""
    cash: Decimal
    """Dollars."""
    holdings: Mapping[str, Holding] = field(default_factory=dict)
    """By symbol."""

    def unlisted(self, weights: Mapping[str, object]) -> dict[str, Holding]:
        """Return the holdings in symbols without a weight."""
        return {symbol: self.holdings[symbol] for symbol in sorted(self.holdings) if symbol not in weights}

    def value(self, symbol: str) -> Decimal:
        """Return the dollars held in a symbol; 0 if it is not held.

        Raises:
            InvalidInput: the position has no price, is short, or is worth more than the portfolio.
        """
        holding = self.holdings.get(symbol)
        if holding is None:
            return ZERO
        name, value = f"holdings.{symbol}", holding.value
        if value is None:
            raise InvalidInput(name, "there is no price to value the position with; try again, or pass its value")
        if value < 0 or (holding.qty is not None and holding.qty < 0):
            raise InvalidInput(name, "is a short position, which no plan can change; close it first")
        if value > self.equity:
            held, equity = format_dollars(value), format_dollars(self.equity)
            raise InvalidInput(name, f"is worth {held}, more than the portfolio of {equity}; correct one of them")
        return value


@dataclass(frozen=True, slots=True)
class WeightRules:
    """Rules by which target weights become trades."""

    min_trade: Decimal = Decimal(1)
    """Dollars below which an item becomes a HOLD."""
    sell_unlisted: bool = False
    """True to sell holdings without a weight; False to leave them as they are."""
    priorities: Mapping[str, int] = field(default_factory=dict)
    """Priority by symbol, 1 (default) to 5. Buys of a higher priority use the cash first."""


def weights_document(
    weights: Mapping[str, Any], portfolio: Portfolio, strategy_id: str, timestamp: datetime, rules: WeightRules
) -> dict[str, Any]:
    """Return the plan document that leads to target weights; see ``RebalancePlan.from_weights``.

    Raises:
        InvalidInput: a weight or the portfolio is invalid.
    """
    _check_positive("equity", portfolio.equity)
    _check_positive("min_trade", rules.min_trade)
    targets = {symbol: _weight(symbol, weight) for symbol, weight in weights.items()}
    total = sum(targets.values(), ZERO)
    if total > 1 + WEIGHT_TOLERANCE:
        raise InvalidInput("weights", f"sum to {format_decimal(total)}, more than the portfolio; correct them")
    if rules.sell_unlisted:
        targets |= dict.fromkeys(portfolio.unlisted(targets), ZERO)
    items = [_weight_item(symbol, weight, portfolio, rules) for symbol, weight in targets.items()]
    return plan_document(items, portfolio.equity, day_plan_id(strategy_id, timestamp), timestamp) | {
        "strategy_id": strategy_id
    }


def amounts_document(
    amounts: Mapping[str, Decimal], portfolio: Portfolio, strategy_id: str, timestamp: datetime, rules: WeightRules
) -> dict[str, Any]:
    """Return the plan document that trades these dollars by symbol, positive to buy.

    Raises:
        InvalidInput: the amounts lead out of the portfolio.
    """
    _check_positive("portfolio_value", portfolio.equity)
    _check_positive("min_trade", rules.min_trade)
    items = [amount_item(symbol, amount, portfolio, rules) for symbol, amount in amounts.items()]
    total = sum((Decimal(item["target_value"]) for item in items), ZERO)
    if total > portfolio.equity:
        text = f"would be worth {format_dollars(total)}, more than the portfolio of {format_dollars(portfolio.equity)}"
        raise InvalidInput("items", f"{text}; correct the amounts, or the portfolio value")
    return plan_document(items, portfolio.equity, day_plan_id(strategy_id, timestamp), timestamp) | {
        "strategy_id": strategy_id
    }


def day_plan_id(strategy_id: str, at: datetime) -> str:
    """Return the plan ID of a strategy on the New York day of ``at``: ``momentum-2026-11-30``."""
    return f"{strategy_id}-{new_york(at).date().isoformat()}"


def plan_document(
    items: list[dict[str, Any]], portfolio_value: Decimal, plan_id: str, timestamp: datetime
) -> dict[str, Any]:
    """Return a plan document of these items.

    Args:
        items: the items as documents.
        portfolio_value: dollars.
        plan_id: ID of the plan, and of what it correlates with.
        timestamp: time at which the plan was made.
    """
    return {
        "schema_version": "1.0.0",
        "plan_id": plan_id,
        "correlation_id": plan_id,
        "causation_id": plan_id,
        "timestamp": timestamp.isoformat(timespec="seconds"),
        "total_portfolio_value": format_decimal(portfolio_value),
        "total_trade_value": format_decimal(sum((abs(Decimal(item["trade_amount"])) for item in items), ZERO)),
        "items": items,
    }


def amount_item(symbol: str, amount: Decimal, portfolio: Portfolio, rules: WeightRules) -> dict[str, Any]:
    """Return the item that trades these dollars, positive to buy, as a document. It never asks for a full exit.

    Raises:
        InvalidInput: more is sold than held, or the target would be worth more than the portfolio.
    """
    value = cents(portfolio.value(symbol))
    target = value + amount
    if target < 0:
        text = f"sells {format_dollars(-amount)}, and {format_dollars(value)} is held"
        raise InvalidInput(f"items.{symbol}", f"{text}; correct the amount, or the current value")
    if target > portfolio.equity:
        text = f"would be worth {format_dollars(target)}, more than the portfolio of {format_dollars(portfolio.equity)}"
        raise InvalidInput(f"items.{symbol}", f"{text}; correct the amount, or the portfolio value")
    if target == 0 and amount:
        target = _CENT  # 0 on a SELL asks for a full exit, which a dollar amount does not request
    weights = (_share(value, portfolio), _share(target, portfolio))
    return _item(symbol, amount, (value, target), weights, rules)


def _weight_item(symbol: str, weight: Decimal, portfolio: Portfolio, rules: WeightRules) -> dict[str, Any]:
    value, target = cents(portfolio.value(symbol)), cents(weight * portfolio.equity)
    return _item(symbol, target - value, (value, target), (_share(value, portfolio), weight), rules)


def _share(value: Decimal, portfolio: Portfolio) -> Decimal:
    return (value / portfolio.equity).quantize(_WEIGHT_STEP, ROUND_HALF_EVEN)


def _item(
    symbol: str,
    amount: Decimal,
    values: tuple[Decimal, Decimal],
    weights: tuple[Decimal, Decimal],
    rules: WeightRules,
) -> dict[str, Any]:
    """Return an item as a document; ``values`` in dollars and ``weights`` are those now and at the target."""
    (current, weight), (value, target) = weights, values
    action = "HOLD" if abs(amount) < rules.min_trade else "BUY" if amount > 0 else "SELL"
    return {
        "symbol": symbol,
        "action": action,
        "trade_amount": format_decimal(amount) if action != "HOLD" else "0",
        "current_weight": format_decimal(current),
        "target_weight": format_decimal(weight),
        "weight_diff": format_decimal(weight - current),
        "target_value": format_decimal(target),
        "current_value": format_decimal(value),
        "priority": rules.priorities.get(symbol, 1),
    }


def _weight(symbol: str, weight: object) -> Decimal:
    """Return a weight as an exact decimal; a float becomes what it prints as.

    Raises:
        InvalidInput: it is no number from 0 to 1.
    """
    name = f"weights.{symbol}"
    try:
        number = Decimal(str(weight)) if not isinstance(weight, bool) else None
    except InvalidOperation:
        number = None
    if number is None or not number.is_finite():
        raise InvalidInput(name, f"{weight} is not a number; write a fraction like 0.25")
    if not 0 <= number <= 1:
        raise InvalidInput(name, f"{weight} is not from 0 to 1; write a fraction like 0.25")
    return number


def _check_positive(name: str, number: Decimal) -> None:
    """Raise ``InvalidInput`` unless these dollars are a positive number."""
    if not (number.is_finite() and number > 0):
        raise InvalidInput(name, f"{number} is not a positive number of dollars")
