"""Results as a person reads them: tables and sentences from the result's JSON, nothing else.

Pure: values in, rich renderables out. Widths are chosen for 80 columns, and give more digits where there is room.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from io import StringIO
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from rebalance_executor.domain.orders import Outcome
from rebalance_executor.domain.plan import Action
from rebalance_executor.domain.result import ExecutionResult, ExecutionStatus, OrderResult
from rebalance_executor.domain.values import format_decimal, format_utc

_ZERO = Decimal(0)
_NONE = "–"
_ID_WIDTH = 20
_OUTCOME = {
    Outcome.FILLED: ("filled", "green"),
    Outcome.PARTIALLY_FILLED: ("partial", "yellow"),
    Outcome.UNFILLED: ("unfilled", "yellow"),
    Outcome.REJECTED: ("rejected", "red"),
    Outcome.DENIED: ("denied", "red"),
    Outcome.SKIPPED: ("skipped", "dim"),
    Outcome.UNRESOLVED: ("UNRESOLVED", "bold red"),
}
_STATUS = {
    ExecutionStatus.SUCCESS: ("SUCCESS", "bold green", "every order filled"),
    ExecutionStatus.SUCCESS_WITH_SKIPS: ("SUCCESS WITH SKIPS", "bold green", "all that had to be traded is filled"),
    ExecutionStatus.PARTIAL_SUCCESS: ("PARTIAL SUCCESS", "bold yellow", "some orders did not fill as planned"),
    ExecutionStatus.FAILURE: ("FAILURE", "bold red", "nothing was traded"),
    ExecutionStatus.UNRESOLVED: ("UNRESOLVED", "bold red", "an operator must look at the broker's orders"),
}


@dataclass(frozen=True, slots=True)
class Cash:
    """The account's cash at the broker, in dollars, around a run."""

    before: Decimal
    after: Decimal


def dollars(amount: Decimal | None, *, sign: bool = False) -> str:
    """An amount with thousands separators and cents."""
    if amount is None:
        return _NONE
    text = f"{amount:+,.2f}" if sign else f"{amount:,.2f}"
    return text.replace("-0.00", "0.00").replace("+0.00", "0.00")


def price(amount: Decimal) -> str:
    """A price as it is, with cents at least."""
    return f"{amount:,.2f}" if amount == round(amount, 2) else format_decimal(amount)


def shares(quantity: Decimal, digits: int) -> str:
    """A quantity of shares with at most so many decimals."""
    return format_decimal(round(quantity, digits))


