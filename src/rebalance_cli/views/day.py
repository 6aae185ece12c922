"""Plans of a day, worst first: how many need attention, what each fell short of, and the next command."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from rebalance_cli.formatting import NONE, counted, dollars, percent
from rebalance_cli.views.styles import STATUSES
from rebalance_cli.views.tables import facts, first_fitting, plain_table, print_next
from rebalance_executor.adapters.notification_text import as_planned, requested
from rebalance_executor.domain.result import ExecutionResult, ExecutionStatus

_URGENCY = (
    ExecutionStatus.UNRESOLVED,
    ExecutionStatus.FAILURE,
    ExecutionStatus.PARTIAL_SUCCESS,
    ExecutionStatus.SUCCESS_WITH_SKIPS,
    ExecutionStatus.SUCCESS,
)


def by_attention(results: Sequence[ExecutionResult]) -> list[ExecutionResult]:
    """Return the results with the one that most needs attention first; equal ones by the time of their start."""
    return sorted(results, key=attention_key)


def attention_key(result: ExecutionResult) -> tuple[int, datetime]:
    """Return the place of a result among those of a day."""
    return _URGENCY.index(result.status), result.started_at


def day_headline(results: Sequence[ExecutionResult], unfinished: Sequence[str]) -> str:
    """Return the number of plans that need attention, are unfinished, and ended as planned."""
    if not results and not unfinished:
        return "No plan started on that day."
    short = sum(not result.success for result in results)
    parts = [
        f"{short} {'needs' if short == 1 else 'need'} attention" if short else "Nothing needs attention",
        *([f"{len(unfinished)} unfinished"] if unfinished else []),
        f"{len(results) - short} of {counted(len(results) + len(unfinished), 'plan')} as planned",
    ]
    return ", ".join(parts)


def print_day(
    out: Console,
    results: Sequence[ExecutionResult],
    unfinished: Sequence[str],
    next_step: Callable[[ExecutionResult], str],
) -> None:
    """Print the headline, a paragraph per plan that needs attention, and a table of the others.

    Args:
        out: the console.
        results: results of the day.
        unfinished: IDs of the plans without a result.
        next_step: returns the next command for a plan that needs attention.
    """
    ordered = by_attention(results)
    short = [result for result in ordered if not result.success]
    others = [result for result in ordered if result.success]
    out.print(Text(day_headline(results, unfinished), "bold yellow" if short else "bold"))
    for result in short:
        out.print()
        out.print(facts(_plan_facts(result)))
        print_next(out, next_step(result))
    if unfinished:
        out.print()
        out.print(facts([("Unfinished", "  ".join(unfinished))]))
    if others:
        out.print()
        out.print(first_fitting((_table(others, columns) for columns in (5, 4, 3, 2)), out.width))


def _plan_facts(result: ExecutionResult) -> Iterator[tuple[str, RenderableType]]:
    title, style, _ = STATUSES[result.status]
    yield "Plan", Text.assemble((result.plan_id, "bold"), "  ", (title, style))
    yield "Filled", f"${dollars(result.filled_dollars)} of {requested(result)}"
    yield "Orders", as_planned(result)
    for found in result.differences:
        yield "Differs", f"{found.symbol} {found.problem}"


def _table(results: Sequence[ExecutionResult], columns: int) -> Table:
    """Return a table with the first of its five columns."""
    table = plain_table(gap=2)
    table.add_column("Plan", overflow="fold", style="bold")
    for name in ("Filled $", "Orders", "Slip $", "Filled %")[: columns - 1]:
        table.add_column(name, justify="right", no_wrap=True)
    for result in results:
        asked = result.requested_dollars
        cells = (
            result.plan_id,
            dollars(result.filled_dollars),
            str(len(result.traded)),
            dollars(result.slippage_dollars) if result.slippage_bps is not None else NONE,
            percent(result.filled_dollars / asked) if asked else NONE,
        )
        table.add_row(*cells[:columns])
    return table
