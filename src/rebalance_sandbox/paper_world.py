"""Prices, positions and cash of the simulated broker, derived from plans.

Pure: the same plans give the same values. A symbol that the broker does not know gets a price from a hash of its name:
plausible, different for each symbol and the same on every day.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal

from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.domain.values import format_decimal

CENT = Decimal("0.01")
SHARE_STEP = Decimal("0.000001")
"""Positions have six decimals of a share."""
DEPTH = 20_000
"""Shares at the best bid and at the best ask: more than a plan of a private account trades."""
DEFAULT_FILL = {"behaviour": "later", "after_seconds": 1}
"""Fill behaviour: an order that rests inside the spread fills after one second."""
_LOWEST_PRICE = 20
_PRICES = 380_00
"""Number of prices in steps of one cent: 20 to 400 dollars, where one cent is 5 basis points or less."""
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class SeedQuote:
    """Bid and ask in dollars."""

    bid: Decimal
    ask: Decimal

    @property
    def mid(self) -> Decimal:
        """Midpoint of bid and ask in dollars."""
        return (self.bid + self.ask) / 2


@dataclass(frozen=True, slots=True)
class PaperWorld:
    """State that the simulated broker gets before plans run for the first time."""

    new_quotes: Mapping[str, SeedQuote]
    """Quotes of the symbols that the broker does not know."""
    positions: Mapping[str, Decimal]
    """Shares of every symbol in the plans; zero for symbols that are not held."""
    prices: Mapping[str, Decimal]
    """Midpoint of each of these symbols, in dollars."""
    cash: Decimal
    """Dollars."""

    @property
    def holdings(self) -> int:
        """Number of symbols with a position."""
        return sum(qty > 0 for qty in self.positions.values())

    def as_request(self) -> dict[str, object]:
        """Return the body of ``POST /admin/world``."""
        return {
            "account": {"cash": format_decimal(self.cash)},
            "clock": {"mode": "real", "sessions": "always_open"},
            "default_fill": DEFAULT_FILL,
            "quotes": {symbol: quote_request(symbol, quote) for symbol, quote in self.new_quotes.items()},
            "positions": [
                {"symbol": symbol, "qty": format_decimal(qty), "avg_entry_price": format_decimal(self.prices[symbol])}
                for symbol, qty in self.positions.items()
            ],
        }


def world_for(plans: Iterable[RebalancePlan], known: Mapping[str, SeedQuote]) -> PaperWorld:
    """Return the state in which the values and the cash of these plans are correct.

    Args:
        plans: plans that have not started; a plan that appears twice counts once.
        known: quotes that the broker has already and keeps.
    """
    values: dict[str, Decimal] = {}
    cash = _ZERO
    for plan in {plan.plan_id: plan for plan in plans}.values():
        cash += assumed_cash(plan)
        for item in plan.items:
            values[item.symbol] = values.get(item.symbol, _ZERO) + item.current_value
    quotes = {symbol: known.get(symbol) or plausible_quote(symbol) for symbol in values}
    return PaperWorld(
        new_quotes={symbol: quote for symbol, quote in quotes.items() if symbol not in known},
        positions={symbol: shares_worth(value, quotes[symbol].mid) for symbol, value in values.items()},
        prices={symbol: quote.mid for symbol, quote in quotes.items()},
        cash=cash.quantize(CENT, rounding=ROUND_HALF_EVEN),
    )


def assumed_cash(plan: RebalancePlan) -> Decimal:
    """Return the cash that a plan assumes, in dollars.

    That is ``metadata.cash_balance``, or the portfolio value minus the holdings if the field is missing or unusable.
    """
    stated = (plan.metadata or {}).get("cash_balance")
    if stated is not None:
        try:
            cash = Decimal(str(stated))
        except ArithmeticError:
            cash = Decimal("NaN")
        if cash.is_finite():
            return max(cash, _ZERO)
    return max(plan.total_portfolio_value - sum((item.current_value for item in plan.items), _ZERO), _ZERO)


def shares_worth(value: Decimal, price: Decimal) -> Decimal:
    """Return the shares, to six decimals, worth ``value`` dollars at ``price``; at least one step if positive."""
    shares = (value / price).quantize(SHARE_STEP, rounding=ROUND_HALF_EVEN)
    return max(shares, SHARE_STEP) if value > 0 else _ZERO


def plausible_quote(symbol: str) -> SeedQuote:
    """Return a quote 1 to 5 basis points wide that depends only on the symbol."""
    digest = hashlib.sha256(symbol.encode()).digest()
    bid = _LOWEST_PRICE + Decimal(int.from_bytes(digest[:4]) % _PRICES) / 100
    basis_points = 1 + digest[4] % 5
    spread = (bid * basis_points / 10_000).quantize(CENT, rounding=ROUND_DOWN)
    return SeedQuote(bid=bid, ask=bid + max(spread, CENT))


def quote_request(symbol: str, quote: SeedQuote) -> dict[str, object]:
    """Return the quote of a symbol as in ``POST /admin/world``."""
    move = Decimal(hashlib.sha256(symbol.encode()).digest()[5] - 128) / 6400  # the previous close is within ±2 %
    previous = (quote.bid * (1 - move)).quantize(CENT, rounding=ROUND_HALF_EVEN)
    return {
        "bid": format_decimal(quote.bid),
        "ask": format_decimal(quote.ask),
        "bid_size": DEPTH,
        "ask_size": DEPTH,
        "last": format_decimal(quote.bid),
        "prev_close": format_decimal(previous),
    }
