"""Several plans, a person, and two names on one broker account that may borrow and sell short: it never has to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from rebalance_executor.domain.errors import PlanYielded
from tests.support.world import KEYS, HandlerWorld, a_world, buy, exit_of, outcomes, plan, sell

ALLOWS_ALL = {"multiplier": "4", "shorting_enabled": True}
"""An account that lends cash and shares."""
RESTS = {"symbol": "AAA", "nth": 1, "behaviour": "never"}
"""The first order in AAA rests; later ones fill."""
SLOW = {"child_wait_seconds": 60, "duplicate_window_minutes": 0}


def cash(world: HandlerWorld) -> Decimal:
    """Return the cash of the broker account."""
    return Decimal(world.broker.app.exchange.account()["cash"])


def shares(world: HandlerWorld, symbol: str) -> Decimal:
    """Return the position in ``symbol``; short positions are negative."""
    positions = world.broker.app.exchange.positions()
    return sum((Decimal(p["qty"]) for p in positions if p["symbol"] == symbol), Decimal())


def start(world: HandlerWorld, document: Mapping[str, Any]) -> None:
    """Deliver a plan whose run yields with its first order unfilled."""
    with pytest.raises(PlanYielded):
        world.deliver(document, seconds=20)


def person(world: HandlerWorld, symbol: str, side: str, qty: str) -> None:
    """Send the market order of a person on the same account."""
    world.broker.app.exchange.submit_order(
        {"symbol": symbol, "side": side, "qty": qty, "type": "market", "time_in_force": "day"}
    )


def test_two_plans_spend_the_cash_of_one() -> None:
    with a_world(cash="5000", fills=[RESTS], config=SLOW, account=ALLOWS_ALL) as world:
        first = plan(buy("AAA", 4800), plan_id="first")
        start(world, first)
        second = world.deliver(plan(buy("BBB", 4800), plan_id="second"))

        assert outcomes(world.deliver(first)) == {"AAA": ("FILLED", None)}
        assert outcomes(second)["BBB"][1] in ("SCALED_TO_CASH", "INSUFFICIENT_CASH")
        assert cash(world) >= 0


def test_two_plans_sell_the_shares_of_one() -> None:
    with a_world(positions={"AAA": "20"}, fills=[RESTS], config=SLOW, account=ALLOWS_ALL) as world:
        first = plan(exit_of("AAA", 2000), plan_id="first")
        start(world, first)
        world.deliver(plan(sell("AAA", 1000), plan_id="second"))

        assert outcomes(world.deliver(first)) == {"AAA": ("FILLED", None)}
        assert shares(world, "AAA") == 0


def test_fills_of_another_plan_are_no_difference() -> None:
    with a_world(positions={"AAA": "20"}, fills=[RESTS], config=SLOW) as world:
        first = plan(exit_of("AAA", 2000), plan_id="first")
        start(world, first)
        second = world.deliver(plan(buy("AAA", 700), plan_id="second"))

        assert outcomes(world.deliver(first)) == {"AAA": ("FILLED", None)}
        assert outcomes(second) == {"AAA": ("FILLED", None)}


def test_person_who_closes_the_position_between_two_orders_causes_no_short_sale() -> None:
    with a_world(positions={"AAA": "20"}, fills=[RESTS], config={"child_wait_seconds": 5}, account=ALLOWS_ALL) as world:
        world.after(3, lambda: person(world, "AAA", "sell", "20"))
        world.deliver(plan(exit_of("AAA", 2000)))

        assert shares(world, "AAA") == 0


def test_person_who_spends_the_cash_between_two_orders_causes_no_margin_debt() -> None:
    with a_world(cash="5000", fills=[RESTS], config={"child_wait_seconds": 5}, account=ALLOWS_ALL) as world:
        world.after(3, lambda: person(world, "BBB", "buy", "45"))
        world.deliver(plan(buy("AAA", 4800)))

        assert cash(world) >= 0
        assert shares(world, "AAA") > 0


def test_second_name_of_a_broker_account_trades_nothing() -> None:
    with a_world() as world:
        world.session.client("secretsmanager").create_secret(Name="alpaca/paper1", SecretString=json.dumps(KEYS))
        world.deliver(plan(buy("AAA", 1000)))
        result = world.deliver(plan(buy("AAA", 1000), account="paper1"))

        assert outcomes(result) == {"AAA": ("DENIED", "ACCOUNT_MISMATCH")}
        assert shares(world, "AAA") == 10
