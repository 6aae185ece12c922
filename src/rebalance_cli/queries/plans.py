"""What only an operator reads: lists of plans, and the whole of one plan with its runs and its lease."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from rebalance_cli.context import CliContext
from rebalance_cli.exit_codes import CliError
from rebalance_executor.adapters.dynamodb import journal_items
from rebalance_executor.adapters.dynamodb.table import from_attributes
from rebalance_executor.domain.journal import PlanJournal, PlanState, RunRecord
from rebalance_sandbox.event_files import read_event


@dataclass(frozen=True, slots=True)
class LeaseHolder:
    """Who holds an account's lease."""

    run_id: str
    epoch: int
    until: datetime


@dataclass(frozen=True, slots=True)
class PlanRecord:
    """Everything that is known of one plan."""

    journal: PlanJournal
    runs: list[RunRecord]
    holder: LeaseHolder | None
    """Of the account's lease, where somebody holds it."""

    @property
    def plan(self) -> PlanState:
        """The plan's own record."""
        return self.journal.plan

    @property
    def is_worked_on(self) -> bool:
        """Whether a run of this plan holds the account's lease."""
        return self.holder is not None and self.holder.run_id in {run.run_id for run in self.runs}


def plan_id_of(argument: str) -> str:
    """The plan that was typed: its id, or a file that holds it."""
    path = Path(argument)
    if not path.is_file():
        return argument
    plans = read_event(path).plans
    if len(plans) != 1:
        raise CliError(f"{path} does not hold one valid plan.", f"List its problems: rebalance validate {path}")
    return plans[0].plan_id


def entry(desk: CliContext, account: str, plan_id: str) -> PlanRecord:
    """One plan from the journal.

    Raises:
        CliError: it was never begun on this account.
    """
    journal = desk.ports.journal.load(account, plan_id)
    if journal is None:
        raise CliError(
            f"Plan {plan_id} was never begun on account {account}.", "List those that were: rebalance status --days 30"
        )
    return PlanRecord(journal, desk.journal.runs(account, plan_id), holder(desk, account))


def holder(desk: CliContext, account: str) -> LeaseHolder | None:
    """Who holds the account's lease now, if anybody."""
    table = desk.settings.execution_table
    key: Any = {name: {"S": str(value)} for name, value in journal_items.lease_key(account).items()}
    found = desk.aws_client("dynamodb").get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")
    lease = from_attributes(found) if found else {}
    if not lease.get("run_id"):
        return None
    until = datetime.fromisoformat(str(lease["held_until"]))
    return LeaseHolder(str(lease["run_id"]), int(lease["epoch"]), until) if until > desk.now else None


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One plan in a list."""

    plan: PlanState
    status: str
    """``in_progress``, or how it ended."""
    finished_at: datetime | None


def plans_of(desk: CliContext, account: str, first: date, last: date) -> list[PlanRow]:
    """The plans begun between these days (UTC, both included), the latest first. Reads the table through."""
    found = (_line(row) for row in _plan_rows(desk, first, last))
    return sorted((line for line in found if line.plan.account == account), key=lambda line: line.plan.started_at)[::-1]


def _plan_rows(desk: CliContext, first: date, last: date) -> Iterator[dict[str, Any]]:
    pages = desk.aws_client("dynamodb").get_paginator("scan")
    request: Any = {
        "TableName": desk.settings.execution_table,
        "FilterExpression": "sk = :plan AND #day BETWEEN :first AND :last",
        "ExpressionAttributeNames": {"#day": "day"},
        "ExpressionAttributeValues": {
            ":plan": {"S": journal_items.PLAN},
            ":first": {"S": first.isoformat()},
            ":last": {"S": last.isoformat()},
        },
    }
    for page in pages.paginate(**request):
        yield from (from_attributes(item) for item in page["Items"])


def _line(row: dict[str, Any]) -> PlanRow:
    finished = row.get("finished_at")
    return PlanRow(
        journal_items.plan_from(row), str(row["status"]), datetime.fromisoformat(finished) if finished else None
    )


def day_of(text: str | None, now: datetime) -> date:
    """A day that was typed: ``2026-01-26``, ``today``, or nothing for today (UTC).

    Raises:
        CliError: it is no day.
    """
    if text is None or text == "today":
        return now.astimezone(UTC).date()
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise CliError(f"{text} is not a day.", "Type it like this: 2026-01-26") from None
