"""Realised costs as tables and sentences.

Pure: the answer in, rich renderables out. Tables fit into 80 columns, and show more where there is room.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from rebalance_cli.costs.answers import (
    Costs,
    CostSum,
    Dimension,
    Figure,
    KindCosts,
    Measured,
    OrderCosts,
    Rung,
    SymbolCost,
    UpdateAnswer,
)
from rebalance_cli.formatting import NONE, basis_points, counted, dollars, percent, shares
from rebalance_cli.views.styles import money_text
from rebalance_cli.views.tables import cost, facts, first_fitting, plain_table
from rebalance_executor.domain.benchmarks import Horizon
from rebalance_executor.domain.costs import Benchmark
from rebalance_executor.domain.values import format_decimal

NOT_READ = "not read yet"
"""Text of a figure whose market data has not been read."""
BENCHMARKS: Mapping[Benchmark, str] = {
    Benchmark.VWAP: "VWAP",
    Benchmark.CLOSE: "close",
    Benchmark.PREVIOUS_CLOSE: "previous close",
}
"""Short name of each benchmark."""
_SHORT = {Benchmark.VWAP: "VWAP", Benchmark.CLOSE: "Close", Benchmark.PREVIOUS_CLOSE: "Prev"}
_DEFAULT = (Dimension.SYMBOL, Dimension.URGENCY, Dimension.SIZE, Dimension.STYLE)
"""Tables that are shown unless one is chosen."""
_COLUMNS = ("", "Orders", "Dollars", "Cost $", "bps", "Fcst", "Diff", "Inside", "Saved", "VWAP", "5 min")
_FIRST_OMITTED = ("5 min", "VWAP", "Saved", "Inside", "Fcst", "Orders", "Diff", "Cost $")
"""Columns in the order in which narrower tables leave them out. Numbers are never cut off."""
_RUNG_COLUMNS = ("Rung", "Shares", "Dollars", "Half-spread $", "Paid $", "Saved $", "Saved")
_FIRST_OMITTED_RUNGS = ("Half-spread $", "Shares", "Paid $", "Saved")
_ALWAYS = frozenset({"Symbol", "Forecast", "Realised"})
"""Columns of the orders of a plan that are shown even if no order has a value."""
_MOST_ROWS = 40
"""Rows of a table; the page and the CSV have all of them."""


def costs_view(answer: Costs, width: int, by: Dimension | None) -> Group:
    """Return the costs of each kind of broker: sums, and one table per dimension."""
    parts: list[RenderableType] = [facts(_head(answer))]
    if not answer.kinds:
        parts += ["", Text(f"No order filled between {answer.first_day} and {answer.last_day}.", "yellow")]
    for kind in answer.kinds:
        parts += ["", facts(_sums(kind))]
        for dimension in (by,) if by is not None else _DEFAULT:
            rows = kind.groups.get(dimension, ())
            parts += ["", _groups(dimension, rows, width)]
            if len(rows) > _MOST_ROWS:
                parts.append(Text(f"{len(rows) - _MOST_ROWS} more in --json, --csv and --html", "dim"))
        if kind.rungs:
            parts += ["", rungs_table(kind.rungs, width)]
    if answer.kinds:
        text = (
            "Costs are positive, in basis points of filled dollars. Fcst: forecast; Diff: realised less forecast; "
            "Saved: part of the half-spread. Markouts are positive in our favour."
        )
        parts += ["", Text(text, "dim")]
    return Group(*parts)


def _head(answer: Costs) -> Iterator[tuple[str, RenderableType]]:
    yield "Account", answer.account
    yield "Period", f"{answer.first_day} to {answer.last_day}, by the start of the plans (UTC)"
    if answer.unfinished:
        yield "Left out", f"{counted(len(answer.unfinished), 'unfinished plan')}: {'  '.join(answer.unfinished)}"
    if answer.update is not None:
        yield "Update", _update(answer.update)


def _update(update: UpdateAnswer) -> Text:
    text = f"{counted(update.read, 'plan')} read, {update.not_due} not due yet, {update.left} left"
    failures = "".join(f"\n{one.plan_id}: {one.reason}" for one in update.failed)
    return Text(text + failures, "yellow" if update.failed or update.left else "")


# --- sums ------------------------------------------------------------------------------------------------


def _sums(kind: KindCosts) -> Iterator[tuple[str, RenderableType]]:
    total = kind.total
    yield "Money", money_text(kind.broker)
    traded = f"${dollars(total.dollars)} in {counted(total.orders, 'order')} of {counted(total.plans, 'plan')}"
    yield "Traded", traded
    yield from kind_facts(kind)


def kind_facts(kind: KindCosts) -> Iterator[tuple[str, RenderableType]]:
    """Return name and value of the facts about one kind of broker."""
    yield from sum_facts(kind.total)
    if kind.best:
        yield "Best", "  ".join(map(_symbol, kind.best))
        yield "Worst", "  ".join(map(_symbol, kind.worst))


def sum_facts(total: CostSum) -> Iterator[tuple[str, RenderableType]]:
    """Return name and value of the facts about the sums over some orders."""
    yield "Cost", _cost_text(total)
    parts = total.parts.model_dump()
    yield "Parts", ", ".join(f"{name} {dollars(amount)}" for name, amount in parts.items() if amount) or "none"
    yield "Forecast", _forecast_text(total)
    yield "Patience", _patience_text(total)
    for name, texts in (("Against", _benchmark_texts(total)), ("Markouts", _markout_texts(total))):
        yield name, ", ".join(texts) if texts else NOT_READ
    if total.read < total.orders:
        yield "Not read", f"the market data of {counted(total.orders - total.read, 'order')}"


def _cost_text(total: CostSum) -> str:
    found = total.cost
    if not found.orders:
        return "unknown: no order has an arrival and all fill prices"
    word = "better than" if found.amount < 0 else "worse than"
    text = f"${dollars(abs(found.amount))} {word} arrival mid ({basis_points(found.bps)} bps)"
    unknown = total.orders - found.orders
    return f"{text}; unknown for {counted(unknown, 'order')}" if unknown else text


def _forecast_text(total: CostSum) -> str:
    found = total.forecast
    if found is None:
        return "no order has one"
    inside = f"{found.inside} of {counted(found.orders, 'order')} inside the 90 % interval"
    return (
        f"{money(found.expected.amount)} ({basis_points(found.expected.bps)} bps), realised "
        f"{money(found.realised.amount)} ({basis_points(found.realised.bps)} bps); {inside}"
    )


def _patience_text(total: CostSum) -> str:
    spread = total.spread
    if spread.saved_share is None:
        return "no order was priced from a quote with a spread"
    word, amount = ("saved", spread.saved) if spread.saved >= 0 else ("lost", -spread.saved)
    text = f"{word} ${dollars(amount)} of ${dollars(spread.half_spread)} half-spreads ({percent(spread.saved_share)})"
    return f"{text}; meanwhile the market cost {money(total.parts.timing)}"


def _benchmark_texts(total: CostSum) -> list[str]:
    return [f"{BENCHMARKS[one]} {_measured(found)}" for one, found in total.benchmarks.items()]


def _markout_texts(total: CostSum) -> list[str]:
    return [f"{horizon.value} {_measured(found)}" for horizon, found in total.markouts.items()]


def _measured(found: Measured) -> str:
    return f"{basis_points(found.bps, sign=True)} bps ({money(found.amount)})"


def money(amount: Decimal) -> str:
    """Return dollars with their sign before the dollar sign."""
    return f"{'-' if amount < 0 else ''}${dollars(abs(amount))}"


def _symbol(one: SymbolCost) -> str:
    return f"{one.symbol} {money(one.amount)} ({basis_points(one.bps)} bps)"


# --- groups ----------------------------------------------------------------------------------------------


def _groups(dimension: Dimension, rows: Sequence[CostSum], width: int) -> Table:
    omitted = (_FIRST_OMITTED[:count] for count in range(len(_FIRST_OMITTED) + 1))
    return first_fitting((_groups_table(dimension, rows, without) for without in omitted), width)


def _groups_table(dimension: Dimension, rows: Sequence[CostSum], without: Sequence[str]) -> Table:
    table = plain_table(gap=2)
    columns = [column for column in _COLUMNS if column not in without]
    for column in columns:
        name = column or dimension.value.capitalize()
        table.add_column(name, justify="right" if column else "left", no_wrap=True)
    for row in rows[:_MOST_ROWS]:
        cells = _group_row(row)
        table.add_row(*(cells[column] for column in columns))
    return table


def _group_row(row: CostSum) -> dict[str, RenderableType]:
    forecast, vwap = row.forecast, row.benchmarks.get(Benchmark.VWAP)
    later = row.markouts.get(Horizon.FIVE_MINUTES)
    cells: Sequence[RenderableType] = (
        Text(row.name, "bold"),
        str(row.orders),
        dollars(row.dollars),
        cost(row.cost.amount, dollars(row.cost.amount) if row.cost.orders else NONE),
        cost(row.cost.bps, basis_points(row.cost.bps)),
        basis_points(forecast.expected.bps) if forecast is not None else NONE,
        basis_points(forecast.difference.bps, sign=True) if forecast is not None else NONE,
        percent(forecast.inside_share) if forecast is not None else NONE,
        percent(row.spread.saved_share) if row.spread.saved_share is not None else NONE,
        basis_points(vwap.bps, sign=True) if vwap is not None else NONE,
        basis_points(later.bps, sign=True) if later is not None else NONE,
    )
    return dict(zip(_COLUMNS, cells, strict=True))


def rungs_table(rungs: Sequence[Rung], width: int) -> Table:
    """Return what each rung filled, and its part of the half-spread that was saved."""
    omitted = (_FIRST_OMITTED_RUNGS[:count] for count in range(len(_FIRST_OMITTED_RUNGS) + 1))
    return first_fitting((_rungs_table(rungs, without) for without in omitted), width)


def _rungs_table(rungs: Sequence[Rung], without: Sequence[str]) -> Table:
    table = plain_table(gap=2)
    columns = [column for column in _RUNG_COLUMNS if column not in without]
    for column in columns:
        table.add_column(column, justify="left" if column == "Rung" else "right", no_wrap=True)
    for rung in rungs:
        cells = (
            rung_name(rung),
            shares(rung.shares, 2),
            dollars(rung.dollars),
            dollars(rung.half_spread),
            dollars(rung.paid),
            dollars(rung.saved),
            percent(rung.saved_share) if rung.saved_share is not None else NONE,
        )
        named = dict(zip(_RUNG_COLUMNS, cells, strict=True))
        table.add_row(*(named[column] for column in columns))
    return table


def rung_name(rung: Rung) -> str:
    """Return the rung's place in the spread, or that it is none of a ladder."""
    return format_decimal(rung.spread_fraction) if rung.spread_fraction is not None else "no ladder"


