"""``rebalance costs``: what the orders of a period cost, against forecasts and benchmarks."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated

import typer

from rebalance_cli.context import CliContext
from rebalance_cli.costs.answers import Costs, Dimension, Figure, OrderCosts, Parts
from rebalance_cli.exit_codes import CliError
from rebalance_cli.options import CommandSession, account_command
from rebalance_cli.queries.costs import read_costs, update_costs
from rebalance_cli.queries.plans import parse_day
from rebalance_cli.views.costs import costs_view
from rebalance_executor.domain.benchmarks import Horizon
from rebalance_executor.domain.costs import Benchmark
from rebalance_executor.domain.market import BrokerKind
from rebalance_executor.domain.values import format_decimal

_DEFAULT_DAYS = 30
_MOST_DAYS = 366
"""Every day is a query of its own."""


@account_command
def costs(
    session: CommandSession,
    *,
    first: Annotated[
        str | None, typer.Option("--from", help="First day in UTC, as in 2026-01-26 (default: 30 days).")
    ] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last day in UTC (default: today).")] = None,
    broker: Annotated[
        BrokerKind | None,
        typer.Option("--broker", help="Only plans on this kind of broker (default: every kind, never summed)."),
    ] = None,
    by: Annotated[
        Dimension | None, typer.Option("--by", help="Group the orders by this only (default: by everything).")
    ] = None,
    as_csv: Annotated[Path | None, typer.Option("--csv", help="Write CSV to this file: one row per order.")] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write one self-contained page to this file.")] = None,
    update: Annotated[
        bool, typer.Option("--update", help="First read the market data that is missing, for up to ten minutes.")
    ] = False,
) -> None:
    """Show what the orders of a period cost: forecast against realised, benchmarks, markouts, and spread captured.

    Market data is read after the trading day, by the daily check or with --update. Every figure is defined in
    docs/realised-costs.md.
    """
    with session.context() as ctx:
        account, days = ctx.account_name(session.account), _days(ctx, first, last)
        done = update_costs(ctx, account, days) if update else None
        dimensions = [by] if by is not None else list(Dimension)
        answer = read_costs(ctx, account, days, broker, dimensions).model_copy(update={"update": done})
        if as_csv is not None:
            _write_csv(as_csv, answer)
        if html is not None:
            from rebalance_cli.report.costs_page import write_costs_page  # imported late: the plot library is slow

            write_costs_page(html, answer)
        for path in (as_csv, html):
            if path is not None:
                session.console.print(f"Written: {path}", soft_wrap=True, highlight=False)
        session.answer(answer, costs_view(answer, session.out.width, by), _next_step(ctx, answer, days))


def _days(ctx: CliContext, first: str | None, last: str | None) -> tuple[date, date]:
    """Return the first and the last day.

    Raises:
        CliError: a text is not a day, or they are in the wrong order or too far apart.
    """
    to_day = parse_day(last, ctx.now)
    from_day = parse_day(first, ctx.now) if first is not None else to_day - timedelta(days=_DEFAULT_DAYS - 1)
    if from_day > to_day:
        raise CliError(f"--from {from_day} is after --to {to_day}.", "Name the earlier day first.")
    if (to_day - from_day).days >= _MOST_DAYS:
        raise CliError(f"The period has more than {_MOST_DAYS} days.", "Ask for a shorter one with --from and --to.")
    return from_day, to_day


def _next_step(ctx: CliContext, answer: Costs, days: tuple[date, date]) -> str | None:
    """Return the command that reads missing market data; None if nothing is missing or it was just tried."""
    unread = any(not order.is_read for kind in answer.kinds for order in kind.orders)
    if not unread or answer.update is not None:
        return None
    period = ("--from", days[0].isoformat(), "--to", days[1].isoformat())
    return ctx.command("costs", *period, "--update", account=answer.account)


# --- CSV -------------------------------------------------------------------------------------------------

_PLAIN = ("plan_id", "broker", "day", "urgency", "style", "size", "symbol", "side", "shares", "dollars")
_FORECAST = ("expected", "low", "high", "difference")


def _write_csv(path: Path, answer: Costs) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_columns())
        writer.writerows(list(_cells(order)) for kind in answer.kinds for order in kind.orders)


def _columns() -> list[str]:
    figures = ["cost", *_FORECAST, *Benchmark, *(f"markout_{horizon}" for horizon in Horizon)]
    pairs = [f"{name}_{unit}" for name in figures for unit in ("dollars", "bps")]
    return [*_PLAIN, *Parts.model_fields, *pairs, "is_inside", "is_read"]


def _cells(order: OrderCosts) -> Iterator[str]:
    dumped = order.model_dump(mode="json")
    yield from (str(dumped[name]) for name in _PLAIN)
    yield from (str(dumped["parts"][name]) if order.parts is not None else "" for name in Parts.model_fields)
    forecast = order.forecast
    figures = [order.cost, *(getattr(forecast, name) if forecast is not None else None for name in _FORECAST)]
    figures += [order.benchmarks.get(one) for one in Benchmark]
    figures += [order.markouts.get(one) for one in Horizon]
    for figure in figures:
        yield from _pair(figure)
    yield str(forecast.is_inside).lower() if forecast is not None else ""
    yield str(order.is_read).lower()


def _pair(figure: Figure | None) -> tuple[str, str]:
    if figure is None:
        return "", ""
    return format_decimal(figure.amount), format_decimal(figure.bps) if figure.bps is not None else ""