def counted(number: int, noun: str) -> str:
    """A number with its noun: ``1 order``, ``2 orders``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def cost(amount: Decimal | None, text: str) -> Text:
    """A cost in red, a gain in green, none dimmed."""
    style = "dim" if not amount else ("red" if amount > 0 else "green")
    return Text(text, style)


# --- one plan --------------------------------------------------------------------------------------------


_COLUMNS = ("Symbol", "Side", "Outcome", "Filled", "Planned", "Shares", "Price", "Arrival", "Slip $", "bps", "Dollars")
_SMALL = ("Planned", "Filled")
"""Both in one column, Shares, where there is no room."""


def orders_table(result: ExecutionResult, width: int) -> Table:
    """One row for each item of the plan: what was planned, what was done, at which price, at which cost.

    As many decimals of the shares and as many columns as fit; where there is room, planned shares have their own.
    """
    variants = [_orders_table(result, ("Shares",), digits=9, gap=2)]
    variants += [_orders_table(result, _SMALL, digits=digits) for digits in (9, 6, 4, 2)]
    variants += [_orders_table(result, (*_SMALL, *less), digits=2) for less in _LESS]
    return first_fitting(variants, width)


_LESS = (("Arrival",), ("Arrival", "Slip $"), ("Arrival", "Slip $", "Side"), ("Arrival", "Slip $", "Side", "bps"))
"""What is left out where the whole does not fit; no figure is ever cut."""


def first_fitting(variants: Iterable[Table], width: int) -> Table:
    """The first of these tables that fits, or else the last."""
    table = Table()
    for table in variants:
        if natural_width(table) <= width:
            break
    return table


def natural_width(table: Table) -> int:
    """Columns a table takes if nothing is cut."""
    console = Console(width=1000, file=StringIO(), markup=False, emoji=False)
    return console.measure(table).maximum


def _orders_table(result: ExecutionResult, without: Sequence[str], *, digits: int, gap: int = 1) -> Table:
    table = plain_table(gap=gap)
    heads = [head for head in _COLUMNS if head not in without]
    for head in heads:
        table.add_column(head, justify="left" if head in _COLUMNS[:3] else "right", no_wrap=True)
    for order in result.orders:
        row = _order_row(order, digits)
        table.add_row(*(row[head] for head in heads), style="dim" if order.action is Action.HOLD else "")
    return table


def plain_table(gap: int) -> Table:
    """A table without a frame."""
    return Table(box=box.SIMPLE, padding=(0, gap - 1, 0, 0), show_edge=False, pad_edge=False, header_style="bold")


def _order_row(order: OrderResult, digits: int) -> dict[str, RenderableType]:
    word, style = _OUTCOME[order.outcome]
    filled, planned = shares(order.shares, digits), shares(order.planned_shares, digits)
    if not order.planned_shares and not order.shares:
        filled = planned = _NONE
    cells: Sequence[RenderableType] = (
        Text(order.symbol, "bold"),
        order.action.value,
        Text(word, style),
        filled,
        planned,
        filled if filled == planned else f"{filled}/{planned}",
        _price(order.price),
        _price(order.expected_price),
        cost(order.slippage_amount, dollars(order.slippage_amount)),
        cost(order.slippage_bps, _bps(order.slippage_bps)),
        dollars(order.trade_amount if order.shares else None),
    )
    return dict(zip(_COLUMNS, cells, strict=True))


_SUMS = ("Sum", "Items", "Filled", "Planned $", "Filled $", "Filled %", "Slip $", "bps")


def sums_table(result: ExecutionResult, width: int) -> Table:
    """What was planned and what was filled, by side: every item of the plan is in one of the rows."""
    return first_fitting(
        (_sums_table(result, without) for without in ((), ("Filled %",), ("Filled %", "Slip $"))), width
    )


def _sums_table(result: ExecutionResult, without: Sequence[str]) -> Table:
    table = plain_table(gap=2)
    table.show_footer = True
    traded = [order for order in result.orders if order.action is not Action.HOLD]
    kept = [place for place, head in enumerate(_SUMS) if head not in without]
    total = _sum_row("All", traded, items=len(result.orders))
    for place in kept:
        head = _SUMS[place]
        table.add_column(head, total[place], justify="left" if head == "Sum" else "right", no_wrap=True)
    rows = []
    for title, action in (("Sells", Action.SELL), ("Buys", Action.BUY)):
        some = [order for order in traded if order.action is action]
        if some:
            rows.append(_sum_row(title, some))
    holds = len(result.orders) - len(traded)
    if holds:
        rows.append([Text(word, "dim") for word in ("Holds", str(holds), *[_NONE] * 6)])
    for row in rows:
        table.add_row(*(row[place] for place in kept))
    return table


def _sum_row(title: str, orders: Sequence[OrderResult], items: int | None = None) -> list[RenderableType]:
    planned = sum((abs(order.planned_trade_amount) for order in orders), _ZERO)
    filled = sum((abs(order.trade_amount) for order in orders), _ZERO)
    slippage = sum((order.slippage_amount for order in orders if order.slippage_amount is not None), _ZERO)
    bps = slippage / filled * 10_000 if filled else None
    return [
        title,
        str(len(orders) if items is None else items),
        str(sum(order.outcome is Outcome.FILLED for order in orders)),
        dollars(planned),
        dollars(filled),
        f"{filled / planned:.2%}" if planned else _NONE,
        cost(slippage, dollars(slippage)),
        cost(bps, _bps(bps)),
    ]


def cash_line(result: ExecutionResult, cash: Cash) -> Text:
    """Cash before + sold − bought = cash after, and whether the broker's cash agrees."""
    sold = -sum((order.trade_amount for order in result.orders if order.action is Action.SELL), _ZERO)
    bought = sum((order.trade_amount for order in result.orders if order.action is Action.BUY), _ZERO)
    expected = cash.before + sold - bought
    line = Text.assemble(
        ("Cash  ", "bold"),
        f"{dollars(cash.before)} + {dollars(sold)} sold − {dollars(bought)} bought = ",
        (dollars(expected), "bold"),
    )
    difference = cash.after - expected
    roundings = Decimal("0.01") * (1 + sum(order.shares > 0 for order in result.orders))  # whole cents at the broker
    if abs(difference) <= roundings:
        return line.append(f"\n      {dollars(cash.after)} at the broker: it adds up", "green")
    return line.append(f"\n      {dollars(cash.after)} at the broker: {dollars(difference, sign=True)}", "yellow")


def remarks(result: ExecutionResult) -> RenderableType | None:
    """Why orders are not simply filled, those of one reason together."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for order in result.orders:
        if order.error_code is not None:
            reasons.setdefault((order.error_code, order.error_message or ""), []).append(order.symbol)
    if not reasons:
        return None
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column()
    for (code, message), symbols in reasons.items():
        table.add_row(Text(code, "yellow"), Text.assemble((" ".join(symbols), "bold"), f"  {message}"))
    return table


def headline(result: ExecutionResult) -> Text:
    """The status in words."""
    word, style, meaning = _STATUS[result.status]
    if result.orders and all(order.action is Action.HOLD for order in result.orders):
        meaning = "nothing to trade: every item is a HOLD"
    return Text.assemble((word, style), ("  " + meaning, "dim"))


def facts(rows: Iterable[tuple[str, RenderableType]]) -> Table:
    """Names and values, one a line; tables that follow each other line up."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True, min_width=8)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, value)
    return table


