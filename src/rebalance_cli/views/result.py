"""Results of plans as tables and sentences, made from the result alone.

Pure: values in, rich renderables out. Tables fit into 80 columns, and show more where there is room.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from rebalance_cli.formatting import NONE, basis_points, counted, dollars, price, shares
from rebalance_cli.views.styles import STATUSES, money_text, outcome_text
from rebalance_cli.views.tables import cost, first_fitting, plain_table
from rebalance_executor.adapters.notification_text import as_planned, needs_attention
from rebalance_executor.domain.codes import NO_TRADE_NEEDED
from rebalance_executor.domain.plan import Action
from rebalance_executor.domain.result import ExecutionResult, OrderResult
from rebalance_executor.domain.values import cents, format_time, sum_of_cents

_COLUMNS = (
    "Symbol",
    "Side",
    "Outcome",
    "Filled",
    "Planned",
    "Shares",
    "Price",
    "Arrival",
    "Slip $",
    "bps",
    "Plan $",
    "Target $",
    "Dollars",
)
_TARGETS = ("Plan $", "Target $")
"""Columns of plans that were sized by their targets."""
_COMBINED = ("Planned", "Filled")
"""Columns that a narrow table combines into one: Shares."""
_FIRST_OMITTED = ("Arrival", "Slip $", "Side", "bps", "Price")
"""Columns in the order in which narrower tables leave them out. Numbers are never cut off."""
_SUMS = ("Sum", "Items", "Filled", "Planned $", "Target $", "Filled $", "Filled %", "Slip $", "bps")
_FIRST_OMITTED_SUMS = ("Filled %", "Slip $", "bps", "Filled", "Items", "Target $", "Planned $")
"""Columns of the sums in the order in which narrower tables leave them out."""
_PRICE_DECIMALS = 3


@dataclass(frozen=True, slots=True)
class Cash:
    """Cash of the account at the broker before and after a run, in dollars."""

    before: Decimal
    after: Decimal


def result_facts(result: ExecutionResult) -> list[tuple[str, RenderableType]]:
    """Return name and value of the facts about the plan as a whole."""
    rows: list[tuple[str, RenderableType]] = [
        ("Status", headline(result)),
        ("Plan", f"{result.plan_id}  (account {result.account})"),
        ("Money", money_text(result.broker)),
    ]
    if result.traded:
        filled = f"${dollars(result.filled_dollars)}, {as_planned(result)}"
        rows += [("Filled", filled), ("Slippage", _slippage(result))]
    if result.is_sized_by_target:
        equity = f", equity ${dollars(result.equity)}" if result.equity is not None else ""
        rows.append(("Sized by", f"{result.size_by}{equity}"))
    seconds = (result.execution_timestamp - result.started_at).total_seconds()
    finished = format_time(result.execution_timestamp)
    return [*rows, ("Time", f"{seconds:.2f} s in {counted(result.runs, 'run')}, finished {finished}")]


def headline(result: ExecutionResult) -> Text:
    """Return the status with its meaning for this plan."""
    title, style, meaning = STATUSES[result.status]
    if not result.traded:
        meaning = "nothing to trade: no item needed a trade"
    return Text.assemble((title, style), ("  " + meaning, "dim"))


def _slippage(result: ExecutionResult) -> str:
    if result.slippage_bps is None:
        return "nothing was filled"
    costs = result.slippage_dollars
    bps = f"({basis_points(result.slippage_bps)} bps)"
    if not costs:
        return f"none against arrival mid {bps}"
    return f"${dollars(abs(costs))} {'better' if costs < 0 else 'worse'} than arrival mid {bps}"


def symbol_to_explain(result: ExecutionResult) -> str | None:
    """Return the symbol of the order that most needs attention, or None if no order does."""
    orders = needs_attention(result)
    return orders[0].symbol if orders else None


def run_view(result: ExecutionResult, width: int, cash: Cash | None, *, is_repeated: bool) -> Group:
    """Return the plan as ``plan_view`` does, with a note above it if its stored result was returned."""
    if not is_repeated:
        return plan_view(result, width, cash)
    at = format_time(result.execution_timestamp)
    note = Text.assemble(("Already executed", "bold"), f" {at}: this is the stored result.", style="cyan")
    return Group(note, "", plan_view(result, width, cash))


def plan_view(result: ExecutionResult, width: int, cash: Cash | None) -> Group:
    """Return one plan as orders, remarks, sums, and cash if it is known."""
    parts: list[RenderableType] = [orders_table(result, width)]
    reasons = remarks(result)
    if reasons is not None:
        parts += ["", reasons]
    if result.traded:
        parts += ["", sums_table(result, width)]
        if cash is not None:
            parts += ["", cash_line(result, cash)]
    return Group(*parts)


# --- orders ----------------------------------------------------------------------------------------------


def orders_table(result: ExecutionResult, width: int) -> Table:
    """Return one row per item of the plan: shares that the plan asked for and shares filled, price, and cost.

    Shows as many columns, and as many decimals of the shares, as fit into ``width``.
    """
    hidden = () if result.is_sized_by_target else _TARGETS
    variants = [_orders_table(result, ("Shares", *hidden), decimals=9, gap=2)]
    variants += [_orders_table(result, (*_COMBINED, *hidden), decimals=decimals) for decimals in (9, 6, 4, 2)]
    omitted = [_FIRST_OMITTED[:count] for count in range(1, len(_FIRST_OMITTED) + 1)]
    variants += [_orders_table(result, (*_COMBINED, *hidden, *columns), decimals=2) for columns in omitted]
    variants.append(_orders_table(result, (*_COMBINED, *_TARGETS, *_FIRST_OMITTED), decimals=2))
    variants.append(_orders_table(result, (*_COMBINED, *_TARGETS, *_FIRST_OMITTED, "Shares"), decimals=2))
    return first_fitting(variants, width)


def _orders_table(result: ExecutionResult, without: Sequence[str], *, decimals: int, gap: int = 1) -> Table:
    table = plain_table(gap=gap)
    columns = [column for column in _COLUMNS if column not in without]
    for column in columns:
        table.add_column(column, justify="left" if column in _COLUMNS[:3] else "right", no_wrap=True)
    for order in result.orders:
        row = _order_row(order, decimals)
        table.add_row(*(row[column] for column in columns), style="dim" if order.skip_reason in NO_TRADE_NEEDED else "")
    return table


def _order_row(order: OrderResult, decimals: int) -> dict[str, RenderableType]:
    word, style = outcome_text(order)
    filled, planned = shares(order.shares, decimals), shares(order.requested_shares, decimals)
    if not order.requested_shares and not order.shares:
        filled = planned = NONE
    cells: Sequence[RenderableType] = (
        Text(order.symbol, "bold"),
        order.action.value,
        Text(word, style),
        filled,
        planned,
        filled if filled == planned else f"{filled}/{planned}",
        price(order.price, _PRICE_DECIMALS),
        price(order.expected_price, _PRICE_DECIMALS),
        cost(order.slippage_amount, dollars(order.slippage_amount)),
        cost(order.slippage_bps, basis_points(order.slippage_bps)),
        dollars(order.planned_trade_amount),
        dollars(order.requested_trade_amount),
        dollars(order.trade_amount if order.shares else None),
    )
    return dict(zip(_COLUMNS, cells, strict=True))


def remarks(result: ExecutionResult) -> RenderableType | None:
    """Return the codes and messages of the orders, each once with all its symbols; None if there are none."""
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


# --- sums ------------------------------------------------------------------------------------------------


def sums_table(result: ExecutionResult, width: int) -> Table:
    """Return planned and filled dollars by side. Each item of the plan counts in exactly one row."""
    hidden = () if result.is_sized_by_target else ("Target $",)
    omitted = (_FIRST_OMITTED_SUMS[:count] for count in range(len(_FIRST_OMITTED_SUMS) + 1))
    return first_fitting((_sums_table(result, (*hidden, *without)) for without in omitted), width)


def _sums_table(result: ExecutionResult, without: Sequence[str]) -> Table:
    table = plain_table(gap=2)
    table.show_footer = True
    traded = result.traded
    columns = [number for number, name in enumerate(_SUMS) if name not in without]
    total = _sum_row("All", traded, items=len(result.orders))
    for number in columns:
        name = _SUMS[number]
        table.add_column(name, total[number], justify="left" if name == "Sum" else "right", no_wrap=True)
    rows = []
    for title, action in (("Sells", Action.SELL), ("Buys", Action.BUY)):
        orders = [order for order in traded if order.action is action]
        if orders:
            rows.append(_sum_row(title, orders))
    others = [order for order in result.orders if order.skip_reason in NO_TRADE_NEEDED]
    if others:
        title = "Holds" if all(order.action is Action.HOLD for order in others) else "Untraded"
        rows.append([Text(word, "dim") for word in (title, str(len(others)), *[NONE] * (len(_SUMS) - 2))])
    for row in rows:
        table.add_row(*(row[number] for number in columns))
    return table


def _sum_row(title: str, orders: Sequence[OrderResult], items: int | None = None) -> list[RenderableType]:
    planned = sum_of_cents(abs(order.planned_trade_amount) for order in orders)
    asked = sum_of_cents(abs(order.requested_trade_amount) for order in orders)
    filled = sum_of_cents(abs(order.trade_amount) for order in orders)
    slippage = sum_of_cents(order.slippage_amount for order in orders if order.slippage_amount is not None)
    bps = slippage / filled * 10_000 if filled else None
    return [
        title,
        str(len(orders) if items is None else items),
        str(sum(order.success for order in orders)),
        dollars(planned),
        dollars(asked),
        dollars(filled),
        f"{filled / asked:.2%}" if asked else NONE,
        cost(slippage, dollars(slippage)),
        cost(bps, basis_points(bps)),
    ]


def cash_line(result: ExecutionResult, cash: Cash) -> Text:
    """Return the sum: cash before + sold − bought = cash after; and compare it with the cash at the broker."""
    sold = -sum_of_cents(order.trade_amount for order in result.orders if order.action is Action.SELL)
    bought = sum_of_cents(order.trade_amount for order in result.orders if order.action is Action.BUY)
    expected = cents(cash.before) + sold - bought
    line = Text.assemble(
        ("Cash  ", "bold"),
        f"{dollars(cash.before)} + {dollars(sold)} sold − {dollars(bought)} bought = ",
        (dollars(expected), "bold"),
    )
    difference = cents(cash.after) - expected
    tolerance = Decimal("0.01") * (1 + sum(order.shares > 0 for order in result.orders))  # the broker rounds to cents
    if abs(difference) <= tolerance:
        text = f"\n      {dollars(cash.after)} at the broker: it adds up, {dollars(abs(difference))} of rounding"
        return line.append(text, "green")
    text = f"\n      {dollars(cash.after)} at the broker: {dollars(difference, sign=True)} unexplained"
    return line.append(text, "yellow")
