"""Generated journals of plans with forecasts and benchmarks, for tests that recompute their costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from random import Random

from rebalance_executor.domain.benchmarks import Benchmarks, FillMids, Horizon
from rebalance_executor.domain.forecast import CostForecast
from rebalance_executor.domain.journal import PlanJournal
from rebalance_executor.domain.market import BrokerKind, OrderType, Side
from rebalance_executor.domain.orders import ChildOrder, ChildState, Outcome, ParentOrder
from rebalance_executor.domain.plan import RebalancePlan, Urgency
from rebalance_executor.domain.result_builder import PlanEnd, build_result
from tests.support.builders import (
    BUY,
    NOW,
    SELL,
    a_child,
    a_parent,
    a_plan,
    a_quote,
    a_state,
    an_item,
    later,
)

_CENT = Decimal("0.01")
_RUNGS = (Decimal("0.1"), Decimal("0.3"), Decimal("0.5"), Decimal(1))


def generated(
    seed: int, *, plans: int = 4, orders: int = 4, broker: BrokerKind = BrokerKind.SIMULATED
) -> list[PlanJournal]:
    """Return the journals of finished plans with drawn orders: ladders and market orders, filled, in parts or not.

    Some orders have no forecast, some no benchmarks yet, some benchmarks without all prices.
    """
    random = Random(seed)  # noqa: S311 - synthetic data
    return [_plan(random, f"plan-{seed}-{number}", orders, broker) for number in range(plans)]


def _plan(random: Random, plan_id: str, orders: int, broker: BrokerKind) -> PlanJournal:
    sides = {f"S{number}": random.choice((BUY, SELL)) for number in range(orders)}
    items = [an_item(name, side.name, "1" if side is BUY else "-1") for name, side in sides.items()]
    plan = a_plan(*items, plan_id=plan_id, execution_urgency=random.choice(list(Urgency)).value)
    parents = {name: _parent(random, name, side) for name, side in sides.items()}
    read = {name: made for name, parent in parents.items() if (made := _benchmarks(random, parent)) is not None}
    return finished(plan, parents, read, broker)


def finished(
    plan: RebalancePlan,
    parents: dict[str, ParentOrder],
    benchmarks: dict[str, Benchmarks],
    broker: BrokerKind = BrokerKind.SIMULATED,
) -> PlanJournal:
    """Return the journal of a plan with its result."""
    state = replace(a_state(plan), broker=broker, trading_day=NOW.date())
    result = build_result(plan, state, parents, PlanEnd(later(60), Decimal("0.01")))
    return PlanJournal(state, parents, result=result, benchmarks=benchmarks)


def _parent(random: Random, symbol: str, side: Side) -> ParentOrder:
    bid = random.randint(500, 40_000) * _CENT
    spread = random.randint(0, 12) * _CENT
    arrival = a_quote(str(bid), str(bid + spread), symbol=symbol)
    children = tuple(_children(random, bid, spread))
    qty = sum((child.qty for child in children), Decimal())
    parent = a_parent(
        *children,
        side=side,
        qty=str(qty),
        symbol=symbol,
        arrival=arrival if random.random() < 0.9 else None,
        forecast=_forecast(random),
    )
    return parent.settled(
        Outcome.FILLED if parent.filled_qty == qty else Outcome.PARTIALLY_FILLED, None, None, later(50)
    )


def _children(random: Random, bid: Decimal, spread: Decimal) -> Iterator[ChildOrder]:
    is_market = random.random() < 0.2
    for attempt in range(1, random.randint(2, 5)):
        bid += random.randint(-3, 3) * _CENT
        qty = Decimal(random.randint(1, 2_000_000_000)) / 10_000_000
        filled = random.choice((Decimal(0), qty, (qty / 3).quantize(Decimal("0.000000001"))))
        has_quote = random.random() < 0.9
        price = bid + spread * random.randint(-2, 12) / 10 + Decimal(random.randint(-99, 99)) / 1_000_000
        yield replace(
            a_child(ChildState.FILLED if filled == qty else ChildState.CANCELED, attempt=attempt, qty=str(qty)),
            type=OrderType.MARKET if is_market else OrderType.LIMIT,
            spread_fraction=None if is_market else _RUNGS[min(attempt, 4) - 1],
            bid=bid if has_quote else None,
            ask=bid + spread if has_quote else None,
            filled_qty=filled,
            filled_avg_price=price if filled else None,
            submitted_at=later(attempt * 7),
            filled_at=later(attempt * 7 + 2) if filled else None,
            closed_at=later(attempt * 7 + 4),
        )


def _forecast(random: Random) -> CostForecast | None:
    drawn = random.random()
    if drawn < 0.2:
        return None
    if drawn < 0.3:
        return CostForecast(None, None, None, "no spread")
    middle, half = Decimal(random.randint(-20, 90)) / 10, Decimal(random.randint(1, 400)) / 10
    return CostForecast(middle, middle - half, middle + half)


def _benchmarks(random: Random, parent: ParentOrder) -> Benchmarks | None:
    if not parent.filled_qty or random.random() < 0.2:
        return None
    level = next(child.filled_avg_price for child in parent.children if child.filled_avg_price is not None)

    def price() -> Decimal | None:
        moved = level + Decimal(random.randint(-90_000, 90_000)) / 1_000_000
        return moved if random.random() < 0.9 else None

    fills = []
    for child in parent.children:
        if child.filled_qty:
            mids = {h: price() for h in (Horizon.ONE_SECOND, Horizon.THIRTY_SECONDS, Horizon.FIVE_MINUTES)}
            known = {horizon: mid for horizon, mid in mids.items() if mid is not None}
            fills.append(FillMids(child.attempt, child.filled_at or NOW, known))
    return Benchmarks(parent.symbol, NOW + timedelta(days=1), price(), price(), price(), tuple(fills))
