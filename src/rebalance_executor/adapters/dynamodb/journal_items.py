"""The journal's items: pure functions from values to items and back.

An item shows what an operator needs as plain attributes. What must be restored exactly is stored as packed JSON
(``packing``). Readers ignore unknown attributes, so that an older version of the program can read items of a newer one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError

from rebalance_executor.adapters.dynamodb.packing import pack, unpack
from rebalance_executor.adapters.dynamodb.table import Item, Value
from rebalance_executor.adapters.dynamodb.write_units import transaction_units
from rebalance_executor.domain.errors import InvalidInput, JournalContradiction
from rebalance_executor.domain.journal import PlanState, RunRecord, UnfinishedPlan
from rebalance_executor.domain.orders import ParentOrder
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.domain.result import ExecutionResult
from rebalance_executor.domain.values import format_decimal

LEASE = "LEASE"
PLAN = "PLAN"
DOCUMENT = "DOCUMENT#"
PARENT = "PARENT#"
RUN = "RUN#"
RESULT = "RESULT#"
COSTS = "COSTS"

RELEASED = ""
"""The lease's run ID after its release."""
UNFINISHED = "unfinished"
"""Value of ``day`` in the lease item while a plan of the account is unfinished, under which the index lists it."""

CHUNK_BYTES = 350_000
"""An item is limited to 400 KB."""

_PARENT_UNITS_PER_TRANSACTION = 400
"""Write units of a transaction's parents, at most: together with a result it must stay below ``UNITS_PER_SECOND``."""

_PARENT: TypeAdapter[ParentOrder] = TypeAdapter(ParentOrder)
_STATE: TypeAdapter[PlanState] = TypeAdapter(PlanState)
_RECORD: TypeAdapter[RunRecord] = TypeAdapter(RunRecord)


def iso(at: datetime) -> str:
    """Return a UTC time as text of fixed width, so that texts sort as their times do."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def lease_key(account: str) -> Item:
    """Return the key of an account's lease."""
    return {"pk": f"ACCOUNT#{account}", "sk": LEASE}


def unfinished_from(item: Item) -> UnfinishedPlan:
    """Return the unfinished plan that a lease item, or its entry in the index, names. The entry shows no run."""
    is_held = item.get("run_id", RELEASED) != RELEASED
    return UnfinishedPlan(
        account=str(item["account"]),
        plan_id=str(item["plan_id"]),
        started_at=datetime.fromisoformat(str(item["status"])),
        held_until=datetime.fromisoformat(str(item["held_until"])) if is_held else None,
    )


def plan_pk(account: str, plan_id: str) -> str:
    """Return the partition key of a plan. Separators in the account name are escaped: no two plans share a key."""
    return f"PLAN#{account.replace('%', '%25').replace('#', '%23')}#{plan_id}"


def plan_key(account: str, plan_id: str) -> Item:
    """Return the key of the plan item."""
    return {"pk": plan_pk(account, plan_id), "sk": PLAN}


# --- plan ------------------------------------------------------------------------------------------------


def plan_item(state: PlanState, epoch: int, result: ExecutionResult | None = None) -> Item:
    """Return the plan item. ``day`` and ``status`` are the keys of the plan index, which also lists some leases."""
    return make_item(
        plan_pk(state.account, state.plan_id),
        PLAN,
        status="in_progress" if result is None else result.status.value,
        day=state.started_at.astimezone(UTC).date().isoformat(),
        epoch=epoch,
        finished_at=iso(result.execution_timestamp) if result is not None else None,
        **_STATE.dump_python(state, mode="json"),
    )


def plan_from(item: Item) -> PlanState:
    """Return the plan's state.

    Raises:
        JournalContradiction: the item cannot be read.
    """
    return parse_item(item, _STATE.validate_python)


_PUBLISHED = "published_"
_AT = "_at"


def published_update(channels: Collection[str]) -> str:
    """Return the update expression that sets ``:at`` for each channel that has no time yet."""
    names = [f"{_PUBLISHED}{channel}{_AT}" for channel in sorted(channels)]
    return "SET " + ", ".join(f"{name} = if_not_exists({name}, :at)" for name in names)


def published_channels(item: Item) -> frozenset[str]:
    """Return the channels on which the plan's result was published."""
    return frozenset(
        name.removeprefix(_PUBLISHED).removesuffix(_AT)
        for name in item
        if name.startswith(_PUBLISHED) and name.endswith(_AT)
    )


# --- parents ---------------------------------------------------------------------------------------------


def parent_item(state: PlanState, parent: ParentOrder) -> Item:
    """Return the item of one parent with its children, without fields that have their default.

    ``content_hash`` ties the parent to its plan. Parents of an interrupted first write belong to no plan.
    """
    last = parent.last_child
    return make_item(
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
        parent=pack(_PARENT.dump_json(parent, exclude_defaults=True)),
    )


