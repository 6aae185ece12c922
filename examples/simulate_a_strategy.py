"""Run a strategy's plans with the real program under faults: ``python simulate_a_strategy.py``.

Replace ``equal_weight`` with your own strategy. Each history draws a market and an account, lets the strategy make its
plan for them, and executes it while the process is killed, answers are lost, orders fill in part or never, and others
trade on the account. Every invariant of docs/evidence/reliability.md is checked after every external call.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from decimal import Decimal
from random import Random

from rebalance_executor import RebalancePlan, RebalancePlanItem
from rebalance_executor.domain.plan import Action
from rebalance_simulation import START, Case, play_seeds

SYMBOLS = ("AAPL", "BND", "SPY", "TLT")
CENT = Decimal("0.01")


def equal_weight(prices: Mapping[str, Decimal], shares: Mapping[str, Decimal], cash: Decimal) -> RebalancePlan:
    """Return a plan that holds 95 % of the portfolio in equal dollar amounts of every symbol, and the rest in cash."""
    values = {symbol: (shares[symbol] * prices[symbol]).quantize(CENT) for symbol in prices}
    total = sum(values.values(), cash)
    target_value = (total * Decimal("0.95") / len(prices)).quantize(CENT)
    items = []
    for symbol, value in values.items():
        amount = target_value - value
        weight, target = round(value / total, 6), round(target_value / total, 6)
        items.append(
            RebalancePlanItem(
                symbol=symbol,
                action=Action("BUY" if amount > 0 else "SELL" if amount < 0 else "HOLD"),
                trade_amount=amount,
                current_weight=weight,
                target_weight=target,
                weight_diff=target - weight,
                current_value=value,
                target_value=target_value,
                priority=1,
            )
        )
    return RebalancePlan(
        plan_id="equal-weight",
        correlation_id="equal-weight",
        causation_id="example",
        timestamp=START,
        items=tuple(items),
        total_portfolio_value=total,
        total_trade_value=sum((abs(item.trade_amount) for item in items), Decimal()),
    )


def case(rng: Random) -> Case:
    """Draw the market and the account of one history, and make the strategy's plan for them."""
    prices = {symbol: Decimal(rng.randint(2_000, 40_000)) / 100 for symbol in SYMBOLS}
    shares = {symbol: Decimal(rng.randint(0, 200)) for symbol in SYMBOLS}
    cash = Decimal(rng.randint(1_000, 20_000))
    market = {
        "account": {"cash": str(cash)},
        "clock": {"sessions": "always_open"},
        "quotes": {s: {"bid": str(price - CENT), "ask": str(price + CENT)} for s, price in prices.items()},
        "positions": [{"symbol": symbol, "qty": str(qty)} for symbol, qty in shares.items() if qty],
    }
    return Case(plans=[equal_weight(prices, shares, cash).model_dump(mode="json")], scenario=market)


def main(histories: int = 200) -> int:
    """Run this many histories and print their statistics; return 1 if an invariant was broken."""
    stats = play_seeds(0, histories, case)
    outcomes = ", ".join(f"{count} {name.lower()}" for name, count in sorted(stats.outcomes.items()))
    print(f"{stats.histories} histories, {stats.deliveries} deliveries, {stats.orders} orders at the broker")
    print(f"faults and events: {stats.event_counts.total()}")
    print(f"items: {outcomes}")
    print(f"broken invariants: {stats.failed}")
    for failure in stats.failures:
        print(f"\n{failure.problem}\n{failure.timeline}\nrun again: {failure.replay}")
    return 1 if stats.failed else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
