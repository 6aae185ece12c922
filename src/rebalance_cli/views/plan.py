"""Plans before they are executed, as a person reads them. Pure: answers in, rich renderables out."""

from __future__ import annotations

from decimal import Decimal

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from rebalance_cli.outputs import Decision, Preview, PreviewOrder, Validation
from rebalance_cli.views.result import counted, dollars, facts, first_fitting, plain_table, shares

_DECISION = {Decision.SEND: ("send", "green"), Decision.SKIP: ("skip", "dim"), Decision.DENY: ("DENY", "red")}
_HASH_SHOWN = 12


def validation_view(verdict: Validation, path: str) -> Group:
    """Every problem and every remark, with its path."""
    parts: list[RenderableType] = []
    for title, style, found in (("Problems", "red", verdict.problems), ("Remarks", "yellow", verdict.remarks)):
        if not found:
            continue
        table = plain_table(gap=3)
        table.add_column(title, no_wrap=True, style=style)
        table.add_column("", overflow="fold")
        for problem in found:
            table.add_row(problem.path, Text(problem.text))
        parts += [table, ""]
    if verdict.valid:
        rows: list[tuple[str, RenderableType]] = [
            ("Plan", Text(f"{verdict.plan_id}  valid", "green")),
            ("Hash", (verdict.content_hash or "")[:_HASH_SHOWN]),
            ("Next", f"rebalance preview {path}"),
        ]
    else:
        rows = [
            ("Plan", Text(f"not valid: {counted(len(verdict.problems), 'problem')}", "red")),
            ("Next", f"mend them, then: rebalance validate {path}"),
        ]
    return Group(*parts, facts(rows))


def preview_view(told: Preview, path: str, width: int) -> Group:
    """What would become of the plan."""
    variants = ((True, 6), (True, 4), (False, 4), (False, 2))
    table = first_fitting((_table(told, quote=quote, digits=digits) for quote, digits in variants), width)
    return Group(table, "", *_reasons(told), facts(_sums(told, path)))


def _table(told: Preview, *, quote: bool, digits: int) -> Table:
    table = plain_table(gap=2 if quote else 1)
    for head in ("Symbol", "Side", "Would"):
        table.add_column(head, no_wrap=True)
    for head in ("Shares", "First", *(("Bid", "Ask") if quote else ()), "≈ Dollars", "≈ Cost"):
        table.add_column(head, justify="right", no_wrap=True)
    for order in told.orders:
        word, style = _DECISION[order.decision]
        sent = order.decision is Decision.SEND
        table.add_row(
            Text(order.symbol, "bold"),
            order.action.value,
            Text(word, style),
            shares(order.qty, digits) if sent else "–",
            _first(order),
            *((dollars(order.bid), dollars(order.ask)) if quote else ()),
            dollars(order.estimated_amount) if sent else "–",
            dollars(order.estimated_cost) if sent else "–",
            style="dim" if order.decision is Decision.SKIP else "",
        )
    return table


def _first(order: PreviewOrder) -> str:
    if order.type is None:
        return "–"
    return dollars(order.limit_price) if order.limit_price is not None else order.type


def _reasons(told: Preview) -> list[RenderableType]:
    if told.code is not None:
        return [Text.assemble((told.code, "bold red"), f"  {told.message}"), ""]
    rows = [order for order in told.orders if order.code is not None and order.code != "HOLD"]
    if not rows:
        return []
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column()
    for order in rows:
        table.add_row(Text(order.code or "", "yellow"), Text.assemble((order.symbol, "bold"), f"  {order.message}"))
    return [table, ""]


def _sums(told: Preview, path: str) -> list[tuple[str, RenderableType]]:
    count = {decision: sum(order.decision is decision for order in told.orders) for decision in Decision}
    traded = told.sells + told.buys
    bps = f" ({told.estimated_cost / traded * 10_000:.1f} bps)" if traded else ""
    money = Text("paper money", "green") if told.paper else Text("REAL MONEY", "bold red")
    rows: list[tuple[str, RenderableType]] = [
        ("Plan", Text.assemble(f"{told.plan_id}  (account {told.account}, ", money, ")")),
        ("Would", f"send {count[Decision.SEND]}, skip {count[Decision.SKIP]}, deny {count[Decision.DENY]}"),
        ("Trades", f"sell ${dollars(told.sells)}, buy ${dollars(told.buys)}"),
        ("Cost", f"about ${dollars(told.estimated_cost)} if all is taken at once: half the spread{bps}"),
        ("Cash", f"${dollars(told.cash)} now, about ${dollars(max(told.cash_after, Decimal(0)))} after"),
        ("Hash", told.content_hash[:_HASH_SHOWN]),
    ]
    if told.code is None and count[Decision.SEND]:
        rows.append(("Next", f"rebalance apply {path} --hash {told.content_hash[:_HASH_SHOWN]}"))
    else:
        rows.append(("Next", "nothing would be sent as it stands; the codes are in docs/reference.md"))
    return rows
