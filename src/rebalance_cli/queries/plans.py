"""Queries on the execution table that only operators need: the plans of a day, one plan with its runs, the lease."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from rebalance_cli.command_line import command_line
from rebalance_cli.context import CliContext
from rebalance_cli.exit_codes import CliError
from rebalance_executor.adapters.dynamodb import journal_items
from rebalance_executor.adapters.dynamodb.plan_index import DynamoPlanIndex
from rebalance_executor.adapters.dynamodb.table import from_attributes, to_attributes
from rebalance_executor.domain.journal import PlanJournal, PlanState, RunRecord
from rebalance_executor.domain.reconciliation import was_sent
from rebalance_sandbox.event_files import read_event

_BATCH_KEYS = 100
"""Maximum number of keys in one BatchGetItem request, set by DynamoDB."""
_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class LeaseHolder:
    """The run that holds an account's lease."""

    run_id: str
    epoch: int
    until: datetime
    """Expiry time of the lease."""


@dataclass(frozen=True, slots=True)
class PlanRecord:
    """One plan with everything that the execution table stores about it."""

    journal: PlanJournal
    runs: list[RunRecord]
    lease_holder: LeaseHolder | None
    """Holder of the account's lease; it may be a run of another plan."""

    @property
    def plan(self) -> PlanState:
        """The state of the plan as a whole."""
        return self.journal.plan

    @property
    def is_running(self) -> bool:
        """True if a run of this plan holds the account's lease."""
        return self.lease_holder is not None and self.lease_holder.run_id in {run.run_id for run in self.runs}


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One plan in a list."""

    plan: PlanState
    status: str
    """``in_progress``, or the status of the result."""
    finished_at: datetime | None


# --- one plan --------------------------------------------------------------------------------------------


def resolve_plan_id(argument: str) -> str:
    """Return the plan ID that a command-line argument names: the ID itself, or the path of a plan file.

    Raises:
        CliError: the file does not contain exactly one valid plan.
    """
    path = Path(argument)
    if not path.is_file():
        return argument
    plans = read_event(path).plans
    if len(plans) != 1:
        validate = command_line("validate", argument)
        raise CliError(f"{path} does not contain exactly one valid plan.", f"Check it: {validate}")
    return plans[0].plan_id


def load_plan(ctx: CliContext, account: str, plan_id: str) -> PlanRecord:
    """Read one plan with consistent reads.

    Raises:
        CliError: the account has no such plan.
    """
    record = load_record(ctx, account, plan_id, read_lease_holder(ctx, account))
    if record is None:
        text = f"Plan {plan_id} has not started on account {account}."
        raise CliError(text, f"List started plans: {list_command(ctx, account)}")
    return record


def list_command(ctx: CliContext, account: str) -> str:
    """Return the command that lists the account's plans of the last 30 days."""
    return ctx.command("status", "--days", "30", account=account)


def load_record(ctx: CliContext, account: str, plan_id: str, lease_holder: LeaseHolder | None) -> PlanRecord | None:
    """Read one plan with consistent reads; return None if the account has no such plan."""
    journal = ctx.ports.journal.load(account, plan_id)
    return PlanRecord(journal, ctx.journal.runs(account, plan_id), lease_holder) if journal is not None else None


def read_lease_holder(ctx: CliContext, account: str) -> LeaseHolder | None:
    """Return the current holder of the account's lease, or None if the lease is free."""
    key = to_attributes(journal_items.lease_key(account))
    table = ctx.settings.execution_table
    item = ctx.aws_client("dynamodb").get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")
    lease = from_attributes(item) if item else {}
    if not lease.get("run_id"):
        return None
    until = datetime.fromisoformat(str(lease["held_until"]))
    return LeaseHolder(str(lease["run_id"]), int(lease["epoch"]), until) if until > ctx.now else None


def read_unfinished(ctx: CliContext, account: str) -> PlanState | None:
    """Return the account's plan that was started and is not finished, or None. Consistent reads."""
    unfinished = ctx.journal.unfinished(account)
    stored = ctx.ports.journal.load(account, unfinished.plan_id) if unfinished is not None else None
    return stored.plan if stored is not None and stored.result is None else None


# --- plans of a day --------------------------------------------------------------------------------------
#
# The plan IDs of a day come from the index ``plans-by-day``, everything else from the plans' own items with
# consistent reads. DynamoDB updates the index asynchronously, usually within a second. Until then a plan that has just
# started or finished may be missing from the index, or be in it twice.


