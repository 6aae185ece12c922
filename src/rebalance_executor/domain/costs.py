"""Realised cost of one order, from its journal alone: against benchmarks, in parts, per rung, after its fills.

All amounts are exact dollars; a cost is positive. A benchmark's cost is that of the filled shares against its price:
filled dollars less the benchmark's for a buy, the reverse for a sell. Markouts have the other sign: they are positive
if the market moved in our favour. What was not read, or what no market data has, is absent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum

from rebalance_executor.domain.benchmarks import Benchmarks, Horizon, markout
from rebalance_executor.domain.journal import PlanJournal, PlanState
from rebalance_executor.domain.market import ZERO, BrokerKind, OrderType, Side
from rebalance_executor.domain.orders import ChildOrder, ParentOrder
from rebalance_executor.domain.plan import ExecutionStyle, Urgency
from rebalance_executor.domain.pricing import shortfall
from rebalance_executor.domain.session import new_york
from rebalance_executor.domain.shortfall import Shortfall, of_parent
from rebalance_executor.domain.styles import OrderStyle

_BPS = Decimal(10_000)
_BPS_STEP = Decimal("0.0001")
_COMPLETE_AT = time(16, 20)
"""New York time from which a day's consolidated data is complete and at least 15 minutes old."""


class Benchmark(StrEnum):
    """Price that fills are compared with, beside the arrival mid."""

    VWAP = "vwap"
    CLOSE = "close"
    PREVIOUS_CLOSE = "previous_close"


@dataclass(frozen=True, slots=True)
class ForecastCost:
    """The forecast of an order in dollars of the shares that were filled."""

    expected: Decimal
    low: Decimal
    high: Decimal

    def contains(self, cost: Decimal) -> bool:
        """Return whether a realised cost is inside the interval."""
        return self.low <= cost <= self.high


@dataclass(frozen=True, slots=True)
class RungFills:
    """Fills of one rung, and what they paid of the half-spread at pricing."""

    spread_fraction: Decimal | None
    """The rung: 0 is our own side of the spread, 1 the far touch; None for orders that are not of a ladder."""
    shares: Decimal
    dollars: Decimal
    half_spread: Decimal
    """Dollars that the same shares would have paid at the far touch, against the mid at pricing."""
    paid: Decimal
    """Dollars that they paid against that mid; negative if they earned it."""

    @property
    def saved(self) -> Decimal:
        """Dollars of the half-spread that were not paid: the spread captured."""
        return self.half_spread - self.paid

    def __add__(self, other: RungFills) -> RungFills:
        """Return the sum of two fills of the same rung."""
        shares, dollars = self.shares + other.shares, self.dollars + other.dollars
        half_spread, paid = self.half_spread + other.half_spread, self.paid + other.paid
        return RungFills(self.spread_fraction, shares, dollars, half_spread, paid)


@dataclass(frozen=True, slots=True)
class ChildMarkouts:
    """Markouts of one child in dollars."""

    attempt: int
    dollars: Decimal
    markouts: Mapping[Horizon, Decimal]


@dataclass(frozen=True, slots=True)
class OrderCost:
    """Realised cost of one parent order."""

    plan_id: str
    broker: BrokerKind
    day: date
    """The trading day."""
    urgency: Urgency
    symbol: str
    side: Side
    style: OrderStyle | ExecutionStyle
    shares: Decimal
    dollars: Decimal
    """Filled dollars, unsigned."""
    shortfall: Shortfall | None
    """Cost against the arrival mid, with its parts; None if the arrival, or a price, is unknown."""
    forecast: ForecastCost | None
    """None if no forecast was made, or if it is unknown."""
    benchmarks: Mapping[Benchmark, Decimal]
    """Cost against each known benchmark."""
    children: tuple[ChildMarkouts, ...]
    rungs: tuple[RungFills, ...]
    """By ``spread_fraction``; only children that were priced from a quote."""
    is_read: bool
    """True if the market data of the order was read."""
    missing: tuple[str, ...] = ()
    """Missing market data."""

    @property
    def markouts(self) -> dict[Horizon, Decimal]:
        """Markouts of the order: the sums of those of its children, where all of them are known."""
        known = [h for h in Horizon if self.children and all(h in child.markouts for child in self.children)]
        return {horizon: sum((child.markouts[horizon] for child in self.children), ZERO) for horizon in known}


def trading_day(plan: PlanState) -> date:
    """Return the day that the plan's orders belong to; if it is not journalled, that of its start in New York."""
    return plan.trading_day or new_york(plan.started_at).date()


def is_due(plan: PlanState, now: datetime) -> bool:
    """Return whether the market data of the plan's trading day is complete and available to every subscription."""
    return new_york(now) >= datetime.combine(trading_day(plan), _COMPLETE_AT)