def parent_from(item: Item) -> ParentOrder:
    """Return the parent.

    Raises:
        JournalContradiction: the item cannot be read.
    """
    return parse_item(item, lambda item: _PARENT.validate_json(unpack([item["parent"]])))


def parent_batches(plan: PlanState, parents: Iterable[ParentOrder], limit: int) -> list[list[Item]]:
    """Split the parents' items into batches of one transaction each: at least one batch; the last may be empty."""
    latest = {parent.symbol: parent for parent in parents}  # a transaction must not contain an item twice
    batches: list[list[Item]] = [[]]
    units = 0
    for parent in latest.values():
        item = parent_item(plan, parent)
        more = transaction_units(item)
        if len(batches[-1]) == limit or units + more > _PARENT_UNITS_PER_TRANSACTION:
            batches.append([])
            units = 0
        batches[-1].append(item)
        units += more
    return batches


# --- runs ------------------------------------------------------------------------------------------------


def run_sk(epoch: int) -> str:
    """Return the sort key of a run. Runs sort by epoch."""
    return f"{RUN}{epoch:06d}"


def run_item(state: PlanState, run: RunRecord) -> Item:
    """Return the item of one run of the plan."""
    return make_item(plan_pk(state.account, state.plan_id), run_sk(run.epoch), **_RECORD.dump_python(run, mode="json"))


def run_from(item: Item) -> RunRecord:
    """Return the run.

    Raises:
        JournalContradiction: the item cannot be read.
    """
    return parse_item(item, _RECORD.validate_python)


# --- document and result ---------------------------------------------------------------------------------


def document_items(state: PlanState, plan: RebalancePlan) -> list[Item]:
    """Return the plan itself as packed JSON, split into items."""
    return _pieces(plan_pk(state.account, state.plan_id), DOCUMENT, plan.model_dump_json(ensure_ascii=True))


def document_from(items: Sequence[Item]) -> RebalancePlan | None:
    """Return the plan from its items in order, or None if there are no items.

    Raises:
        JournalContradiction: items are missing or cannot be read.
    """
    return _joined(items, lambda text: RebalancePlan.parse(json.loads(text)))


def result_items(state: PlanState, result: ExecutionResult) -> list[Item]:
    """Return the result as packed JSON, split into items."""
    pk = plan_pk(state.account, state.plan_id)
    return _pieces(pk, RESULT, result.model_dump_json(ensure_ascii=True), status=result.status.value)


def result_from(items: Sequence[Item]) -> ExecutionResult | None:
    """Return the result from its items in order, or None if there are no items.

    Raises:
        JournalContradiction: items are missing or cannot be read.
    """
    return _joined(items, ExecutionResult.model_validate_json)


def _pieces(pk: str, prefix: str, text: str, **attributes: Value) -> list[Item]:
    """Return an ASCII text, packed, as items of one transaction."""
    body = pack(text.encode("ascii"))
    pieces = [body[start : start + CHUNK_BYTES] for start in range(0, len(body), CHUNK_BYTES)]
    return [
        make_item(pk, f"{prefix}{number:03d}", pieces=len(pieces), body=piece, **attributes)
        for number, piece in enumerate(pieces)
    ]


def _joined[T](items: Sequence[Item], parse: Callable[[bytes], T]) -> T | None:
    """Return the value that ``parse`` makes of the items' joined text; None without items.

    All items are written in one transaction: if some are missing, they were deleted by hand.
    """
    if not items:
        return None
    if len(items) != items[0].get("pieces"):
        raise JournalContradiction(
            f"{_key_text(items[0])}: found {len(items)} of {items[0].get('pieces')!r} pieces; "
            "restore the table's items before you continue"
        )

    return parse_item(items[0], lambda _: parse(unpack([item["body"] for item in items])))


def same_result(one: ExecutionResult, other: ExecutionResult) -> bool:
    """Return whether two results are equal as JSON, independent of how their numbers are written."""
    return one.model_dump(mode="json") == other.model_dump(mode="json")


# --- common ----------------------------------------------------------------------------------------------


def make_item(pk: str, sk: str, **attributes: Value | None) -> Item:
    """Return an item with these attributes, without those that are None."""
    return {"pk": pk, "sk": sk} | {name: value for name, value in attributes.items() if value is not None}


def parse_item[T](item: Item, parse: Callable[[Any], T]) -> T:
    """Return the value that ``parse`` makes of the item.

    Raises:
        JournalContradiction: ``parse`` fails.
    """
    try:
        return parse(item)
    except (InvalidInput, ValidationError, KeyError, ValueError) as error:
        raise JournalContradiction(
            f"journal item {_key_text(item)} cannot be read ({_problem(error)}); it was changed outside this program"
        ) from error


def _key_text(item: Item) -> str:
    return f"{item.get('pk')!s} {item.get('sk')!s}"


def _problem(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    return f"{type(error).__name__}: {error}"