# --- one plan --------------------------------------------------------------------------------------------


def plan_costs_view(orders: Sequence[OrderCosts], total: CostSum, rungs: Sequence[Rung], width: int) -> Group:
    """Return forecast beside realised, benchmarks and markouts of the orders of one plan, in basis points."""
    parts: list[RenderableType] = ["Basis points of filled dollars:", _orders(orders, width)]
    unread = [order.symbol for order in orders if not order.is_read]
    if unread:
        parts.append(Text(f"Benchmarks and markouts of {' '.join(unread)}: {NOT_READ}", "dim"))
    if rungs:
        parts += ["", rungs_table(rungs, width)]
    return Group(*parts, "", facts(sum_facts(total)))


def _orders(orders: Sequence[OrderCosts], width: int) -> Table:
    markouts = [horizon.value for horizon in Horizon]
    against = list(_SHORT.values())
    variants = (_orders_table(orders, hidden) for hidden in ((), against[1:], [*against[1:], *markouts[1:2]]))
    narrow = (_orders_table(orders, [*against, *markouts, *hidden]) for hidden in ((), ("90 %",)))
    return first_fitting((*variants, *narrow), width)


def _orders_table(orders: Sequence[OrderCosts], without: Sequence[str]) -> Table:
    table = plain_table(gap=1)
    rows = [_order_cells(order) for order in orders]
    unknown = {column for column in rows[0] if all(row[column] in ("", NONE) for row in rows)} - _ALWAYS
    columns = [column for column in rows[0] if column not in {*without, *unknown}]
    for column in columns:
        table.add_column(column, justify="left" if column == "Symbol" else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(row[column] for column in columns))
    return table


def _order_cells(order: OrderCosts) -> dict[str, RenderableType]:
    forecast, realised = order.forecast, order.cost
    inside = "" if forecast is None else "inside" if forecast.is_inside else "outside"
    cells: dict[str, RenderableType] = {
        "Symbol": Text(order.symbol, "bold"),
        "Forecast": _bps(forecast.expected) if forecast is not None else NONE,
        "90 %": f"{_bps(forecast.low)} to {_bps(forecast.high)}" if forecast is not None else NONE,
        "Realised": cost(realised.amount, _bps(realised)) if realised is not None else NONE,
        "": inside,
    }
    cells |= {name: _bps(order.benchmarks.get(one)) for one, name in _SHORT.items()}
    return cells | {horizon.value: _bps(order.markouts.get(horizon)) for horizon in Horizon}


def _bps(figure: Figure | None) -> str:
    bps: Decimal | None = figure.bps if figure is not None else None
    return basis_points(bps)
