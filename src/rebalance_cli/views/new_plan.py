"""New plans: what they change, what they cost and what does not fit.

Pure: answers in, rich renderables out.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from rebalance_cli.formatting import NONE, dollars, percent
from rebalance_cli.new_plan_answers import Change, NewPlan, UnlistedHolding
from rebalance_cli.views.tables import facts, first_fitting, plain_table
from rebalance_executor.domain.market import ZERO

_ALL = ("Symbol", "Side", "From", "To", "From $", "To $", "Trade $", "≈ Cost $")
_MEDIUM = ("Symbol", "Side", "From", "To", "Trade $", "≈ Cost $")
_NARROW = ("Symbol", "From", "To", "Trade $")
_LEFT = _ALL[:2]
HASH_LENGTH = 12
CASH_ORDER = "priority 1 uses the cash first; buys of equal priority are reduced by the same fraction"
"""Order in which buys use cash that does not suffice."""


def new_plan_view(plan: NewPlan, width: int) -> Group:
    """Return the changes of a new plan, its totals and its remarks."""
    has_costs = any(change.estimated_cost is not None for change in plan.changes)
    variants = (_ALL, _MEDIUM, _NARROW) if has_costs else (_ALL[:-1], _MEDIUM[:-1], _NARROW)
    table = first_fitting((_table(plan.changes, columns) for columns in variants), width)
    parts: list[RenderableType] = [table, ""] if plan.changes else []
    return Group(*parts, facts([("Plan", plan.plan_id), *_totals(plan), *_remarks(plan)]))


def started_view(plan: NewPlan, problem: str) -> RenderableType:
    """Return the answer for a plan that was made earlier."""
    written = [("Written", f"{plan.path}, the plan that has started")] if plan.path is not None else []
    return facts([("Plan", f"{plan.plan_id}  {plan.state}"), ("Note", problem), *written])


def written_view(plan: NewPlan) -> RenderableType:
    """Return the name of the file that was written."""
    return facts([("Written", str(plan.path)), ("Hash", plan.content_hash[:HASH_LENGTH])])


def _table(changes: Sequence[Change], columns: Sequence[str]) -> Table:
    table = plain_table(gap=2)
    for column in columns:
        table.add_column(column, justify="left" if column in _LEFT else "right", no_wrap=True)
    for change in changes:
        cells: Sequence[RenderableType] = (
            Text(change.symbol, "bold"),
            change.action.value,
            percent(change.current_weight),
            percent(change.target_weight),
            dollars(change.current_value),
            dollars(change.target_value),
            dollars(change.trade_amount, sign=True),
            dollars(change.estimated_cost),
        )
        row = dict(zip(_ALL, cells, strict=True))
        table.add_row(*(row[column] for column in columns), style="" if change.trade_amount else "dim")
    return table


def _totals(plan: NewPlan) -> list[tuple[str, RenderableType]]:
    rows: list[tuple[str, RenderableType]] = [
        ("Trades", f"sell ${dollars(plan.sells)}, buy ${dollars(plan.buys)}"),
    ]
    if plan.estimated_cost is not None:
        rows.append(("Cost", f"about ${dollars(plan.estimated_cost)} against the midpoint"))
    elif plan.cost_reason is not None:
        rows.append(("Cost", f"unknown: {plan.cost_reason}"))
    if plan.cash is not None:
        after = plan.cash + plan.sells - plan.buys
        rows.append(("Cash", f"${dollars(plan.cash)} now, about ${dollars(max(after, ZERO))} after"))
    return rows


def _remarks(plan: NewPlan) -> list[tuple[str, RenderableType]]:
    rows: list[tuple[str, RenderableType]] = []
    if plan.denied is not None:
        rows.append(("Denied", Text(f"now: {plan.denied}", "yellow")))
    cut = [change for change in plan.changes if change.reduced is not None]
    if plan.shortage is not None or cut:
        short = f"${dollars(plan.shortage)} of the buys do not fit into cash and sales" if plan.shortage else ""
        text = "; ".join(part for part in (short, CASH_ORDER) if part)
        rows.append(("Short", Text(text, "yellow")))
        rows += [("", f"{change.symbol}: {change.reduced}") for change in cut]
    rows += [("Denied", Text(f"{c.symbol}: {c.denied}", "yellow")) for c in plan.changes if c.denied is not None]
    for holding in plan.unlisted:
        rows.append(("Unlisted", Text(_unlisted_text(plan, holding), "yellow")))
    rows += [("Note", Text(note, "yellow")) for note in plan.notes]
    return rows


def _unlisted_text(plan: NewPlan, holding: UnlistedHolding) -> str:
    """Return what happens to a holding that the sheet does not list."""
    value = f"value {NONE}"
    if holding.value is not None:
        value = f"{'-' if holding.value < 0 else ''}${dollars(abs(holding.value))}"
    text = "stays; --sell-unlisted sells it"
    if holding.is_sold:
        text = "sold"
    elif holding.value is None:
        text = "stays; without a price it cannot be sold"
    elif holding.value < 0:
        text = "stays; it is a short position, which no plan can change"
    elif holding.symbol in {change.symbol for change in plan.changes}:
        text = "stays; its sale is below --min-trade"
    return f"{holding.symbol} {value}, not in the sheet: {text}"
