"""Content of the report: one section per finished plan, made from its journal and its result."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from rebalance_cli.command_line import command_line
from rebalance_cli.costs.answers import OrderCosts, Rung
from rebalance_cli.costs.sums import order_row, rung_sums
from rebalance_cli.enum_docs import code_meanings
from rebalance_cli.formatting import NONE, basis_points, counted, dollars, duration, fixed, price, shares
from rebalance_cli.queries.explain import in_execution_order
from rebalance_cli.queries.plans import PlanRecord
from rebalance_cli.report import figures
from rebalance_cli.report.figures import Gap, Part
from rebalance_cli.report.portfolio import Cash, Weight, cash, weights
from rebalance_cli.views.day import attention_key, day_headline
from rebalance_cli.views.styles import outcome_text, outcome_tone, status_tone, status_words
from rebalance_executor.adapters.notification_text import (
    MONEY,
    as_planned,
    needs_attention,
    next_steps,
    requested,
    slippage,
)
from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.controls import ORDER_OF_CONTROLS
from rebalance_executor.domain.costs import order_costs
from rebalance_executor.domain.market import ZERO
from rebalance_executor.domain.orders import ChildOrder, ParentOrder
from rebalance_executor.domain.plan import Action
from rebalance_executor.domain.result import ExecutionResult, ExecutionStatus, OrderResult
from rebalance_executor.domain.values import format_clock, format_time, sum_of_cents

_MAX_TIMELINES = 24
"""Timelines are drawn for the largest orders only: more of them make the page slow."""
CONTROLS = tuple(dict.fromkeys(code for code in chain(*(codes for _, codes in ORDER_OF_CONTROLS)) if code in Code))
"""Codes with which a control denies an item, in order of evaluation. A code of several stages is listed once."""


@dataclass(frozen=True, slots=True)
class Control:
    """One control, with the symbols that it denied."""

    code: str
    meaning: str
    denied: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tile:
    """A number at the top of a section."""

    value: str
    name: str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """One plan, ready for the template."""

    record: PlanRecord
    result: ExecutionResult
    tone: str
    status: str
    money: str
    summary: str
    steps: tuple[str, ...]
    """Commands to type next."""
    short: tuple[OrderResult, ...]
    """Orders that need attention, most urgent first."""
    tiles: tuple[Tile, ...]
    forecast: str
    cash: Cash
    weights: tuple[Weight, ...]
    waterfall: Markup | None
    by_attempt: Markup | None
    drift: Markup | None
    timelines: tuple[tuple[ParentOrder, Markup], ...]
    omitted_timelines: int
    controls: tuple[Control, ...]
    children: tuple[tuple[ParentOrder, ChildOrder], ...]
    costs: tuple[OrderCosts, ...]
    rungs: tuple[Rung, ...]


def write_page(
    path: Path,
    title: str,
    records: Sequence[PlanRecord],
    unfinished: Sequence[str],
    command: Callable[..., str] | None = None,
) -> None:
    """Write one self-contained page about these plans, the one that most needs attention first.

    Args:
        path: the file.
        title: heading of the page.
        records: plans; those without a result are left out.
        unfinished: IDs of plans without a result, to be named on the page.
        command: returns a command for the reader to type, given its words and ``account``.
    """
    finished = [(record, record.journal.result) for record in records if record.journal.result is not None]
    finished.sort(key=lambda one: attention_key(one[1]))
    sections = [_section(record, result, command or _command) for record, result in finished]
    page = environment().get_template("page.html.j2")
    headline = day_headline([result for _, result in finished], unfinished)
    text = page.render(title=title, sections=sections, unfinished=unfinished, headline=headline)
    path.write_text(text, encoding="utf-8")


def _command(*words: str, account: str) -> str:
    return command_line(*words, "--account", account)


def environment() -> Environment:
    """Return the templates of all pages, with their filters."""
    templates = Environment(
        loader=PackageLoader("rebalance_cli.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., str]] = {
        "dollars": dollars,
        "price": price,
        "time": format_time,
        "shares": lambda quantity: shares(quantity, 4),
        "fixed": fixed,
        "tone": outcome_tone,
        "clock": format_clock,
        "word": lambda order: outcome_text(order)[0],
    }
    templates.filters |= filters
    return templates


def _section(record: PlanRecord, result: ExecutionResult, command: Callable[..., str]) -> Section:
    parents = in_execution_order(record.journal.parents)
    timelines = [
        (parent, svg)
        for parent in sorted(parents, key=lambda parent: -parent.filled_value)[:_MAX_TIMELINES]
        if (svg := figures.timeline(parent, record.plan.started_at))
    ]
    attempts = _dollars_by_attempt(parents)
    gaps, costs = list(_gaps(result)), order_costs(record.journal)
    money = cash(result, record.plan.starting_funds)
    return Section(
        record=record,
        result=result,
        tone=status_tone(result.status),
        status=status_words(result.status),
        money=MONEY[result.broker],
        summary=_summary(result),
        steps=tuple(command(*words, account=result.account) for words in next_steps(result)),
        short=tuple(needs_attention(result)),
        tiles=tuple(_tiles(result)),
        forecast=_forecast(result),
        cash=money,
        weights=weights(result, money),
        waterfall=_waterfall(result),
        by_attempt=figures.by_attempt(attempts) if attempts else None,
        drift=figures.drift(gaps) if gaps else None,
        timelines=tuple(timelines),
        omitted_timelines=max(0, sum(bool(parent.children) for parent in parents) - len(timelines)),
        controls=tuple(_controls(result.orders)),
        children=tuple((parent, child) for parent in parents for child in parent.children),
        costs=tuple(order_row(cost) for cost in costs),
        rungs=rung_sums(costs),
    )


# --- summary and tiles -----------------------------------------------------------------------------------


def _summary(result: ExecutionResult) -> str:
    traded = result.traded
    if not traded:
        return "There was nothing to trade: no item needed a trade."
    if not result.total_trade_value:
        codes = ", ".join(sorted({order.error_code for order in traded if order.error_code is not None}))
        return f"Nothing was traded: {codes or 'no order filled'}."
    sold = -sum_of_cents(order.trade_amount for order in traded if order.action is Action.SELL)
    bought = sum_of_cents(order.trade_amount for order in traded if order.action is Action.BUY)
    words = slippage(result)
    sentences = [
        f"Sold ${dollars(sold)} and bought ${dollars(bought)} in {duration(_seconds(result))}.",
        f"{as_planned(result)}.",
        *([f"{words[0].upper()}{words[1:]}."] if result.slippage_bps is not None else []),
    ]
    if result.status is ExecutionStatus.UNRESOLVED:
        sentences.append("An operator must check the orders at the broker.")
    return " ".join(sentences)


def _forecast(result: ExecutionResult) -> str:
    """Return the forecast of the cost beside what it was; empty if there is none."""
    expected, realised = result.forecast_bps, result.slippage_bps
    if expected is None or realised is None:
        return ""
    interval = ""
    if result.forecast_low_bps is not None and result.forecast_high_bps is not None:
        low, high = result.forecast_low_bps, result.forecast_high_bps
        place = "inside" if low <= realised <= high else "outside"
        interval = f", {place} the range of {basis_points(low)} to {basis_points(high)} that nine of ten plans stay in"
    return f"Forecast {basis_points(expected)} bps, realised {basis_points(realised)} bps{interval}."


def _tiles(result: ExecutionResult) -> Iterator[Tile]:
    filled, asked, traded = result.filled_dollars, result.requested_dollars, len(result.traded)
    rate = f"{filled / asked:.1%}" if asked else NONE
    yield Tile(f"${dollars(filled)}", f"filled, {rate} of {requested(result)}")
    succeeded = result.orders_succeeded
    yield Tile(f"{succeeded} of {traded}", "orders filled as planned", "good" if succeeded == traded else "warn")
    yield _shortfall_tile(result.slippage_bps)
    yield Tile(duration(_seconds(result)), f"in {counted(result.runs, 'run')}")
    yield _reconciliation_tile(result)


def _shortfall_tile(bps: Decimal | None) -> Tile:
    rounded = round(bps or ZERO, 1)
    tone = "" if not rounded else "bad" if rounded > 0 else "good"
    value = f"{basis_points(bps, sign=True)} bps" if bps is not None else NONE
    return Tile(value, "cost against the arrival prices (minus is a gain)", tone)


def _reconciliation_tile(result: ExecutionResult) -> Tile:
    name = "broker and journal compared"
    if result.differences:
        return Tile(counted(len(result.differences), "difference"), name, "bad")
    was_sent = any(order.children for order in result.orders)
    return Tile("agree" if was_sent else "nothing sent", name, "good")


def _seconds(result: ExecutionResult) -> float:
    return (result.execution_timestamp - result.started_at).total_seconds()


# --- figures and controls --------------------------------------------------------------------------------


def _waterfall(result: ExecutionResult) -> Markup | None:
    if result.slippage_bps is None:
        return None
    total = round(result.slippage_bps, 1)
    known = {"delay": result.delay_bps, "timing": result.timing_bps, "spread": result.spread_bps}
    parts = [Part(name, round(bps, 1)) for name, bps in known.items() if bps is not None]
    if parts:
        parts.append(Part("rest", total - sum((part.bps for part in parts), ZERO)))
    return figures.waterfall(parts, Part("total", total))


def _dollars_by_attempt(parents: Sequence[ParentOrder]) -> list[Decimal]:
    filled: dict[int, Decimal] = {}
    for parent in parents:
        for child in parent.children:
            if child.filled_avg_price is not None:
                value = child.filled_qty * child.filled_avg_price
                filled[child.attempt] = filled.get(child.attempt, ZERO) + value
    return [filled.get(attempt, ZERO) for attempt in range(1, max(filled, default=0) + 1)]


def _gaps(result: ExecutionResult) -> Iterator[Gap]:
    total = result.total_portfolio_value
    if not total:
        return
    for order in result.orders:
        if order.current_weight is not None and order.target_weight is not None:
            before = order.current_weight - order.target_weight
            yield Gap(order.symbol, before * 100, (before + order.trade_amount / total) * 100)


def _controls(orders: Sequence[OrderResult]) -> Iterator[Control]:
    meanings = code_meanings()
    for code in CONTROLS:
        denied = tuple(order.symbol for order in orders if order.error_code == code and not order.success)
        yield Control(code, meanings[code], denied)
