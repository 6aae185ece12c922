"""Sums of realised costs: rows of orders, and groups of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal

from rebalance_cli.costs.answers import (
    ChildMarkout,
    CostSum,
    Dimension,
    Figure,
    ForecastFigure,
    ForecastSum,
    KindCosts,
    Measured,
    OrderCosts,
    Parts,
    Rung,
    SpreadSum,
    SymbolCost,
)
from rebalance_executor.domain.benchmarks import Horizon
from rebalance_executor.domain.costs import Benchmark, OrderCost, RungFills, bps
from rebalance_executor.domain.market import ZERO, BrokerKind
from rebalance_executor.domain.plan import Urgency
from rebalance_executor.domain.values import cents, parts_in_cents, sum_of_cents

_SIZES = (
    (Decimal(1_000), "below $1k"),
    (Decimal(10_000), "$1k to $10k"),
    (Decimal(100_000), "$10k to $100k"),
    (Decimal(1_000_000), "$100k to $1m"),
)
_LARGEST = "$1m and more"
_NAMED = 3
"""Best and worst symbols."""
_SHARE_STEP = Decimal("0.0001")
_PART_NAMES = tuple(Parts.model_fields)

type _Amount = Callable[[OrderCost], Decimal | None]
"""Returns one figure of an order, or None if it is unknown."""


def size_bucket(dollars: Decimal) -> str:
    """Return the bucket of an order by its filled dollars."""
    return next((name for limit, name in _SIZES if dollars < limit), _LARGEST)


_ORDER_OF_SIZES = (*(name for _, name in _SIZES), _LARGEST)
_KEYS: Mapping[Dimension, Callable[[OrderCost], str]] = {
    Dimension.SYMBOL: lambda cost: cost.symbol,
    Dimension.URGENCY: lambda cost: cost.urgency.value,
    Dimension.SIZE: lambda cost: size_bucket(cost.dollars),
    Dimension.STYLE: lambda cost: cost.style.value,
    Dimension.DAY: lambda cost: cost.day.isoformat(),
}
_ORDERS: Mapping[Dimension, Sequence[str]] = {
    Dimension.URGENCY: [urgency.value for urgency in Urgency],
    Dimension.SIZE: _ORDER_OF_SIZES,
}
"""Order of the groups; those of other dimensions are sorted by name."""


def kind_costs(broker: BrokerKind, costs: Sequence[OrderCost], dimensions: Iterable[Dimension]) -> KindCosts:
    """Return the costs at one kind of broker: sums, groups, and each order."""
    symbols = [_symbol_cost(name, found) for name, found in _grouped(costs, Dimension.SYMBOL).items()]
    ranked = sorted(symbols, key=lambda symbol: (symbol.amount, symbol.symbol))
    best = ranked[: min(_NAMED, len(ranked) // 2)]
    worst = ranked[::-1][: min(_NAMED, len(ranked) // 2)]
    groups = {
        dimension: tuple(cost_sum(name, found) for name, found in _grouped(costs, dimension).items())
        for dimension in dimensions
    }
    return KindCosts(
        broker=broker,
        total=cost_sum("all", costs),
        groups=groups,
        best=tuple(best),
        worst=tuple(worst),
        rungs=rung_sums(costs),
        orders=tuple(order_row(cost) for cost in costs),
    )


def _grouped(costs: Iterable[OrderCost], dimension: Dimension) -> dict[str, list[OrderCost]]:
    groups: dict[str, list[OrderCost]] = {}
    for cost in costs:
        groups.setdefault(_KEYS[dimension](cost), []).append(cost)
    order = _ORDERS.get(dimension)
    names = sorted(groups, key=order.index if order is not None else None)
    return {name: groups[name] for name in names}


def _symbol_cost(symbol: str, costs: Sequence[OrderCost]) -> SymbolCost:
    measured = _measured(costs, _total)
    return SymbolCost(symbol=symbol, amount=measured.amount, bps=measured.bps)


# --- one order -------------------------------------------------------------------------------------------


def order_row(cost: OrderCost) -> OrderCosts:
    """Return one order as a row."""

    def figure(amount: Decimal) -> Figure:
        return _figure(amount, cost.dollars)

    children = [
        ChildMarkout(
            attempt=child.attempt,
            markouts={horizon: _figure(amount, child.dollars) for horizon, amount in child.markouts.items()},
        )
        for child in cost.children
    ]
    return OrderCosts(
        plan_id=cost.plan_id,
        broker=cost.broker,
        day=cost.day.isoformat(),
        urgency=cost.urgency,
        style=cost.style,
        size=size_bucket(cost.dollars),
        symbol=cost.symbol,
        side=cost.side,
        shares=cost.shares,
        dollars=cents(cost.dollars),
        cost=figure(cost.shortfall.total) if cost.shortfall is not None else None,
        parts=_parts([cost]) if cost.shortfall is not None else None,
        forecast=_forecast_figure(cost),
        benchmarks={name: figure(amount) for name, amount in cost.benchmarks.items()},
        markouts={horizon: figure(amount) for horizon, amount in cost.markouts.items()},
        children=tuple(children),
        rungs=rung_sums([cost]),
        is_read=cost.is_read,
        missing=cost.missing,
    )


def _figure(amount: Decimal, dollars: Decimal) -> Figure:
    return Figure(amount=cents(amount), bps=bps(amount, dollars))


def _forecast_figure(cost: OrderCost) -> ForecastFigure | None:
    forecast, lost = cost.forecast, cost.shortfall
    if forecast is None or lost is None:
        return None
    difference = cents(lost.total) - cents(forecast.expected)
    return ForecastFigure(
        expected=_figure(forecast.expected, cost.dollars),
        low=_figure(forecast.low, cost.dollars),
        high=_figure(forecast.high, cost.dollars),
        difference=Figure(amount=difference, bps=bps(lost.total - forecast.expected, cost.dollars)),
        is_inside=forecast.contains(lost.total),
    )


# --- sums ------------------------------------------------------------------------------------------------


def cost_sum(name: str, costs: Sequence[OrderCost]) -> CostSum:
    """Return the sums over some orders."""
    benchmarks = {one: _measured(costs, _against(one)) for one in Benchmark}
    markouts = {one: _measured(costs, _markout(one)) for one in Horizon}
    return CostSum(
        name=name,
        orders=len(costs),
        plans=len({cost.plan_id for cost in costs}),
        read=sum(cost.is_read for cost in costs),
        dollars=sum_of_cents(cost.dollars for cost in costs),
        cost=_measured(costs, _total),
        parts=_parts(costs),
        forecast=_forecast_sum(costs),
        benchmarks={one: found for one, found in benchmarks.items() if found.orders},
        markouts={one: found for one, found in markouts.items() if found.orders},
        spread=_spread(costs),
    )


def _total(cost: OrderCost) -> Decimal | None:
    return cost.shortfall.total if cost.shortfall is not None else None


def _against(benchmark: Benchmark) -> _Amount:
    return lambda cost: cost.benchmarks.get(benchmark)


def _markout(horizon: Horizon) -> _Amount:
    return lambda cost: cost.markouts.get(horizon)


def _measured(costs: Iterable[OrderCost], amount: _Amount) -> Measured:
    known = [(cost.dollars, one) for cost in costs if (one := amount(cost)) is not None]
    dollars = sum((traded for traded, _ in known), ZERO)
    return Measured(
        orders=len(known),
        dollars=sum_of_cents(traded for traded, _ in known),
        amount=sum_of_cents(one for _, one in known),
        bps=bps(sum((one for _, one in known), ZERO), dollars),
    )


def _parts(costs: Iterable[OrderCost]) -> Parts:
    rounded = [parts_in_cents(cost.shortfall.parts) for cost in costs if cost.shortfall is not None]
    return Parts(**{name: sum((parts[name] for parts in rounded), ZERO) for name in _PART_NAMES})


def _forecast_sum(costs: Iterable[OrderCost]) -> ForecastSum | None:
    known = [
        (cost.dollars, cost.forecast, cost.shortfall.total)
        for cost in costs
        if cost.forecast is not None and cost.shortfall is not None
    ]
    if not known:
        return None
    dollars = sum((traded for traded, _, _ in known), ZERO)
    expected, realised = [one.expected for _, one, _ in known], [total for _, _, total in known]
    inside = sum(forecast.contains(total) for _, forecast, total in known)
    expected_sum, realised_sum = sum(expected, ZERO), sum(realised, ZERO)
    difference = sum_of_cents(realised) - sum_of_cents(expected)
    return ForecastSum(
        orders=len(known),
        dollars=sum_of_cents(traded for traded, _, _ in known),
        expected=Figure(amount=sum_of_cents(expected), bps=bps(expected_sum, dollars)),
        realised=Figure(amount=sum_of_cents(realised), bps=bps(realised_sum, dollars)),
        difference=Figure(amount=difference, bps=bps(realised_sum - expected_sum, dollars)),
        inside=inside,
        inside_share=_share(Decimal(inside), Decimal(len(known))) or ZERO,
    )


def rung_sums(costs: Iterable[OrderCost]) -> tuple[Rung, ...]:
    """Return what each rung filled and captured: sums of the cents of each order's fills on it."""
    by_rung: dict[Decimal | None, list[RungFills]] = {}
    for cost in costs:
        for fills in cost.rungs:
            by_rung.setdefault(fills.spread_fraction, []).append(fills)
    ordered = sorted(by_rung, key=lambda fraction: (fraction is None, fraction or ZERO))
    return tuple(_rung(fraction, by_rung[fraction]) for fraction in ordered)


