"""The page: what each plan's section says, from its journal and its result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from rebalance_cli.enum_docs import code_meanings
from rebalance_cli.queries.explain import in_working_order
from rebalance_cli.queries.plans import PlanRecord
from rebalance_cli.report import figures
from rebalance_cli.report.figures import Gap, Part
from rebalance_cli.views.result import counted, dollars, price
from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.market import ZERO
from rebalance_executor.domain.orders import ChildOrder, Outcome, ParentOrder
from rebalance_executor.domain.plan import Action
from rebalance_executor.domain.result import ExecutionResult, ExecutionStatus, OrderResult
from rebalance_executor.domain.values import format_decimal

_MOST_TIMELINES = 24
"""The largest orders; a page with more is slow to read."""
_GOOD = (ExecutionStatus.SUCCESS, ExecutionStatus.SUCCESS_WITH_SKIPS)
_TONES = {
    Outcome.FILLED: "good",
    Outcome.SKIPPED: "dim",
    Outcome.PARTIALLY_FILLED: "warn",
    Outcome.UNFILLED: "warn",
}
CONTROLS = (
    Code.ACCOUNT_MISMATCH,
    Code.ACCOUNT_BLOCKED,
    Code.HALTED,
    Code.REDUCING_ONLY,
    Code.MARKET_CLOSED,
    Code.RESTRICTED,
    Code.ORDER_TOO_LARGE,
    Code.PLAN_LIMIT,
    Code.DAILY_LIMIT,
    Code.DUPLICATE_ORDER,
    Code.CONFLICTING_ORDER,
    Code.MESSAGE_LIMIT,
    Code.POSITION_DRIFT,
    Code.NOT_TRADABLE,
    Code.NOT_FRACTIONABLE,
    Code.NO_POSITION,
    Code.BELOW_MINIMUM,
    Code.QUOTE_UNUSABLE,
    Code.PRICE_COLLAR,
    Code.TOO_MANY_RUNS,
    Code.TOO_MANY_PLANS,
)
"""Codes of the controls, in the order in which they are asked."""


@dataclass(frozen=True, slots=True)
class Control:
    """One control: which items it refused."""

    code: str
    meaning: str
    refused: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """One plan, ready for the page."""

    entry: PlanRecord
    result: ExecutionResult
    tone: str
    summary: str
    tiles: tuple[tuple[str, str, str], ...]
    """Value, name and tone."""
    waterfall: Markup | None
    by_attempt: Markup | None
    drift: Markup | None
    timelines: tuple[tuple[ParentOrder, Markup], ...]
    more_timelines: int
    controls: tuple[Control, ...]
    children: tuple[tuple[ParentOrder, ChildOrder], ...]


def write_page(path: Path, title: str, entries: Sequence[PlanRecord], unfinished: Sequence[str]) -> None:
    """Write one self-contained page about these finished plans."""
    sections = [_section(entry, entry.journal.result) for entry in entries if entry.journal.result is not None]
    environment = Environment(
        loader=PackageLoader("rebalance_cli.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "dollars": dollars,
        "plain": format_decimal,
        "price": price,
        "tone": lambda outcome: _TONES.get(outcome, "bad"),
    }
    page = environment.get_template("page.html.j2")
    path.write_text(page.render(title=title, sections=sections, unfinished=unfinished), encoding="utf-8")


def _section(entry: PlanRecord, result: ExecutionResult) -> Section:
    parents = in_working_order(entry.journal.parents)
    drawn = [
        (p, svg)
        for p in sorted(parents, key=lambda p: -p.filled_value)[:_MOST_TIMELINES]
        if (svg := figures.timeline(p, entry.plan.started_at))
    ]
    attempts = _dollars_by_attempt(parents)
    gaps = list(_gaps(result))
    tone = "good" if result.status in _GOOD else "warn" if result.status is ExecutionStatus.PARTIAL_SUCCESS else "bad"
    return Section(
        entry=entry,
        result=result,
        tone=tone,
        summary=_summary(result),
        tiles=tuple(_tiles(result)),
        waterfall=_waterfall(result),
        by_attempt=figures.by_attempt(attempts) if attempts else None,
        drift=figures.drift(gaps) if gaps else None,
        timelines=tuple(drawn),
        more_timelines=max(0, sum(bool(p.children) for p in parents) - len(drawn)),
        controls=tuple(_controls(result.orders)),
        children=tuple((parent, child) for parent in parents for child in parent.children),
    )


def _summary(result: ExecutionResult) -> str:
    traded = [order for order in result.orders if order.action is not Action.HOLD]
    if not traded:
        return "Nothing had to be traded: every item is a HOLD."
    sold = -sum((o.trade_amount for o in traded if o.action is Action.SELL), ZERO)
    bought = sum((o.trade_amount for o in traded if o.action is Action.BUY), ZERO)
    seconds = (result.execution_timestamp - result.started_at).total_seconds()
    if not result.total_trade_value:
        codes = ", ".join(sorted({o.error_code for o in traded if o.error_code is not None}))
        return f"Nothing was traded: {codes or 'no order filled'}."
    done = f"Sold ${dollars(sold)} and bought ${dollars(bought)} in {_span(seconds)}."
    left = len(traded) - result.orders_succeeded
    orders = (
        "Every order is filled as planned."
        if not left
        else f"{left} of {counted(len(traded), 'order')} did not fill as planned."
    )
    cost = ""
    if result.slippage_bps is not None and result.slippage_amount is not None:
        word = "cost" if result.slippage_amount > 0 else "won"
        lost, bps = dollars(abs(result.slippage_amount)), abs(result.slippage_bps)
        cost = f" Against arrival prices it {word} ${lost} ({bps:.1f} bps)."
    look = " An operator must look at the broker's orders." if result.status is ExecutionStatus.UNRESOLVED else ""
    return f"{done} {orders}{cost}{look}"


def _span(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 90 else f"{seconds / 60:.1f} min"


def _tiles(result: ExecutionResult) -> Iterator[tuple[str, str, str]]:
    traded = [order for order in result.orders if order.action is not Action.HOLD]
    planned = sum((abs(order.planned_trade_amount) for order in traded), ZERO)
    rate = f"{result.total_trade_value / planned:.1%}" if planned else "–"
    yield f"${dollars(result.total_trade_value)}", f"filled, {rate} of ${dollars(planned)} planned", ""
    whole = result.orders_succeeded == len(traded)
    yield f"{result.orders_succeeded} of {len(traded)}", "orders as planned", "good" if whole else "warn"
    bps = result.slippage_bps
    shown = round(bps or ZERO, 1)
    tone = "" if not shown else "bad" if shown > 0 else "good"
    yield (f"{figures.signed(bps)} bps" if bps is not None else "–"), "implementation shortfall (plus is a cost)", tone
    yield (
        _span((result.execution_timestamp - result.started_at).total_seconds()),
        f"in {counted(result.runs, 'run')}",
        "",
    )
    agrees = not result.differences
    sent = any(order.children for order in result.orders)
    verdict = (
        "agrees" if agrees and sent else "nothing sent" if agrees else counted(len(result.differences), "difference")
    )
    yield verdict, "broker against journal", "good" if agrees else "bad"


def _waterfall(result: ExecutionResult) -> Markup | None:
    total, dollars_lost = result.slippage_bps, result.slippage_amount
    if total is None or dollars_lost is None:
        return None
    told = (
        ("delay", result.delay_bps, result.delay_amount),
        ("spread", result.spread_bps, result.spread_amount),
        ("residual", result.residual_bps, result.residual_amount),
    )
    parts = [Part(name, bps, amount) for name, bps, amount in told if bps is not None and amount is not None]
    return figures.waterfall(parts, Part("total", total, dollars_lost))


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
        refused = tuple(order.symbol for order in orders if order.error_code == code and not order.success)
        yield Control(code.value, meanings[code.value], refused)
