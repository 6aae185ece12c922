"""The journal's items: exact round trips, and attributes that an operator can read."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from types import NoneType, UnionType
from typing import Any, cast, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rebalance_executor.adapters.dynamodb import journal_items
from rebalance_executor.adapters.dynamodb.packing import MAX_UNPACKED_BYTES, pack
from rebalance_executor.adapters.dynamodb.table import Item, from_attributes, to_attributes
from rebalance_executor.adapters.dynamodb.write_units import item_bytes
from rebalance_executor.domain.errors import JournalContradiction
from rebalance_executor.domain.journal import PlanPhase, PlanState, RunEnd, RunRecord
from rebalance_executor.domain.orders import ParentOrder
from rebalance_executor.domain.result import ExecutionStatus
from tests.support.builders import NOW
from tests.support.journalled import (
    ACCOUNT,
    child,
    filled_parent,
    incompressible,
    order_result,
    parent,
    realistic_parent,
    result,
    state,
)

property_settings = settings(max_examples=60, deadline=None, derandomize=True, database=None)

texts = st.text(min_size=1, max_size=30)
optional_texts = st.none() | texts
times = st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone
optional_times = st.none() | times
amounts = st.decimals(allow_nan=False, allow_infinity=False, min_value=Decimal("-1e16"), max_value=Decimal("1e16"))
optional_amounts = st.none() | amounts

SIMPLE: Mapping[object, st.SearchStrategy[Any]] = {
    str: texts,
    bool: st.booleans(),
    int: st.integers(1, 50),
    Decimal: amounts,
    datetime: times,
}


def any_of(hint: Any) -> st.SearchStrategy[Any]:
    """Return values of a type; raise ``KeyError`` for a type that no value of the journal has yet."""
    if is_dataclass(hint):
        return every_field(hint)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return st.sampled_from(list(hint))
    if get_origin(hint) is UnionType:
        return st.one_of(*map(any_of, get_args(hint)))
    if get_origin(hint) is tuple:
        return st.lists(any_of(get_args(hint)[0]), max_size=3).map(tuple)
    return st.none() if hint is NoneType else SIMPLE[hint]


def every_field(kind: Any) -> st.SearchStrategy[Any]:
    """Return instances of a dataclass: each field has its default, or any value of its type."""
    hints = get_type_hints(kind)
    return st.builds(kind, **{field.name: _with_default(field, any_of(hints[field.name])) for field in fields(kind)})


def _with_default(field: Any, values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return values if field.default is MISSING else st.just(field.default) | values


parents: st.SearchStrategy[ParentOrder] = every_field(ParentOrder)
plans = st.builds(
    PlanState,
    account=texts,
    plan_id=texts,
    content_hash=texts,
    correlation_id=texts,
    causation_id=texts,
    started_at=times,
    phase=st.sampled_from(PlanPhase),
    runs=st.integers(1, 1000),
    starting_funds=amounts,
    account_number=optional_texts,
    buy_budget=optional_amounts,
    buy_funds=optional_amounts,
)
runs = st.builds(
    RunRecord,
    epoch=st.integers(1, 999_999),
    run_id=texts,
    started_at=times,
    ended_at=optional_times,
    end=st.none() | st.sampled_from(RunEnd),
    reason=optional_texts,
)


def stored(item: Item) -> Item:
    """Return the item as it is read back from DynamoDB's JSON."""
    return from_attributes(to_attributes(item))


def unpacked(item: Item, name: str) -> Any:
    """Return the JSON in an attribute of an item, as ``base64 -d | gunzip`` does."""
    return json.loads(gzip.decompress(cast("bytes", item[name])))


@property_settings
@given(parents)
def test_parent_round_trips(order: ParentOrder) -> None:
    restored = journal_items.parent_from(stored(journal_items.parent_item(state(), order)))

    assert restored == order
    assert [str(c.qty) for c in restored.children] == [str(c.qty) for c in order.children]  # digit by digit


def test_fields_with_their_default_are_not_stored() -> None:
    item = journal_items.parent_item(state(), parent(children=(child(),)))

    assert set(unpacked(item, "parent")) == {
        "symbol",
        "side",
        "priority",
        "planned_amount",
        "qty",
        "arrival",
        "children",
    }
    assert set(unpacked(item, "parent")["children"][0]) == {
        "attempt",
        "client_order_id",
        "type",
        "qty",
        "limit_price",
        "intended_at",
    }


@pytest.mark.parametrize("name", [field.name for field in fields(ParentOrder) if field.default is MISSING])
def test_field_without_default_must_be_present(name: str) -> None:
    item = journal_items.parent_item(state(), parent())
    document = {key: value for key, value in unpacked(item, "parent").items() if key != name}

    with pytest.raises(JournalContradiction, match=name):
        journal_items.parent_from(item | {"parent": pack(json.dumps(document).encode())})


@pytest.mark.parametrize("children", [1, 2])
def test_finished_parent_takes_one_kilobyte_at_most(children: int) -> None:
    item = journal_items.parent_item(state(content_hash="ab" * 32), realistic_parent(children=children))

    assert item_bytes(item) <= 1024


@property_settings
@given(plans, st.integers(1, 10**9))
def test_plan_round_trips(plan: PlanState, epoch: int) -> None:
    assert journal_items.plan_from(stored(journal_items.plan_item(plan, epoch))) == plan


@property_settings
@given(runs)
def test_run_round_trips(run: RunRecord) -> None:
    assert journal_items.run_from(stored(journal_items.run_item(state(), run))) == run


@property_settings
@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_plans_with_different_names_have_different_partitions(a: str, b: str, c: str, d: str) -> None:
    assert (journal_items.plan_pk(a, b) == journal_items.plan_pk(c, d)) == ((a, b) == (c, d))