def _rung(fraction: Decimal | None, fills: Sequence[RungFills]) -> Rung:
    half_spread = sum_of_cents(one.half_spread for one in fills)
    paid = sum_of_cents(one.paid for one in fills)
    exact = sum((one.saved for one in fills), ZERO)
    return Rung(
        spread_fraction=fraction,
        shares=sum((one.shares for one in fills), ZERO),
        dollars=sum_of_cents(one.dollars for one in fills),
        half_spread=half_spread,
        paid=paid,
        saved=half_spread - paid,
        saved_share=_share(exact, sum((one.half_spread for one in fills), ZERO)),
    )


def _spread(costs: Sequence[OrderCost]) -> SpreadSum:
    rungs, fills = rung_sums(costs), [one for cost in costs for one in cost.rungs]
    half_spread, paid = sum((one.half_spread for one in rungs), ZERO), sum((one.paid for one in rungs), ZERO)
    exact = sum((one.saved for one in fills), ZERO)
    share = _share(exact, sum((one.half_spread for one in fills), ZERO))
    return SpreadSum(half_spread=half_spread, paid=paid, saved=half_spread - paid, saved_share=share)


def _share(part: Decimal, of: Decimal) -> Decimal | None:
    return (part / of).quantize(_SHARE_STEP) if of else None
