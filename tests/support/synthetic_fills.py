"""Journals of plans whose orders fill with known rates, for tests of the calibration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

from rebalance_executor.domain.journal import PlanJournal
from rebalance_executor.domain.market import Arrival, BrokerKind
from rebalance_executor.domain.orders import ChildOrder, ChildState, ParentOrder
from tests.support.builders import BUY, SELL, a_child, a_parent, a_plan, a_state, an_item, later

_CANCEL_SECONDS = 0.2
_CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Market:
    """A market in which a resting order fills at a constant rate, and the mid moves away from one that does not."""

    hazard: Callable[[float], float]
    """Fills per second at a place in the spread."""
    drift: float = 0.0
    """Half spreads per second, against unfilled orders."""
    ticks: int = 4
    places: tuple[str, ...] = ("0", "0.25", "0.5", "0.75", "1")
    wait_seconds: float = 5.0
    qty: str = "10"
    displayed: str = "100"


def journals(
    market: Market, *, plans: int = 20, symbols: int = 5, seed: int = 1, broker: BrokerKind = BrokerKind.LIVE
) -> list[PlanJournal]:
    """Return the journals of plans that trade each symbol once."""
    random, made = Random(seed), []  # noqa: S311 - synthetic data
    for number in range(plans):
        names = [f"S{symbol}" for symbol in range(symbols)]
        plan = a_plan(*(an_item(name) for name in names), plan_id=f"plan-{seed}-{number}")
        parents = {name: _parent(market, name, random) for name in names}
        made.append(PlanJournal(replace(a_state(plan), broker=broker), parents))
    return made


def _parent(market: Market, symbol: str, random: Random) -> ParentOrder:
    side = random.choice((BUY, SELL))
    sign = 1 if side is BUY else -1
    spread = market.ticks * _CENT
    bid, at, children = Decimal(100), later(random.uniform(0, 60)), []
    for attempt, place in enumerate(market.places, 1):
        steps = int(Decimal(place) * market.ticks) * _CENT
        limit = bid + steps if side is BUY else bid + spread - steps
        child = a_child(ChildState.LIVE, attempt=attempt, qty=market.qty, limit=str(limit))
        child = replace(child, intended_at=at, submitted_at=at, bid=bid, ask=bid + spread)
        rate = market.hazard(float(steps / spread))
        fills_after = random.expovariate(rate) if rate > 0 else float("inf")
        if fills_after <= market.wait_seconds or place == "1":
            children.append(filled(child, at + timedelta(seconds=fills_after)))
            break
        closed_at = at + timedelta(seconds=market.wait_seconds + _CANCEL_SECONDS)
        children.append(canceled(child, closed_at))
        moved = market.drift * market.ticks / 2 * (closed_at - at).total_seconds()  # in ticks
        bid += sign * int(moved + random.random() + random.choice((-1, 0, 1)) + 100) * _CENT - sign * 100 * _CENT
        at = closed_at
    arrival = Arrival(Decimal(100), Decimal(100) + spread, children[0].intended_at, Decimal(market.displayed))
    return replace(a_parent(*children, side=side, symbol=symbol, qty=market.qty), arrival=arrival)


def filled(child: ChildOrder, at: datetime) -> ChildOrder:
    """Return the child filled completely at its limit."""
    return replace(
        child,
        state=ChildState.FILLED,
        status="filled",
        filled_qty=child.qty,
        filled_avg_price=child.limit_price,
        filled_at=at,
        closed_at=at,
    )


def canceled(child: ChildOrder, at: datetime) -> ChildOrder:
    """Return the child canceled at this time, with the fills that it has."""
    return replace(child, state=ChildState.CANCELED, status="canceled", cancel_requested_at=at, closed_at=at)