@property_settings
@given(times, times)
def test_iso_texts_sort_like_their_times(one: datetime, other: datetime) -> None:
    assert (journal_items.iso(one) < journal_items.iso(other)) == (one < other)


def test_separators_in_names_do_not_merge_partitions() -> None:
    assert journal_items.plan_pk("a#b", "c") != journal_items.plan_pk("a", "b#c")
    assert journal_items.plan_pk("a%23b", "c") != journal_items.plan_pk("a#b", "c")


def test_iso_converts_to_utc() -> None:
    new_york = NOW.astimezone(timezone(timedelta(hours=-5)))

    assert journal_items.iso(new_york) == "2026-01-26T15:00:00.000000+00:00"


def test_parent_item_has_readable_attributes() -> None:
    item = journal_items.parent_item(state(), filled_parent("MSFT"))

    names = ("sk", "symbol", "side", "status", "qty", "filled_qty", "children", "order_id")
    assert {name: item[name] for name in names} == {
        "sk": "PARENT#MSFT",
        "symbol": "MSFT",
        "side": "sell",
        "status": "FILLED",
        "qty": "7.2273576",
        "filled_qty": "7.2273576",
        "children": 1,
        "order_id": "order-MSFT",
    }


def test_parent_without_outcome_has_status_working() -> None:
    item = journal_items.parent_item(state(), parent(children=(child(),)))

    assert item["status"] == "WORKING"
    assert item["client_order_id"] == child().client_order_id
    assert "order_id" not in item


def test_plan_item_has_the_attributes_of_lists() -> None:
    late = NOW.replace(hour=23).astimezone(timezone(timedelta(hours=9)))  # already the next day in that zone
    started = journal_items.plan_item(state(started_at=late), 7)
    finished = journal_items.plan_item(state(phase=PlanPhase.FINISHED), 8, result(status=ExecutionStatus.UNRESOLVED))

    assert (started["day"], started["status"], started["phase"], started["epoch"]) == (
        "2026-01-26",
        "in_progress",
        "SELLS",
        7,
    )
    assert (finished["status"], finished["phase"]) == ("unresolved", "FINISHED")
    assert finished["finished_at"] == "2026-01-26T15:00:03.000005+00:00"


def test_small_result_is_one_item_of_packed_json() -> None:
    (item,) = journal_items.result_items(state(), result())

    assert item["sk"] == "RESULT#000"
    assert unpacked(item, "body")["plan_id"] == result().plan_id
    assert journal_items.result_from([item]) == result()


def test_largest_result_fits_into_one_transaction() -> None:
    huge = result(tuple(order_result(f"SÝM{n}", children=20) for n in range(500)))

    pieces = journal_items.result_items(state(), huge)

    assert sum(len(cast("bytes", item["body"])) for item in pieces) < 1_000_000
    assert journal_items.result_from([stored(item) for item in pieces]) == huge


def in_pieces(pieces: int) -> list[Item]:
    """Return the items of a result that does not fit into fewer."""
    text = incompressible(journal_items.CHUNK_BYTES * pieces)
    return journal_items.result_items(state(), result(metadata={"text": text}))


def test_body_above_the_item_limit_is_split_and_round_trips() -> None:
    pieces = in_pieces(3)

    assert [item["sk"] for item in pieces] == [f"RESULT#{n:03d}" for n in range(3)]
    assert all(len(cast("bytes", item["body"])) <= journal_items.CHUNK_BYTES for item in pieces)
    assert journal_items.result_from(pieces) is not None


def test_missing_piece_of_a_result_is_a_contradiction() -> None:
    with pytest.raises(JournalContradiction, match="found 2 of 3 pieces"):
        journal_items.result_from(in_pieces(3)[1:])


@pytest.mark.parametrize("change", [{"parent": pack(b"{")}, {"parent": "{}"}, {"parent": 5}, None])
def test_malformed_parent_item_is_named_in_the_error(change: Item | None) -> None:
    item = journal_items.parent_item(state(), parent())
    broken = item | change if change is not None else {name: item[name] for name in ("pk", "sk")}

    with pytest.raises(JournalContradiction, match=r"PLAN#main#plan-1 PARENT#AAPL cannot be read"):
        journal_items.parent_from(broken)


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        b"",
        b"{}",
        b"\x1f\x8bnot gzip",
        pack(b"{}")[:-1],
        pack(b"{}") + b"x",
        pack(b" " * (MAX_UNPACKED_BYTES + 1)),
    ],
    ids=["text", "empty", "not packed", "damaged", "cut", "more follows", "too large"],
)
def test_body_that_cannot_be_unpacked_is_a_contradiction(body: bytes | str) -> None:
    (item,) = journal_items.result_items(state(), result())

    with pytest.raises(JournalContradiction, match=r"RESULT#000 cannot be read \(ValueError: the packed body is"):
        journal_items.result_from([item | {"body": body}])


def test_unknown_attributes_are_ignored() -> None:
    item = journal_items.plan_item(state(), 1) | {"future_attribute": "yes"}

    assert journal_items.plan_from(item) == state()


def test_same_result_ignores_the_notation_of_numbers() -> None:
    one, other = result(total_trade_value=Decimal("733.570")), result(total_trade_value=Decimal("733.57"))

    assert journal_items.same_result(one, other)
    assert not journal_items.same_result(one, result(runs=2))


def test_accounts_have_separate_partitions() -> None:
    here, there = journal_items.plan_item(state(), 1), journal_items.plan_item(replace(state(), account="other"), 1)

    assert here["pk"] == f"PLAN#{ACCOUNT}#plan-1"
    assert there["pk"] == "PLAN#other#plan-1"