def list_plans(ctx: CliContext, account: str, first: date, last: date) -> list[PlanRow]:
    """Return the account's plans that started between two days (UTC, inclusive), latest first.

    Sends one index query per day, and one request per 100 plans of the account on that day. The status of each listed
    plan is current. A plan that started or finished less than about a second ago may be missing from the list;
    ``load_plan`` finds it.
    """
    rows = [row for day in _days(first, last) for row in _plans_of_day(ctx, account, day)]
    return sorted(rows, key=lambda row: row.plan.started_at, reverse=True)


def load_plans_of_day(ctx: CliContext, account: str, day: date) -> list[PlanRecord]:
    """Read all plans of the account that started on a day (UTC), earliest first; see ``list_plans`` for delays."""
    lease_holder = read_lease_holder(ctx, account)
    loaded = (load_record(ctx, account, plan_id, lease_holder) for plan_id in _plan_ids(ctx, account, day))
    return sorted((one for one in loaded if one is not None), key=lambda record: record.plan.started_at)


def load_journals(ctx: CliContext, account: str, first: date, last: date) -> Iterator[PlanJournal]:
    """Read the journals of the account's plans that started between two days (UTC, inclusive); see ``list_plans``."""
    for day in _days(first, last):
        for plan_id in _plan_ids(ctx, account, day):
            journal = ctx.ports.journal.load(account, plan_id)
            if journal is not None:
                yield journal


def symbols_traded_later(ctx: CliContext, plan: PlanState, symbols: Collection[str]) -> set[str]:
    """Return the symbols in which a later plan of the same account sent an order.

    Reads one day after the other, starting with the day of the plan, and only the parent orders of these symbols.
    Stops at the first day by which all symbols were traded. See ``list_plans`` for delays.
    """
    traded: set[str] = set()
    for day in _days(plan.started_at.astimezone(UTC).date(), ctx.now.astimezone(UTC).date()):
        missing = sorted(set(symbols) - traded)
        if not missing:
            break
        later = [row.plan for row in _plans_of_day(ctx, plan.account, day) if row.plan.started_at > plan.started_at]
        traded |= set(_symbols_sent(ctx, later, missing))
    return traded


def _days(first: date, last: date) -> Iterator[date]:
    return (first + _ONE_DAY * number for number in range((last - first).days + 1))


def _plan_ids(ctx: CliContext, account: str, day: date) -> list[str]:
    index = DynamoPlanIndex(ctx.aws_client("dynamodb"), ctx.settings.execution_table, ctx.ports.clock)
    return list(dict.fromkeys(plan.plan_id for plan in index.plans_of(day) if plan.account == account))


def _plans_of_day(ctx: CliContext, account: str, day: date) -> Iterator[PlanRow]:
    keys = (journal_items.plan_key(account, plan_id) for plan_id in _plan_ids(ctx, account, day))
    for item in _get_items(ctx, keys):
        finished_at = item.get("finished_at")
        yield PlanRow(
            journal_items.plan_from(item),
            str(item["status"]),
            datetime.fromisoformat(finished_at) if finished_at else None,
        )


def _symbols_sent(ctx: CliContext, plans: Iterable[PlanState], symbols: Iterable[str]) -> Iterator[str]:
    """Return the symbols of these parent orders that were sent; ``content_hash`` ties a parent to its plan."""
    by_pk = {journal_items.plan_pk(plan.account, plan.plan_id): plan for plan in plans}
    keys = [{"pk": pk, "sk": journal_items.PARENT + symbol} for pk in by_pk for symbol in symbols]
    for item in _get_items(ctx, keys):
        if item.get("content_hash") == by_pk[item["pk"]].content_hash:
            parent = journal_items.parent_from(item)
            if was_sent(parent):
                yield parent.symbol


def _get_items(ctx: CliContext, keys: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Read items with consistent reads; keys without an item are left out."""
    client, table = ctx.aws_client("dynamodb"), ctx.settings.execution_table
    pending = [to_attributes(key) for key in keys]
    while pending:
        batch, pending = pending[:_BATCH_KEYS], pending[_BATCH_KEYS:]
        response = client.batch_get_item(RequestItems={table: {"Keys": batch, "ConsistentRead": True}})
        yield from (from_attributes(item) for item in response["Responses"].get(table, ()))
        # A response has at most 16 MB. DynamoDB names the keys that it left out; it raises if it read no item at all.
        pending += response.get("UnprocessedKeys", {}).get(table, {}).get("Keys", [])


def parse_day(text: str | None, now: datetime) -> date:
    """Return the day (UTC) that a command-line argument names: ``2026-01-26``, ``today``, or None for today.

    Raises:
        CliError: the text is not a day.
    """
    if text is None or text == "today":
        return now.astimezone(UTC).date()
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise CliError(f"{text} is not a day.", "Write it as 2026-01-26.") from None