def order_costs(journal: PlanJournal) -> list[OrderCost]:
    """Return the realised cost of every order of a plan that has fills, by symbol."""
    parents = (journal.parents[symbol] for symbol in sorted(journal.parents))
    costs = (_order_cost(journal.plan, parent, journal.benchmarks.get(parent.symbol)) for parent in parents)
    return [cost for cost in costs if cost is not None]


def bps(amount: Decimal, dollars: Decimal) -> Decimal | None:
    """Return an amount in basis points of the filled dollars, to four decimals; None without dollars."""
    return (amount / dollars * _BPS).quantize(_BPS_STEP, rounding=ROUND_HALF_EVEN) if dollars else None


def style_of(parent: ParentOrder) -> OrderStyle | ExecutionStyle:
    """Return how an order was worked: in its auction, or as its children show it."""
    if parent.auction is not None:
        limit_or_market = "limit" if parent.auction.is_limited else "market"
        return ExecutionStyle(f"{limit_or_market}_on_{parent.auction.kind}")
    if any(child.spread_fraction is not None for child in parent.children):
        return OrderStyle.LADDER
    is_market = any(child.type is OrderType.MARKET for child in parent.children)
    return OrderStyle.MARKET if is_market else OrderStyle.MARKETABLE_LIMIT


def _order_cost(plan: PlanState, parent: ParentOrder, read: Benchmarks | None) -> OrderCost | None:
    if not parent.filled_qty:
        return None
    is_priced = all(child.filled_avg_price is not None for child in parent.children if child.filled_qty)
    lost = of_parent(parent)
    return OrderCost(
        plan_id=plan.plan_id,
        broker=plan.broker,
        day=trading_day(plan),
        urgency=plan.urgency,
        symbol=parent.symbol,
        side=parent.side,
        style=style_of(parent),
        shares=parent.filled_qty,
        dollars=parent.filled_value,
        shortfall=lost,
        forecast=_forecast(parent) if lost is not None else None,
        benchmarks=_against_benchmarks(parent, read) if is_priced and read is not None else {},
        children=tuple(_child_markouts(parent, read)) if is_priced and read is not None else (),
        rungs=tuple(_rungs(parent)),
        is_read=read is not None,
        missing=read.missing if read is not None else (),
    )


def _forecast(parent: ParentOrder) -> ForecastCost | None:
    forecast, arrival = parent.forecast, parent.arrival
    if forecast is None or arrival is None:
        return None
    if forecast.bps is None or forecast.low_bps is None or forecast.high_bps is None:
        return None
    value = arrival.mid * parent.filled_qty / _BPS
    return ForecastCost(forecast.bps * value, forecast.low_bps * value, forecast.high_bps * value)


def _against_benchmarks(parent: ParentOrder, read: Benchmarks) -> dict[Benchmark, Decimal]:
    prices = {
        Benchmark.VWAP: read.vwap,
        Benchmark.CLOSE: read.close,
        Benchmark.PREVIOUS_CLOSE: read.previous_close,
    }
    side, shares, dollars = parent.side, parent.filled_qty, parent.filled_value
    return {name: shortfall(side, price, shares, dollars) for name, price in prices.items() if price is not None}


def _child_markouts(parent: ParentOrder, read: Benchmarks) -> Iterator[ChildMarkouts]:
    for child in parent.children:
        qty, price = child.filled_qty, child.filled_avg_price
        if qty and price is not None:
            prices = {horizon: read.mid_after(child.attempt, horizon) for horizon in Horizon}
            markouts = {h: markout(parent.side, price, qty, one) for h, one in prices.items() if one is not None}
            yield ChildMarkouts(child.attempt, qty * price, markouts)


def _rungs(parent: ParentOrder) -> list[RungFills]:
    rungs: dict[Decimal | None, RungFills] = {}
    for child in parent.children:
        fills = _rung_fills(child, parent.side)
        if fills is not None:
            before = rungs.get(fills.spread_fraction)
            rungs[fills.spread_fraction] = fills if before is None else before + fills
    return sorted(rungs.values(), key=lambda rung: (rung.spread_fraction is None, rung.spread_fraction or ZERO))


def _rung_fills(child: ChildOrder, side: Side) -> RungFills | None:
    """Return the fills of a child against its quote at pricing; None if they have none, or in an auction."""
    qty, price, mid = child.filled_qty, child.filled_avg_price, child.mid
    if not qty or price is None or mid is None or child.bid is None or child.ask is None or child.is_for_auction:
        return None
    half_spread = qty * (child.ask - child.bid) / 2
    return RungFills(child.spread_fraction, qty, qty * price, half_spread, shortfall(side, mid, qty, qty * price))
