"""Standings, lists and stories as a person reads them. Pure: answers in, rich renderables out."""

from __future__ import annotations

from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from rebalance_cli.outputs import (
    Explanation,
    KillSwitchAnswer,
    OrderLine,
    PlanDetails,
    PlanProgress,
    StatusAnswer,
)
from rebalance_cli.views.result import counted, dollars, facts, first_fitting, plain_table, shares
from rebalance_executor.domain.result import ExecutionStatus
from rebalance_executor.domain.risk_state import TradingState

_PROGRESS = {
    PlanProgress.FINISHED: ("finished", "green"),
    PlanProgress.RUNNING: ("running", "blue"),
    PlanProgress.WAITING: ("waiting for its next delivery", "yellow"),
}
_STAGE = {
    "filled": "green",
    "working": "blue",
    "waiting": "dim",
    "skipped": "dim",
    "partially_filled": "yellow",
    "unfilled": "yellow",
    "unresolved": "bold red",
}
_STATUS = {
    ExecutionStatus.SUCCESS.value: "green",
    ExecutionStatus.SUCCESS_WITH_SKIPS.value: "green",
    ExecutionStatus.PARTIAL_SUCCESS.value: "yellow",
    "in_progress": "blue",
}
_SWITCH = {TradingState.ACTIVE: "green", TradingState.REDUCING: "yellow", TradingState.HALTED: "bold red"}


def format_time(at: datetime | None) -> str:
    """A time in UTC, to the second."""
    return f"{at:%Y-%m-%d %H:%M:%S}" if at is not None else "–"


def kill_switch_text(switch: KillSwitchAnswer) -> Text:
    """The kill switch in one line."""
    text = Text(switch.state.value, _SWITCH[switch.state])
    if switch.at is None:
        return text.append("  never set", "dim")
    return text.append(f"  by {switch.by} at {format_time(switch.at)} UTC: {switch.reason}", "default")


def account_view(answer: StatusAnswer, width: int) -> Group:
    """An account with its plans."""
    lease = answer.lease
    busy = (
        f"run {lease.run_id[:8]}… until {format_time(lease.until)} UTC at the latest" if lease is not None else "nobody"
    )
    head = facts(
        [("Account", answer.account), ("Switch", kill_switch_text(answer.switch)), ("At work", Text(busy, "default"))]
    )
    if not answer.plans:
        return Group(head, "", Text("No plan was begun on these days.", "dim"))
    return Group(head, "", first_fitting((_plans_table(answer, whole=whole) for whole in (True, False)), width))


def _plans_table(answer: StatusAnswer, *, whole: bool) -> Table:
    table = plain_table(gap=2)
    table.add_column("Plan", overflow="fold", style="bold")
    for name in ("Status", "Begun (UTC)", *(("Finished",) if whole else ())):
        table.add_column(name, no_wrap=True)
    if whole:
        table.add_column("Runs", justify="right")
    for plan in answer.plans:
        word = Text(plan.status, _STATUS.get(plan.status, "red"))
        finished = f"{plan.finished_at:%H:%M:%S}" if plan.finished_at is not None else "–"
        table.add_row(plan.plan_id, word, format_time(plan.started_at), *((finished, str(plan.runs)) if whole else ()))
    return table


def plan_details_view(answer: PlanDetails, width: int) -> Group:
    """Where one plan stands."""
    word, style = _PROGRESS[answer.progress]
    state = Text(word, style)
    if answer.status is not None:
        state = Text(answer.status.value, _STATUS.get(answer.status.value, "bold red"))
    last = answer.runs[-1] if answer.runs else None
    runs = counted(len(answer.runs), "run")
    if last is not None and last.reason:
        runs += f"; the last: {last.reason}"
    rows: list[tuple[str, RenderableType]] = [
        ("Plan", f"{answer.plan_id}  (account {answer.account})"),
        ("Status", state),
        ("Phase", answer.phase),
        ("Begun", f"{format_time(answer.started_at)} UTC"),
        ("Runs", Text(runs, "default")),
        ("Filled", f"${dollars(answer.filled_dollars)}"),
    ]
    return Group(facts(rows), "", orders_view(answer.orders, width))


def orders_view(orders: tuple[OrderLine, ...], width: int) -> Table:
    """Every order with its stage; its side, how many were sent for it, and at which limit, where there is room."""
    return first_fitting((_orders_view(orders, whole=whole) for whole in (True, False)), width)


def _orders_view(orders: tuple[OrderLine, ...], *, whole: bool) -> Table:
    table = plain_table(gap=2)
    for head in ("Symbol", *(("Side",) if whole else ()), "Stage"):
        table.add_column(head, no_wrap=True)
    for head in ("Filled", "Wanted", *(("Orders", "Limit") if whole else ())):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("Remark", overflow="fold")
    for order in orders:
        table.add_row(
            Text(order.symbol, "bold"),
            *((order.side.upper(),) if whole else ()),
            Text(order.stage.replace("_", " "), _STAGE.get(order.stage, "red")),
            shares(order.filled_qty, 4),
            shares(order.qty, 4),
            *((str(order.attempts), dollars(order.limit_price)) if whole else ()),
            Text(order.code or "", "yellow"),
        )
    return table


def explanation_view(answer: Explanation) -> Group:
    """The whole story of one order, one line a step."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    first = answer.steps[0].at if answer.steps else None
    day = f"  {first:%Y-%m-%d}, times in UTC" if first is not None else ""
    for step in answer.steps:
        mark = "" if step.source == "journal" else "  (log)"
        table.add_row(f"{step.at:%H:%M:%S.%f}"[:-3], Text.assemble(step.text, (mark, "dim")))
    head = Text.assemble((answer.symbol, "bold"), f" of {answer.plan_id}", (day, "dim"))
    parts: list[RenderableType] = [head, "", table, "", Text.assemble(("→ ", "bold"), answer.verdict)]
    if answer.meaning:
        parts.append(Text(f"  {answer.meaning}", "dim"))
    return Group(*parts)
