"""A strategy's plans, executed by the real program while everything around it fails: ``python simulate_a_strategy.py``.

Replace ``equal_weight`` by your own. Every history draws a market and an account, lets the strategy make its plan for
them, and executes it while the process is killed, answers are lost, orders fill in parts or never, and others trade on
the account. Every promise of docs/reliability.md is looked at after every call to the outside.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from decimal import Decimal
from random import Random

from rebalance_executor import RebalancePlan, RebalancePlanItem
from rebalance_simulation import BEGIN, Case, play_seeds

SYMBOLS = ("AAPL", "BND", "SPY", "TLT")
CENT = Decimal("0.01")


def equal_weight(prices: Mapping[str, Decimal], shares: Mapping[str, Decimal], cash: Decimal) -> RebalancePlan:
    """The strategy: the same dollars in every symbol, and a twentieth in cash."""
    held = {symbol: (shares[symbol] * prices[symbol]).quantize(CENT) for symbol in prices}
    total = sum(held.values(), cash)
    wanted = (total * Decimal("0.95") / len(prices)).quantize(CENT)
    items = []
    for symbol, value in held.items():
        amount = wanted - value
        weight, target = round(value / total, 6), round(wanted / total, 6)
        items.append(
            RebalancePlanItem(
                symbol=symbol,
                action="BUY" if amount > 0 else "SELL" if amount < 0 else "HOLD",
                trade_amount=amount,
                current_weight=weight,
                target_weight=target,
                weight_diff=target - weight,
                current_value=value,
                target_value=wanted,
                priority=1,
            )
        )
    return RebalancePlan(
        plan_id="equal-weight",
        correlation_id="equal-weight",
        causation_id="example",
        timestamp=BEGIN,
        items=items,
        total_portfolio_value=total,
        total_trade_value=sum((abs(item.trade_amount) for item in items), Decimal()),
    )


def case(chance: Random) -> Case:
    """One history's market and account, and the strategy's plan for them."""
    prices = {symbol: Decimal(chance.randint(2_000, 40_000)) / 100 for symbol in SYMBOLS}
    shares = {symbol: Decimal(chance.randint(0, 200)) for symbol in SYMBOLS}
    cash = Decimal(chance.randint(1_000, 20_000))
    market = {
        "account": {"cash": str(cash)},
        "clock": {"sessions": "always_open"},
        "quotes": {s: {"bid": str(price - CENT), "ask": str(price + CENT)} for s, price in prices.items()},
        "positions": [{"symbol": symbol, "qty": str(qty)} for symbol, qty in shares.items() if qty],
    }
    return Case(plans=[equal_weight(prices, shares, cash).model_dump(mode="json")], scenario=market)


def main(histories: int = 200) -> int:
    """Play so many histories; the exit code is 1 where a promise was broken."""
    tally = play_seeds(0, histories, case)
    outcomes = ", ".join(f"{count} {name.lower()}" for name, count in sorted(tally.outcomes.items()))
    print(f"{tally.histories} histories, {tally.deliveries} deliveries, {tally.orders} orders at the broker")
    print(f"faults and other mishaps: {tally.happened.total()}")
    print(f"items: {outcomes}")
    print(f"broken promises: {tally.failed}")
    for failure in tally.failures:
        print(f"\n{failure.problem}\n{failure.timeline}\nagain: {failure.replay}")
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
