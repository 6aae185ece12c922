"""The journal's rows: pure functions from values to rows and back.

A row shows an operator what matters as plain attributes; what must come back exactly travels as compact JSON.
Reading ignores attributes it does not know, so that an older version of the program can read what a newer one
wrote.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError

from rebalance_executor.adapters.dynamodb.table import Item, Value
from rebalance_executor.domain.errors import JournalContradiction
from rebalance_executor.domain.journal import PlanState, RunRecord
from rebalance_executor.domain.orders import ParentOrder
from rebalance_executor.domain.result import ExecutionResult
from rebalance_executor.domain.values import format_decimal

LEASE = "LEASE"
PLAN = "PLAN"
PARENT = "PARENT#"
RUN = "RUN#"
RESULT = "RESULT#"

CHUNK_BYTES = 350_000
"""A row may hold 400 KB."""

_CHUNKS_READABLE = 8
"""A larger result is stored compressed, so that it still fits into one transaction of 4 MB."""

_PARENT: TypeAdapter[ParentOrder] = TypeAdapter(ParentOrder)
_STATE: TypeAdapter[PlanState] = TypeAdapter(PlanState)
_RECORD: TypeAdapter[RunRecord] = TypeAdapter(RunRecord)


def iso(at: datetime) -> str:
    """A time as text of fixed width, in UTC: texts compare as the times do."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def lease_key(account: str) -> Item:
    """Where an account's lease is."""
    return {"pk": f"ACCOUNT#{account}", "sk": LEASE}


def plan_pk(account: str, plan_id: str) -> str:
    """The partition of one plan. Separators in the account's name are escaped: no two plans share a partition."""
    return f"PLAN#{account.replace('%', '%25').replace('#', '%23')}#{plan_id}"


def plan_key(account: str, plan_id: str) -> Item:
    """Where a plan's own row is."""
    return {"pk": plan_pk(account, plan_id), "sk": PLAN}


# --- plan ------------------------------------------------------------------------------------------------


def plan_item(state: PlanState, epoch: int, result: ExecutionResult | None = None) -> Item:
    """The plan's own row. ``day`` and ``status`` are the keys of the index of plans; no other row has a ``day``."""
    return timed_item(
        plan_pk(state.account, state.plan_id),
        PLAN,
        status="in_progress" if result is None else result.status.value,
        day=state.started_at.astimezone(UTC).date().isoformat(),
        epoch=epoch,
        finished_at=iso(result.execution_timestamp) if result is not None else None,
        **_STATE.dump_python(state, mode="json"),
    )


def plan_from(row: Item) -> PlanState:
    """The plan's state as written; raises ``JournalContradiction`` for a row that is none."""
    return parse_item(row, _STATE.validate_python)


_PUBLISHED = "published_"
_AT = "_at"


def published_change(channels: Collection[str]) -> str:
    """The update that notes ``:at`` for each channel, unless an earlier time stands there."""
    names = [f"{_PUBLISHED}{channel}{_AT}" for channel in sorted(channels)]
    return "SET " + ", ".join(f"{name} = if_not_exists({name}, :at)" for name in names)


def published_channels(row: Item) -> frozenset[str]:
    """The channels that got the plan's result."""
    return frozenset(
        name.removeprefix(_PUBLISHED).removesuffix(_AT)
        for name in row
        if name.startswith(_PUBLISHED) and name.endswith(_AT)
    )


# --- parents ---------------------------------------------------------------------------------------------


def parent_item(state: PlanState, parent: ParentOrder) -> Item:
    """One parent with its children.

    ``content_hash`` ties it to its plan: parents that a broken-off first write left behind belong to nothing.
    """
    last = parent.last_child
    return timed_item(
        plan_pk(state.account, state.plan_id),
        PARENT + parent.symbol,
        content_hash=state.content_hash,
        symbol=parent.symbol,
        side=parent.side.value,
        status=parent.outcome.value if parent.outcome is not None else "WORKING",
        qty=format_decimal(parent.qty),
        filled_qty=format_decimal(parent.filled_qty),
        children=len(parent.children),
        client_order_id=last.client_order_id if last is not None else None,
        order_id=last.order_id if last is not None else None,
        parent=_PARENT.dump_json(parent).decode(),
    )


