"""Accounts, plans and orders as the commands ``status``, ``watch`` and ``explain`` show them.

Pure: answers in, rich renderables out.
"""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from rebalance_cli.formatting import NONE, counted, date_and_time, dollars, new_york_time, price, shares, utc_time
from rebalance_cli.outputs import (
    Explanation,
    KillSwitchAnswer,
    OrderLine,
    PlanDetails,
    PlanProgress,
    StatusAnswer,
    UnfinishedAnswer,
)
from rebalance_cli.views.styles import OUTCOMES, STATUSES, TRADING_STATES, money_text
from rebalance_cli.views.tables import facts, first_fitting, plain_table

PROGRESS = {
    PlanProgress.FINISHED: ("finished", "green"),
    PlanProgress.RUNNING: ("running", "blue"),
    PlanProgress.WAITING: ("waiting for the next run of its account", "yellow"),
}
"""Text and style of the progress of a plan."""
_STATUS_STYLES = {status.value: style for status, (_, style, _) in STATUSES.items()} | {"in_progress": "blue"}
_STAGE_STYLES = {outcome.value.lower(): style for outcome, (_, style) in OUTCOMES.items()} | {
    "working": "blue",
    "waiting": "dim",
}
_SHARE_DECIMALS = 4
_ORDER_COLUMNS = (
    ("Symbol", "Side", "Stage", "Filled", "Target", "Orders", "Limit", "Code"),
    ("Symbol", "Stage", "Filled", "Target", "Code"),
    ("Symbol", "Stage", "Filled", "Target"),
    ("Symbol", "Stage", "Filled"),
)
"""Columns of a list of orders: the widest list that fits is shown."""
_PLAN_COLUMNS = (
    ("Status", "Started (UTC)", "New York", "Finished", "Runs"),
    ("Status", "Started (UTC)", "New York"),
    ("Status", "Started (UTC)"),
    ("Status",),
)
"""Columns of a list of plans, after the plan's ID: the widest list that fits is shown."""


def kill_switch_text(switch: KillSwitchAnswer) -> Text:
    """Return the state of the kill switch on one line, with the operator, the time and the reason."""
    text = Text(switch.state.value, TRADING_STATES[switch.state])
    if switch.at is None:
        return text.append("  (default)", "dim")
    return text.append(f"  by {switch.by} at {date_and_time(switch.at)}: {switch.reason}", "default")


def unfinished_text(plan: UnfinishedAnswer) -> Text:
    """Return an unfinished plan with its start, its phase and its runs."""
    facts = f", unfinished since {date_and_time(plan.started_at)}, phase {plan.phase}, {counted(plan.runs, 'run')}"
    return Text.assemble((plan.plan_id, "yellow"), (facts, "default"))


def account_view(answer: StatusAnswer, width: int) -> Group:
    """Return the state of an account with its plans."""
    lease = answer.lease
    running = f"run {lease.run_id[:8]}…, until {date_and_time(lease.until)} at the latest" if lease else "no"
    rows: list[tuple[str, RenderableType]] = [
        ("Account", answer.account),
        ("Switch", kill_switch_text(answer.switch)),
        ("Running", Text(running, "default")),
    ]
    if answer.unfinished is not None:
        rows.append(("Plan", unfinished_text(answer.unfinished)))
    head = facts(rows)
    if not answer.plans:
        return Group(head, "", Text("No plan started on these days.", "dim"))
    table = first_fitting((_plans_table(answer, columns) for columns in _PLAN_COLUMNS), width)
    return Group(head, "", table, *([""] if answer.unfinished is not None else []))


def _plans_table(answer: StatusAnswer, columns: tuple[str, ...]) -> Table:
    """Return a table with these columns, and that of the plan."""
    table = plain_table(gap=2)
    table.add_column("Plan", overflow="fold", style="bold")
    for name in columns:
        table.add_column(name, no_wrap=True, justify="right" if name == "Runs" else "left")
    for plan in answer.plans:
        cells: dict[str, RenderableType] = {
            "Status": Text(plan.status, _STATUS_STYLES.get(plan.status, "red")),
            "Started (UTC)": utc_time(plan.started_at),
            "New York": new_york_time(plan.started_at),
            "Finished": f"{plan.finished_at:%H:%M:%S}" if plan.finished_at is not None else NONE,
            "Runs": str(plan.runs),
        }
        table.add_row(plan.plan_id, *(cells[name] for name in columns))
    return table


