"""Plans before they are executed: validation and preview.

Pure: answers in, rich renderables out.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from rebalance_cli.formatting import NONE, basis_points, counted, date_and_time, dollars, price, shares
from rebalance_cli.outputs import Decision, Preview, PreviewOrder, UnfinishedAnswer, Validation
from rebalance_cli.views.styles import money_text
from rebalance_cli.views.tables import facts, first_fitting, plain_table
from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.market import ZERO, TimeInForce
from rebalance_executor.domain.plan import SizeBy

DECISIONS = {Decision.SEND: ("send", "green"), Decision.SKIP: ("skip", "dim"), Decision.DENY: ("DENY", "red")}
"""Word and style of each decision."""
_ALL = ("Symbol", "Side", "Decision", "Shares", "Limit", "Bid", "Ask", "≈ Dollars", "≈ Cost, bps", "90 %")
_CELLS = (*_ALL, "Plan $", "Target $")
_WITHOUT_QUOTE = ("Symbol", "Side", "Decision", "Shares", "Limit", "≈ Dollars", "≈ Cost, bps")
_NARROW = ("Symbol", "Decision", "Shares", "≈ Dollars")
_NARROWEST = ("Symbol", "Decision", "≈ Dollars")
_BY_TARGET = ("Symbol", "Side", "Decision", "Shares", "Limit", "Plan $", "Target $", "≈ Dollars")
_BY_TARGET_NARROW = ("Symbol", "Decision", "Plan $", "Target $")
_BY_TARGET_NARROWEST = ("Symbol", "Decision", "Target $")
HASH_LENGTH = 12
"""Characters of a hash that are printed."""


def validation_view(validation: Validation) -> Group:
    """Return every problem and remark, each with the path of its field."""
    parts: list[RenderableType] = []
    for title, style, problems in (
        ("Problems", "red", validation.problems),
        ("Remarks", "yellow", validation.remarks),
    ):
        if not problems:
            continue
        table = plain_table(gap=3)
        table.add_column(title, no_wrap=True, style=style)
        table.add_column("", overflow="fold")
        for problem in problems:
            table.add_row(problem.path, Text(problem.text))
        parts += [table, ""]
    if validation.valid:
        rows: list[tuple[str, RenderableType]] = [
            ("Plan", Text(f"{validation.plan_id}  valid", "green")),
            ("Hash", (validation.content_hash or "")[:HASH_LENGTH]),
        ]
    else:
        text = f"invalid: {counted(len(validation.problems), 'problem')} to fix"
        rows = [("Plan", Text(text, "red"))]
    return Group(*parts, facts(rows))


def preview_view(preview: Preview, width: int) -> Group:
    """Return what would be sent, skipped and denied, the reasons, and the totals."""
    variants = [(_ALL, 6), (_ALL, 4), (_WITHOUT_QUOTE, 4), (_WITHOUT_QUOTE, 2), (_NARROW, 2), (_NARROWEST, 2)]
    if preview.size_by is not SizeBy.TRADE_AMOUNT:
        variants = [(_CELLS, 6), (_BY_TARGET, 6), (_BY_TARGET, 2), (_BY_TARGET_NARROW, 2), (_BY_TARGET_NARROWEST, 2)]
    table = first_fitting((_table(preview, columns, decimals) for columns, decimals in variants), width)
    return Group(table, "", *_reasons(preview), *_corporate_actions(preview), facts(_totals(preview)))


def _table(preview: Preview, columns: Sequence[str], decimals: int) -> Table:
    table = plain_table(gap=2 if columns == _ALL else 1)
    for column in columns:
        table.add_column(column, justify="left" if column in _ALL[:3] else "right", no_wrap=True)
    for order in preview.orders:
        row = _row(order, decimals)
        style = "dim" if order.decision is Decision.SKIP else ""
        table.add_row(*(row[column] for column in columns), style=style)
    return table


def _row(order: PreviewOrder, decimals: int) -> dict[str, RenderableType]:
    word, style = DECISIONS[order.decision]
    is_sent = order.decision is Decision.SEND
    cells: Sequence[RenderableType] = (
        Text(order.symbol, "bold"),
        order.action.value,
        Text(word, style),
        shares(order.qty, decimals) if is_sent else NONE,
        _limit(order),
        price(order.bid),
        price(order.ask),
        dollars(order.estimated_amount) if is_sent else NONE,
        basis_points(order.forecast_bps),
        _interval(order),
        dollars(order.planned_amount),
        dollars(order.requested_amount),
    )
    return dict(zip(_CELLS, cells, strict=True))


def _interval(one: Preview | PreviewOrder) -> str:
    if one.forecast_low_bps is None:
        return NONE
    return f"{basis_points(one.forecast_low_bps)} to {basis_points(one.forecast_high_bps)}"


def _limit(order: PreviewOrder) -> str:
    if order.type is None:
        return NONE
    return price(order.limit_price) if order.limit_price is not None else order.type


def _reasons(preview: Preview) -> list[RenderableType]:
    if preview.code is not None:
        return [Text.assemble((preview.code, "bold red"), f"  {preview.message}"), ""]
    orders = [order for order in preview.orders if order.message is not None and order.code != Code.HOLD]
    unknown: dict[str, list[str]] = {}
    for order in preview.orders:
        if order.forecast_reason is not None:
            unknown.setdefault(order.forecast_reason, []).append(order.symbol)
    if not orders and not unknown:
        return []
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column()
    for order in orders:
        table.add_row(
            Text(order.code or _worked(order), "yellow"), Text.assemble((order.symbol, "bold"), f"  {order.message}")
        )
    for reason, symbols in unknown.items():
        table.add_row(Text("cost unknown", "yellow"), Text.assemble((", ".join(symbols), "bold"), f"  {reason}"))
    return [table, ""]


def _worked(order: PreviewOrder) -> str:
    """Return in one word how an order without a code is worked."""
    return "auction" if order.time_in_force is not TimeInForce.DAY else "sliced"


def _corporate_actions(preview: Preview) -> list[RenderableType]:
    """Return each split and symbol change, with what it means for the plan."""
    if preview.corporate_actions is None or not preview.corporate_actions.actions:
        return []
    parts: list[RenderableType] = []
    for action in preview.corporate_actions.actions:
        kind = action.type.replace("_", " ")
        parts += [Text(f"{action.symbol}: {kind} on {action.day}: {action.change}", "bold yellow"), action.meaning, ""]
    return parts


def _cost(preview: Preview) -> str:
    if preview.forecast_bps is None:
        return "unknown, see above" if preview.forecast_reason is not None else NONE
    bps = f"{basis_points(preview.forecast_bps)} bps, with 90 % between {_interval(preview).replace(' to ', ' and ')}"
    return f"about ${dollars(preview.estimated_cost)} against the midpoint: {bps}"


def _totals(preview: Preview) -> list[tuple[str, RenderableType]]:
    count = {decision: sum(order.decision is decision for order in preview.orders) for decision in Decision}
    short = sum(order.decision is Decision.SEND and not order.as_planned for order in preview.orders)
    reduced = f" ({short} reduced)" if short else ""
    ignored = ", ".join(preview.ignored_fields)
    equity = f", equity ${dollars(preview.equity)}" if preview.equity is not None else ""
    splits = preview.corporate_actions
    by_target = preview.size_by is not SizeBy.TRADE_AMOUNT
    return [
        ("Plan", f"{preview.plan_id}  (account {preview.account})"),
        ("Money", money_text(preview.broker)),
        ("Items", f"send {count[Decision.SEND]}{reduced}, skip {count[Decision.SKIP]}, deny {count[Decision.DENY]}"),
        ("Trades", f"sell ${dollars(preview.sells)}, buy ${dollars(preview.buys)}"),
        ("Cost", _cost(preview)),
        ("Cash", f"${dollars(preview.cash)} now, about ${dollars(max(preview.cash_after, ZERO))} after"),
        *([("Sized by", f"{preview.size_by}{equity}")] if by_target else []),
        *([("Before", _before(preview.unfinished))] if preview.unfinished is not None else []),
        *([("Splits", Text(f"not known: {splits.problem}", "yellow"))] if splits and splits.problem else []),
        *([("Ignored", Text(f"{ignored}: not fields of a plan", "yellow"))] if ignored else []),
        ("Hash", preview.content_hash[:HASH_LENGTH]),
    ]


def _before(plan: UnfinishedAnswer) -> Text:
    since = date_and_time(plan.started_at)
    text = f"plan {plan.plan_id} is unfinished since {since}; it is finished first, and changes cash and shares"
    return Text(text, "yellow")