def parent_from(row: Item) -> ParentOrder:
    """The parent as written; raises ``JournalContradiction`` for a row that is none."""
    return parse_item(row, lambda found: _PARENT.validate_json(str(found["parent"])))


# --- runs ------------------------------------------------------------------------------------------------


def run_sk(epoch: int) -> str:
    """Sort key of a run: runs are listed in the order of their epochs."""
    return f"{RUN}{epoch:06d}"


def run_item(state: PlanState, run: RunRecord) -> Item:
    """One run of the plan."""
    return timed_item(plan_pk(state.account, state.plan_id), run_sk(run.epoch), **_RECORD.dump_python(run, mode="json"))


def run_from(row: Item) -> RunRecord:
    """The run as written; raises ``JournalContradiction`` for a row that is none."""
    return parse_item(row, _RECORD.validate_python)


# --- result ----------------------------------------------------------------------------------------------


def result_items(state: PlanState, result: ExecutionResult) -> list[Item]:
    """The result as JSON, cut into rows; compressed only where it would not fit into one transaction."""
    text = result.model_dump_json(ensure_ascii=True)  # one character is one byte
    readable = len(text) <= CHUNK_BYTES * _CHUNKS_READABLE
    body = text if readable else gzip.compress(text.encode("ascii"), mtime=0)
    pieces = [body[start : start + CHUNK_BYTES] for start in range(0, len(body), CHUNK_BYTES)]
    return [
        timed_item(
            plan_pk(state.account, state.plan_id),
            f"{RESULT}{number:03d}",
            pieces=len(pieces),
            status=result.status.value,
            result=piece,
        )
        for number, piece in enumerate(pieces)
    ]


def result_from(rows: Sequence[Item]) -> ExecutionResult | None:
    """The result from its rows in order, or None where there is none.

    Raises:
        JournalContradiction: rows are missing or unreadable. They are written all at once, so somebody
            deleted or changed them.
    """
    if not rows:
        return None
    if len(rows) != rows[0].get("pieces"):
        raise JournalContradiction(
            f"{_where(rows[0])}: {len(rows)} of {rows[0].get('pieces')!r} pieces of the result are there; "
            "restore the table's rows before anything is done"
        )

    def joined(first: Item) -> ExecutionResult:
        pieces = [row["result"] for row in rows]
        if isinstance(first["result"], bytes):
            return ExecutionResult.model_validate_json(
                gzip.decompress(b"".join(p for p in pieces if isinstance(p, bytes)))
            )
        return ExecutionResult.model_validate_json("".join(str(piece) for piece in pieces))

    return parse_item(rows[0], joined)


def same_result(one: ExecutionResult, other: ExecutionResult) -> bool:
    """Whether both say the same, however their numbers are spelled."""
    return one.model_dump(mode="json") == other.model_dump(mode="json")


# --- common ----------------------------------------------------------------------------------------------


def timed_item(pk: str, sk: str, **attributes: Value | None) -> Item:
    """A row of these attributes; None is left out."""
    return {"pk": pk, "sk": sk} | {name: value for name, value in attributes.items() if value is not None}


def parse_item[T](row: Item, parse: Callable[[Any], T]) -> T:
    try:
        return parse(row)
    except (ValidationError, KeyError, ValueError, OSError, EOFError) as error:
        raise JournalContradiction(
            f"the journal's row {_where(row)} cannot be read ({_problem(error)}); it was written by something else"
        ) from error


def _where(row: Item) -> str:
    return f"{row.get('pk')!s} {row.get('sk')!s}"


def _problem(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    return f"{type(error).__name__}: {error}"