def plan_details_view(answer: PlanDetails, width: int) -> Group:
    """Return the status of one plan with its orders."""
    word, style = PROGRESS[answer.progress]
    status = Text(word, style)
    if answer.status is not None:
        status = Text(answer.status.value, _STATUS_STYLES[answer.status.value])
    last = answer.runs[-1] if answer.runs else None
    runs = str(len(answer.runs))
    if last is not None and last.reason:
        runs += f"; the last one: {last.reason}"
    rows: list[tuple[str, RenderableType]] = [
        ("Plan", f"{answer.plan_id}  (account {answer.account})"),
        ("Money", money_text(answer.broker)),
        ("Status", status),
        ("Phase", answer.phase),
        ("Started", date_and_time(answer.started_at)),
        ("Runs", Text(runs, "default")),
        ("Filled", f"${dollars(answer.filled_dollars)}"),
    ]
    if answer.source is not None:
        rows.append(("Source", Text(answer.source, "default")))
    return Group(facts(rows), "", orders_view(answer.orders, width))


def stage_text(order: OrderLine) -> tuple[str, str]:
    """Return the word and the style of an order's stage; one that fell short of the plan is never green or dim."""
    style = _STAGE_STYLES.get(order.stage, "red")
    if order.as_planned is False and style in ("green", "dim"):
        return "cut" if order.stage == "filled" else order.stage, "yellow"
    return order.stage.replace("_", " "), style


def orders_view(orders: tuple[OrderLine, ...], width: int) -> RenderableType:
    """Return the stage of each order; where there is room, also its side, number of child orders, limit and code.

    On a narrow screen the codes are below the table.
    """
    table = first_fitting((_orders_table(orders, columns) for columns in _ORDER_COLUMNS), width)
    coded = [(order.symbol, Text(order.code, "yellow")) for order in orders if order.code]
    has_codes = len(table.columns) > len(_ORDER_COLUMNS[-2])
    return table if has_codes or not coded else Group(table, "", facts(coded))


def _orders_table(orders: tuple[OrderLine, ...], columns: tuple[str, ...]) -> Table:
    table = plain_table(gap=2)
    for name in columns:
        is_text = name in ("Symbol", "Side", "Stage", "Code")
        table.add_column(name, justify="left" if is_text else "right", no_wrap=True)
    for order in orders:
        cells: dict[str, RenderableType] = {
            "Symbol": Text(order.symbol, "bold"),
            "Side": order.side.upper(),
            "Stage": Text(*stage_text(order)),
            "Filled": shares(order.filled_qty, _SHARE_DECIMALS),
            "Target": shares(order.requested_qty, _SHARE_DECIMALS),
            "Orders": str(order.attempts),
            "Limit": price(order.limit_price),
            "Code": Text(order.code or "", "yellow"),
        }
        table.add_row(*(cells[name] for name in columns))
    return table


def explanation_view(answer: Explanation) -> Group:
    """Return the history of one order, one line per step, and its outcome."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    first = answer.steps[0].at if answer.steps else None
    day = f"  {date_and_time(first)}; below in UTC" if first is not None else ""
    for step in answer.steps:
        source = "" if step.source == "journal" else "  (log)"
        table.add_row(f"{step.at:%H:%M:%S.%f}"[:-3], Text.assemble(step.text, (source, "dim")))
    head = Text.assemble((answer.symbol, "bold"), f" of {answer.plan_id}", (day, "dim"))
    money = Text.assemble(("Money ", "dim"), money_text(answer.broker))
    origin = [Text(f"read from {answer.source}", "dim")] if answer.source is not None else []
    return Group(head, money, *origin, "", table, "", Text.assemble(("→ ", "bold"), answer.verdict))