def result_facts(result: ExecutionResult) -> list[tuple[str, RenderableType]]:
    """What the result itself says of the plan as a whole."""
    rows: list[tuple[str, RenderableType]] = [
        ("Status", headline(result)),
        ("Plan", f"{result.plan_id}  (account {result.account})"),
    ]
    if traded := _traded(result):
        filled = f"${dollars(result.total_trade_value)}, {result.orders_succeeded} of {traded} orders as planned"
        rows += [("Filled", filled), ("Slippage", _slippage(result))]
    seconds = (result.execution_timestamp - result.started_at).total_seconds()
    finished = format_utc(result.execution_timestamp)
    return [*rows, ("Time", f"{seconds:.2f} s in {counted(result.runs, 'run')}, finished {finished}")]


_WORST = (Outcome.UNRESOLVED, Outcome.REJECTED, Outcome.PARTIALLY_FILLED, Outcome.UNFILLED, Outcome.DENIED)


def explain_command(result: ExecutionResult) -> str | None:
    """The command that tells of the order that needs a look most, if any does."""
    odd = sorted((o for o in result.orders if o.outcome in _WORST), key=lambda order: _WORST.index(order.outcome))
    return f"rebalance explain {shlex.quote(result.plan_id)} {odd[0].symbol}" if odd else None


def plan_view(result: ExecutionResult, width: int, cash: Cash | None) -> Group:
    """The whole of one plan: orders, remarks, sums, cash."""
    parts: list[RenderableType] = [orders_table(result, width)]
    why = remarks(result)
    if why is not None:
        parts += ["", why]
    if _traded(result):
        parts += ["", sums_table(result, width)]
        if cash is not None:
            parts += ["", cash_line(result, cash)]
    return Group(*parts)


def _traded(result: ExecutionResult) -> int:
    return sum(order.action is not Action.HOLD for order in result.orders)


def _slippage(result: ExecutionResult) -> str:
    if result.slippage_bps is None:
        return "nothing was filled"
    costs = sum((order.slippage_amount for order in result.orders if order.slippage_amount is not None), _ZERO)
    word = "better" if costs < 0 else "worse"
    if not round(costs, 2):
        return f"none against arrival mid ({_bps(result.slippage_bps)} bps)"
    return f"${dollars(abs(costs))} {word} than arrival mid ({_bps(result.slippage_bps)} bps)"


def _price(price: Decimal | None) -> str:
    if price is None:
        return _NONE
    return f"{price:,.2f}" if price == round(price, 2) else f"{price:,.3f}"


def _bps(value: Decimal | None) -> str:
    return _NONE if value is None else f"{value:.1f}".replace("-0.0", "0.0")


# --- other answers ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MessageLine:
    """One message of a queue's batch, with what became of it."""

    message_id: str
    failed: bool
    what: str


def batch_table(lines: Iterable[MessageLine]) -> Table:
    """The messages of a batch: which are done, and which the queue delivers again."""
    table = plain_table(gap=3)
    table.add_column("Message", no_wrap=True)
    table.add_column("Verdict", no_wrap=True)
    table.add_column("What became of it")
    for line in lines:
        verdict = Text("failed", "red") if line.failed else Text("done", "green")
        table.add_row(_short_id(line.message_id), verdict, Text(line.what))
    return table


def _short_id(message_id: str) -> str:
    """Both ends of an id: the ids of one batch often begin alike."""
    return message_id if len(message_id) <= _ID_WIDTH else f"{message_id[:8]}…{message_id[-8:]}"


def batch_summary(failed: int, messages: int) -> Text:
    """What the queue does with the answer."""
    if not failed:
        return Text(f"batchItemFailures is empty: the queue deletes {counted(messages, 'message')}.", "green")
    return Text(
        f"batchItemFailures names {failed} of {messages}: the queue deletes the others and delivers these again; "
        "after its maxReceiveCount a message goes to the dead-letter queue. Nothing of the others is repeated.",
        "yellow",
    )


def error_view(problem: str, next_step: str) -> Padding:
    """A problem and what to do, without a traceback."""
    return Padding(Group(Text(problem, "red"), Text.assemble(("→ ", "bold"), next_step)), (0, 0))


def health_table(report: Mapping[str, Any]) -> Group:
    """Every dependency with its state, and whether plans can be executed."""
    table = plain_table(gap=3)
    for head in ("Dependency", "State"):
        table.add_column(head, no_wrap=True)
    table.add_column("Detail", overflow="fold")
    for check in report.get("checks", ()):
        state = Text("ok", "green") if check["ok"] else Text("failing", "red")
        table.add_row(Text(check["name"], "bold"), state, Text(check["detail"]))
    verdict = Text("Healthy: plans can be executed.", "bold green")
    if report.get("healthy") is not True:
        verdict = Text("Not healthy: mend what is failing first.", "bold red")
    return Group(table, "", verdict)
